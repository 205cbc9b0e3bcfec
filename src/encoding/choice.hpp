#pragma once
// Shared by planning and choosing an encoding: the first stages that fit the elements.

#include <optional>

#include "encoding/encoding.hpp"

namespace stele {

/// An encoding without stages, with stele's block size.
Encoding raw_encoding(const Elements& elements);
/// Whether there is a kernel for differences of items of this size.
bool is_number_width(std::uint32_t item_size) noexcept;

/// An encoding that begins with narrow. Nothing if the elements are not integers that fit fewer bytes. Reads all
/// elements, unless it finds two that are too far apart.
std::optional<Encoding> narrowed(const Elements& elements);
/// An encoding that begins with palette. Nothing if the elements have more than `limit` patterns, or indices are not
/// smaller.
std::optional<Encoding> with_palette(const Elements& elements, std::uint64_t limit);

}  // namespace stele

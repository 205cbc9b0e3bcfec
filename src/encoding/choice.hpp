#pragma once
// What planning and choosing an encoding share: the first stages that fit the elements.

#include <optional>

#include "encoding/encoding.hpp"

namespace stele {

/// Elements as they are, with stele's block size.
Encoding raw_encoding(const Elements& elements);
/// Whether there is a kernel for differences of items of this size.
bool is_number_width(std::uint32_t item_size) noexcept;

/// With narrow in front, or nothing where the elements are not integers that fit fewer bytes. Reads all of them, unless
/// it meets two that are too far apart.
std::optional<Encoding> narrowed(const Elements& elements);
/// With palette in front, or nothing where the elements have more than `limit` patterns or indices are not smaller.
std::optional<Encoding> with_palette(const Elements& elements, std::uint64_t limit);

}  // namespace stele

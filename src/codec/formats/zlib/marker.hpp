#pragma once
// Markers inside a zlib stream that state where its blocks are. Before each block written by stele is a marker of 63
// bytes: a deflate block that is empty except for its end and whose code lengths carry 16 bytes of payload. Any inflate
// accepts it and produces nothing.

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "stele/io.hpp"

namespace stele::zlib {

constexpr std::size_t marker_size = 63;

/// The contents of a marker: describes the deflate blocks after it, including the flush that ends them.
struct Marker {
  std::uint32_t stored_size = 0;  // without the marker
  std::uint32_t plain_size = 0;
  std::uint32_t adler = 0;
};

std::array<std::byte, marker_size> make_marker(const Marker& marker);
/// The contents of a marker; nothing if these marker_size bytes are not one.
std::optional<Marker> read_marker(Bytes bytes);
/// Whether a marker may begin with these bytes, at most marker_size.
bool begins_marker(Bytes bytes);

/// Codec::in_order(), with DecodeOptions::whole.
std::unique_ptr<Source> in_order(Source& stored, bool whole);

/// Whether these two bytes begin a zlib stream; `dictionary`: one with a preset dictionary.
bool is_header(std::byte first, std::byte second, bool dictionary = false) noexcept;

}  // namespace stele::zlib

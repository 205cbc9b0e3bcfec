#pragma once
// Where the blocks of a zlib stream lie, said inside of it. Before each block of stele's stands a marker of 63 bytes: a
// deflate block that holds nothing but its end and whose code lengths are chosen at will. Any inflate passes over it;
// who knows it reads 16 bytes from it.

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "stele/io.hpp"

namespace stele::zlib {

constexpr std::size_t marker_size = 63;

/// What a marker says of the deflate blocks behind it, up to and with the flush that ends them.
struct Marker {
  std::uint32_t stored_size = 0;  // without the marker
  std::uint32_t plain_size = 0;
  std::uint32_t adler = 0;
};

std::array<std::byte, marker_size> make_marker(const Marker& marker);
/// What a marker says, or nothing where these marker_size bytes are none.
std::optional<Marker> read_marker(Bytes bytes);
/// Whether a marker may begin with these bytes, at most marker_size.
bool begins_marker(Bytes bytes);

/// Codec::in_order(), with DecodeOptions::whole.
std::unique_ptr<Source> in_order(Source& stored, bool whole);

/// Whether these are the two bytes that begin a zlib stream, one with a preset dictionary or one without.
bool is_header(std::byte first, std::byte second, bool dictionary = false) noexcept;

}  // namespace stele::zlib

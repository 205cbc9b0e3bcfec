// The bits of a marker, lowest of each byte first (RFC 1951, 3.2.7), numbers in the order of deflate:
//
//     0  0         not the last block
//     1  01        dynamic codes
//     3  00000     257 literals and lengths
//     8  10000     2 distances
//    13  0111      18 lengths of the code of lengths follow, 3 bits each: 8 has 1 bit, 9 has 2, 1 and 2 have 3
//    71  128 times 010 or 100: the codes of two literals have 8 and 9 bits, or 9 and 8; this is one bit of the payload
//   455  111       the end of the block has 2 bits: with that the code is complete
//   458  110 110   the distances have 1 bit each
//   464  00        the end of the block
//   466  000       a stored block,
//   469  000       from the next byte on,
//   472  00 00 ff ff  of no bytes

#include "codec/formats/zlib/marker.hpp"

#include <algorithm>

#include "base/bytes.hpp"

namespace stele::zlib {
namespace {

constexpr std::size_t payload_offset = 71;  // bits
constexpr std::size_t payload_size = 16;
constexpr std::uint32_t payload_magic = 0x315a7453;  // "StZ1"

using MarkerBytes = std::array<std::byte, marker_size>;

constexpr void set_bit(MarkerBytes& bytes, std::size_t bit) {
  bytes[bit / 8] |= std::byte{1} << static_cast<int>(bit % 8);
}

/// The marker without its payload.
constexpr MarkerBytes make_frame() {
  MarkerBytes bytes{};
  std::size_t at = 0;
  const auto put = [&](unsigned value, std::size_t width) {  // lowest bit first
    for (std::size_t i = 0; i < width; ++i) {
      if ((value >> i & 1) != 0) {
        set_bit(bytes, at + i);
      }
    }
    at += width;
  };
  put(0, 1);
  put(2, 2);
  put(0, 5);
  put(1, 5);
  put(14, 4);
  constexpr std::array<unsigned, 18> order = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1};
  for (unsigned symbol : order) {
    put(symbol == 8 ? 1 : symbol == 9 ? 2 : symbol == 1 || symbol == 2 ? 3 : 0, 3);
  }
  at += payload_size * 8 * 3;
  put(7, 3);  // codes are written highest bit first: 111, and twice 110
  put(3, 3);
  put(3, 3);
  bytes[61] = bytes[62] = std::byte{0xff};
  return bytes;
}
constexpr MarkerBytes frame = make_frame();

/// The bit that is set in a marker if the payload's bit `i` is 1; if it is 0, the next bit is set instead.
constexpr std::size_t place_of(std::size_t i) { return payload_offset + 3 * i; }

bool bit_of(const std::byte* bytes, std::size_t bit) {
  return (bytes[bit / 8] >> static_cast<int>(bit % 8) & std::byte{1}) != std::byte{0};
}

}  // namespace

MarkerBytes make_marker(const Marker& marker) {
  std::array<std::byte, payload_size> payload{};
  store_le<std::uint32_t>(payload.data(), payload_magic);
  store_le<std::uint32_t>(payload.data() + 4, marker.stored_size);
  store_le<std::uint32_t>(payload.data() + 8, marker.plain_size);
  store_le<std::uint32_t>(payload.data() + 12, marker.adler);
  MarkerBytes bytes = frame;
  for (std::size_t i = 0; i < payload_size * 8; ++i) {
    set_bit(bytes, place_of(i) + (bit_of(payload.data(), i) ? 0 : 1));
  }
  return bytes;
}

std::optional<Marker> read_marker(Bytes bytes) {
  std::array<std::byte, payload_size> payload{};
  for (std::size_t i = 0; i < payload_size * 8; ++i) {
    if (bit_of(bytes.data(), place_of(i))) {
      payload[i / 8] |= std::byte{1} << static_cast<int>(i % 8);
    }
  }
  const Marker marker{load_le<std::uint32_t>(payload.data() + 4), load_le<std::uint32_t>(payload.data() + 8),
                      load_le<std::uint32_t>(payload.data() + 12)};
  const MarkerBytes expected = make_marker(marker);
  return std::equal(expected.begin(), expected.end(), bytes.begin()) ? std::optional(marker) : std::nullopt;
}

bool begins_marker(Bytes bytes) {
  const std::size_t bits = bytes.size() * 8;
  MarkerBytes expected = frame;
  for (std::size_t i = 0; i < payload_size * 8 && place_of(i) < bits; ++i) {
    set_bit(expected, place_of(i) + (bit_of(bytes.data(), place_of(i)) ? 0 : 1));
  }
  return std::equal(bytes.begin(), bytes.end(), expected.begin());
}

bool is_header(std::byte first, std::byte second, bool dictionary) noexcept {
  const auto method = std::to_integer<unsigned>(first);
  const auto flags = std::to_integer<unsigned>(second);
  return (method & 0x0f) == 8 && method >> 4 <= 7 && ((flags & 0x20) != 0) == dictionary &&
         (method * 256 + flags) % 31 == 0;
}

}  // namespace stele::zlib

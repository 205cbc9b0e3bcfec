#pragma once
// Heads of CBOR data items (RFC 8949, section 3).

#include <bit>
#include <cstddef>
#include <cstdint>

#include "base/bytes.hpp"

namespace stele::cbor {

enum class Major : std::uint8_t {
  natural = 0,
  negative = 1,
  bytes = 2,
  text = 3,
  array = 4,
  map = 5,
  tag = 6,
  simple = 7
};

inline constexpr std::uint8_t info_8 = 24;  // the argument is in the next 1, 2, 4 or 8 bytes
inline constexpr std::uint8_t info_16 = 25;
inline constexpr std::uint8_t info_32 = 26;
inline constexpr std::uint8_t info_64 = 27;
inline constexpr std::uint8_t info_indefinite = 31;
inline constexpr std::byte break_byte{0xff};
inline constexpr std::byte null_byte{0xf6};
inline constexpr std::byte undefined_byte{0xf7};
inline constexpr std::byte false_byte{0xf4};
inline constexpr std::byte true_byte{0xf5};
inline constexpr std::size_t max_head = 9;

/// A decoded head.
struct Head {
  Major major = Major::natural;
  std::uint8_t info = 0;  // the low five bits of the first byte
  std::uint64_t value = 0;
  bool indefinite() const noexcept { return info == info_indefinite; }
};

constexpr std::byte first_byte(Major major, std::uint8_t info) noexcept {
  return static_cast<std::byte>(static_cast<unsigned>(major) << 5 | info);
}

/// The bytes of a head in its shortest form.
constexpr std::size_t shortest_head_bytes(std::uint64_t value) noexcept {
  return value < info_8 ? 1 : value <= 0xff ? 2 : value <= 0xffff ? 3 : value <= 0xffffffff ? 5 : 9;
}

/// Writes a head in its shortest form, at most max_head bytes; returns the end.
inline std::byte* put_head(std::byte* to, Major major, std::uint64_t value) noexcept {
  if (value < info_8) {
    *to = first_byte(major, static_cast<std::uint8_t>(value));
    return to + 1;
  }
  if (value <= 0xff) {
    to[0] = first_byte(major, info_8);
    to[1] = static_cast<std::byte>(value);
    return to + 2;
  }
  if (value <= 0xffff) {
    *to = first_byte(major, info_16);
    store_be<std::uint16_t>(to + 1, static_cast<std::uint16_t>(value));
    return to + 3;
  }
  if (value <= 0xffffffff) {
    *to = first_byte(major, info_32);
    store_be<std::uint32_t>(to + 1, static_cast<std::uint32_t>(value));
    return to + 5;
  }
  *to = first_byte(major, info_64);
  store_be<std::uint64_t>(to + 1, value);
  return to + 9;
}

/// Writes a head with an eight-byte argument, so that it can be changed in place.
inline std::byte* put_wide_head(std::byte* to, Major major, std::uint64_t value) noexcept {
  *to = first_byte(major, info_64);
  store_be<std::uint64_t>(to + 1, value);
  return to + 9;
}

/// The size of a head in bytes for its info; 0 for the reserved values 28 to 30.
constexpr std::size_t head_bytes(std::uint8_t info) noexcept {
  if (info < info_8 || info == info_indefinite) {
    return 1;
  }
  return info <= info_64 ? std::size_t{1} + (std::size_t{1} << (info - info_8)) : 0;
}

/// Reads the argument of a head of `size` bytes whose first byte has the low bits `info`.
inline std::uint64_t argument(const std::byte* from, std::size_t size, std::uint8_t info) noexcept {
  switch (size) {
    case 2:
      return static_cast<std::uint64_t>(from[1]);
    case 3:
      return load_be<std::uint16_t>(from + 1);
    case 5:
      return load_be<std::uint32_t>(from + 1);
    case 9:
      return load_be<std::uint64_t>(from + 1);
    default:
      return info < info_8 ? info : 0;
  }
}

}  // namespace stele::cbor

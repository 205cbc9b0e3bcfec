#pragma once
// All access to bytes: loads and stores of integers in both byte orders, and checked arithmetic. Nothing here needs
// alignment.

#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <type_traits>

namespace stele {

/// `value` with its bytes reversed.
template <std::unsigned_integral T>
constexpr T byteswap(T value) noexcept {
  static_assert(sizeof(T) <= 8);
  if constexpr (sizeof(T) == 2) {
    return static_cast<T>(__builtin_bswap16(static_cast<std::uint16_t>(value)));
  } else if constexpr (sizeof(T) == 4) {
    return static_cast<T>(__builtin_bswap32(static_cast<std::uint32_t>(value)));
  } else if constexpr (sizeof(T) == 8) {
    return static_cast<T>(__builtin_bswap64(static_cast<std::uint64_t>(value)));
  } else {
    return value;
  }
}
template <std::signed_integral T>
constexpr T byteswap(T value) noexcept {
  return static_cast<T>(byteswap(static_cast<std::make_unsigned_t<T>>(value)));
}

namespace byte_order {

/// Loads or stores sizeof(T) bytes at any address; swaps them unless `order` is the machine's byte order.
template <std::integral T>
constexpr T load(const std::byte* from, std::endian order) noexcept {
  std::array<std::byte, sizeof(T)> raw{};
  if (std::is_constant_evaluated()) {
    for (std::size_t i = 0; i < sizeof(T); ++i) {
      raw[i] = from[i];
    }
  } else {
    std::memcpy(raw.data(), from, sizeof(T));
  }
  const T value = std::bit_cast<T>(raw);
  return order == std::endian::native ? value : byteswap(value);
}
template <std::integral T>
constexpr void store(std::byte* to, T value, std::endian order) noexcept {
  const auto raw =
      std::bit_cast<std::array<std::byte, sizeof(T)>>(order == std::endian::native ? value : byteswap(value));
  if (std::is_constant_evaluated()) {
    for (std::size_t i = 0; i < sizeof(T); ++i) {
      to[i] = raw[i];
    }
  } else {
    std::memcpy(to, raw.data(), sizeof(T));
  }
}

}  // namespace byte_order

/// Loads a little-endian integer of sizeof(T) bytes.
template <std::integral T>
constexpr T load_le(const std::byte* from) noexcept {
  return byte_order::load<T>(from, std::endian::little);
}
/// Loads a big-endian integer of sizeof(T) bytes.
template <std::integral T>
constexpr T load_be(const std::byte* from) noexcept {
  return byte_order::load<T>(from, std::endian::big);
}
/// Stores sizeof(T) bytes in little-endian order; name T explicitly if the width matters.
template <std::integral T>
constexpr void store_le(std::byte* to, T value) noexcept {
  byte_order::store<T>(to, value, std::endian::little);
}
/// Stores sizeof(T) bytes in big-endian order.
template <std::integral T>
constexpr void store_be(std::byte* to, T value) noexcept {
  byte_order::store<T>(to, value, std::endian::big);
}

/// Loads a little-endian unsigned integer of `width` bytes, 1 to 8 (also 3, 5, 6 and 7).
constexpr std::uint64_t load_le(const std::byte* from, std::size_t width) noexcept {
  std::uint64_t value = 0;
  for (std::size_t i = width; i-- > 0;) {
    value = value << 8 | std::to_integer<std::uint64_t>(from[i]);
  }
  return value;
}
constexpr std::uint64_t load_be(const std::byte* from, std::size_t width) noexcept {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < width; ++i) {
    value = value << 8 | std::to_integer<std::uint64_t>(from[i]);
  }
  return value;
}
/// Stores the low `width` bytes of `value`, 1 to 8, in little-endian order.
constexpr void store_le(std::byte* to, std::uint64_t value, std::size_t width) noexcept {
  for (std::size_t i = 0; i < width; ++i) {
    to[i] = static_cast<std::byte>(value >> (8 * i) & 0xff);
  }
}
constexpr void store_be(std::byte* to, std::uint64_t value, std::size_t width) noexcept {
  for (std::size_t i = 0; i < width; ++i) {
    to[width - 1 - i] = static_cast<std::byte>(value >> (8 * i) & 0xff);
  }
}

/// a + b, or nothing on overflow.
constexpr std::optional<std::uint64_t> checked_add(std::uint64_t a, std::uint64_t b) noexcept {
  std::uint64_t sum = 0;
  return __builtin_add_overflow(a, b, &sum) ? std::nullopt : std::optional(sum);
}
/// a * b, or nothing on overflow.
constexpr std::optional<std::uint64_t> checked_multiply(std::uint64_t a, std::uint64_t b) noexcept {
  std::uint64_t product = 0;
  return __builtin_mul_overflow(a, b, &product) ? std::nullopt : std::optional(product);
}

}  // namespace stele

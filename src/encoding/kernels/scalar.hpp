#pragma once
// Kernels that handle one element at a time: used by the portable kernels, and for the first and last elements by the
// others.

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>

#include "base/bytes.hpp"

namespace stele::scalar {

/// Small differences of either sign become small numbers: 0, -1, 1, -2 become 0, 1, 2, 3.
template <std::unsigned_integral T>
constexpr T zigzag(T difference) noexcept {
  constexpr unsigned top = 8 * sizeof(T) - 1;
  return static_cast<T>(static_cast<T>(difference << 1U) ^ static_cast<T>(0U - static_cast<T>(difference >> top)));
}
template <std::unsigned_integral T>
constexpr T unzigzag(T value) noexcept {
  return static_cast<T>(static_cast<T>(value >> 1U) ^ static_cast<T>(0U - static_cast<T>(value & 1U)));
}

/// Handles the elements [first, last) of an array of `count`.
inline void shuffle(const std::byte* from, std::size_t item_size, std::size_t count, std::size_t first,
                    std::size_t last, std::byte* to) noexcept {
  for (std::size_t i = first; i < last; ++i) {
    for (std::size_t j = 0; j < item_size; ++j) {
      to[j * count + i] = from[i * item_size + j];
    }
  }
}
inline void unshuffle(const std::byte* from, std::size_t item_size, std::size_t count, std::size_t first,
                      std::size_t last, std::byte* to) noexcept {
  for (std::size_t i = first; i < last; ++i) {
    for (std::size_t j = 0; j < item_size; ++j) {
      to[i * item_size + j] = from[j * count + i];
    }
  }
}

/// Bit b of byte k becomes bit k of byte b.
constexpr std::uint64_t transposed_bits(std::uint64_t x) noexcept {
  std::uint64_t t = (x ^ x >> 7) & 0x00aa00aa00aa00aaU;
  x ^= t ^ t << 7;
  t = (x ^ x >> 14) & 0x0000cccc0000ccccU;
  x ^= t ^ t << 14;
  t = (x ^ x >> 28) & 0x00000000f0f0f0f0U;
  return x ^ t ^ t << 28;
}

inline void to_bit_rows(const std::byte* from, std::size_t first, std::size_t last, std::byte* rows,
                        std::size_t stride) noexcept {
  for (std::size_t i = first; i < last; ++i) {
    const std::uint64_t bits = transposed_bits(load_le<std::uint64_t>(from + 8 * i));
    for (std::size_t b = 0; b < 8; ++b) {
      rows[b * stride + i] = static_cast<std::byte>(bits >> (8 * b) & 0xff);
    }
  }
}
inline void from_bit_rows(const std::byte* rows, std::size_t stride, std::size_t first, std::size_t last,
                          std::byte* to) noexcept {
  for (std::size_t i = first; i < last; ++i) {
    std::uint64_t bits = 0;
    for (std::size_t b = 0; b < 8; ++b) {
      bits |= std::to_integer<std::uint64_t>(rows[b * stride + i]) << (8 * b);
    }
    store_le<std::uint64_t>(to + 8 * i, transposed_bits(bits));
  }
}

template <std::unsigned_integral T>
void delta(const std::byte* from, std::size_t first, std::size_t last, std::byte* to) noexcept {
  T before = first == 0 ? T{0} : load_le<T>(from + (first - 1) * sizeof(T));
  for (std::size_t i = first; i < last; ++i) {
    const T value = load_le<T>(from + i * sizeof(T));
    store_le<T>(to + i * sizeof(T), zigzag(static_cast<T>(value - before)));
    before = value;
  }
}
template <std::unsigned_integral T>
void undelta(const std::byte* from, std::size_t first, std::size_t last, std::byte* to) noexcept {
  T value = first == 0 ? T{0} : load_le<T>(to + (first - 1) * sizeof(T));
  for (std::size_t i = first; i < last; ++i) {
    value = static_cast<T>(value + unzigzag(load_le<T>(from + i * sizeof(T))));
    store_le<T>(to + i * sizeof(T), value);
  }
}

template <std::unsigned_integral Wide, std::unsigned_integral Narrow>
void narrow(const std::byte* from, std::size_t first, std::size_t last, Wide base, std::byte* to) noexcept {
  for (std::size_t i = first; i < last; ++i) {
    store_le<Narrow>(to + i * sizeof(Narrow), static_cast<Narrow>(load_le<Wide>(from + i * sizeof(Wide)) - base));
  }
}
template <std::unsigned_integral Wide, std::unsigned_integral Narrow>
void widen(const std::byte* from, std::size_t first, std::size_t last, Wide base, std::byte* to) noexcept {
  for (std::size_t i = first; i < last; ++i) {
    store_le<Wide>(to + i * sizeof(Wide), static_cast<Wide>(load_le<Narrow>(from + i * sizeof(Narrow)) + base));
  }
}

template <std::unsigned_integral T>
std::uint32_t largest(const std::byte* from, std::size_t first, std::size_t last, std::uint32_t most) noexcept {
  for (std::size_t i = first; i < last; ++i) {
    const std::uint32_t value = load_le<T>(from + i * sizeof(T));
    most = value > most ? value : most;
  }
  return most;
}

}  // namespace stele::scalar

#pragma once
// Bools as bits: element i is bit i % 8 of byte i / 8, the lowest bit first.

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.hpp"

namespace stele {

constexpr std::uint64_t packed_size(std::uint64_t bits) noexcept { return bits / 8 + (bits % 8 != 0 ? 1 : 0); }

/// Writes `count` bytes of value 0 or 1 from the first bits of `packed`.
inline void unpack_bits(const std::byte* packed, std::uint64_t count, std::byte* elements) noexcept {
  std::uint64_t i = 0;
  for (; i + 8 <= count; i += 8) {
    // the factor moves bit k to bit 8k by its bit 7k; bit 7 is moved separately, as it would overlap others
    const std::uint64_t bits = std::to_integer<std::uint64_t>(packed[i / 8]);
    const std::uint64_t spread = (bits & 0x7f) * 0x0002040810204081U | (bits & 0x80) << 49;
    store_le<std::uint64_t>(elements + i, spread & 0x0101010101010101U);
  }
  for (; i < count; ++i) {
    elements[i] = packed[i / 8] >> (i % 8) & std::byte{1};
  }
}

/// Calls `take` with the elements of `count` bits as bytes, piece by piece.
template <class F>
void for_each_unpacked(std::span<const std::byte> packed, std::uint64_t count, F&& take) {
  constexpr std::uint64_t most = std::uint64_t{64} << 10;
  std::vector<std::byte> piece(static_cast<std::size_t>(count < most ? count : most));
  for (std::uint64_t first = 0; first < count; first += piece.size()) {
    piece.resize(static_cast<std::size_t>(count - first < most ? count - first : most));
    unpack_bits(packed.data() + first / 8, piece.size(), piece.data());
    take(std::span<const std::byte>(piece));
  }
}

}  // namespace stele

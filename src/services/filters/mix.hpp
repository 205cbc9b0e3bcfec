#pragma once
// Arithmetic on hashes that filters and sketches share. Frozen: it decides what the bits in a file mean.

#include <cstdint>

namespace stele::mix {

__extension__ using Wide = unsigned __int128;

/// The upper half of the product: maps a hash to 0 … n - 1 without a division.
constexpr std::uint64_t scale(std::uint64_t hash, std::uint64_t n) noexcept {
  return static_cast<std::uint64_t>(static_cast<Wide>(hash) * n >> 64);
}
/// The halves of the product, folded.
constexpr std::uint64_t fold(std::uint64_t a, std::uint64_t b) noexcept {
  const Wide product = static_cast<Wide>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

inline constexpr std::uint64_t first = 0x9fb21c651e98df25U;
inline constexpr std::uint64_t second = 0xd6e8feb86659fd93U;

/// A key's hash under the seed of a filter.
constexpr std::uint64_t seeded(std::uint64_t hash, std::uint64_t seed) noexcept { return fold(hash ^ seed, first); }
/// The hash that follows one; the constant added leads away from 0.
constexpr std::uint64_t next(std::uint64_t hash) noexcept {
  return hash * 0x5851f42d4c957f2dU + 0x14057b7ef767814fU;  // MMIX's generator (D. Knuth)
}
/// Bits that look independent of the upper ones of `hash`.
constexpr std::uint64_t other(std::uint64_t hash) noexcept { return fold(hash ^ second, first); }

}  // namespace stele::mix

#pragma once
// Hash arithmetic shared by filters and sketches. Frozen: the bits in files depend on it.

#include <cstdint>

namespace stele::mix {

__extension__ using Wide = unsigned __int128;

/// The upper half of the product: maps a hash to 0 … n - 1 without a division.
constexpr std::uint64_t scale(std::uint64_t hash, std::uint64_t n) noexcept {
  return static_cast<std::uint64_t>(static_cast<Wide>(hash) * n >> 64);
}
/// Folds the halves of the product.
constexpr std::uint64_t fold(std::uint64_t a, std::uint64_t b) noexcept {
  const Wide product = static_cast<Wide>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

inline constexpr std::uint64_t first = 0x9fb21c651e98df25U;
inline constexpr std::uint64_t second = 0xd6e8feb86659fd93U;

/// A key's hash with the seed of a filter.
constexpr std::uint64_t seeded(std::uint64_t hash, std::uint64_t seed) noexcept { return fold(hash ^ seed, first); }
/// The next hash in the sequence; the added constant avoids 0.
constexpr std::uint64_t next(std::uint64_t hash) noexcept {
  return hash * 0x5851f42d4c957f2dU + 0x14057b7ef767814fU;  // MMIX's generator (D. Knuth)
}
/// Bits that look independent of the upper bits of `hash`.
constexpr std::uint64_t other(std::uint64_t hash) noexcept { return fold(hash ^ second, first); }

}  // namespace stele::mix

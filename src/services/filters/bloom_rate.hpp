#pragma once
// Formulas for the false positive rates of Bloom filters, and the sizes that follow from them.

#include <cstdint>

#include "services/filters/bloom_blocks.hpp"

namespace stele::bloom {

inline constexpr unsigned max_hashes = 64;

/// The rate of a filter of `bits` with `keys` of `hashes` bits each. Spread: the mean of (X / bits)^hashes to the
/// second order, where X is the number of bits set by `hashes * keys` random ones. Blocked: the same for a block,
/// averaged over its number of keys, which has a Poisson distribution.
double rate(double bits, unsigned hashes, double keys, bool blocked) noexcept;

struct Plan {
  double bits = 0;  // whole words, or blocks
  unsigned hashes = 1;
};

/// The smallest filter for `keys` whose rate is at most `wanted`.
Plan plan(double keys, double wanted, bool blocked) noexcept;
/// The number of hashes with the lowest rate.
unsigned best_hashes(double bits, double keys, bool blocked) noexcept;

}  // namespace stele::bloom

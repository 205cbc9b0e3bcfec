#pragma once
// False positive rates of Bloom filters by formula, and the sizes that follow from them.

#include <cstdint>

#include "services/filters/bloom_blocks.hpp"

namespace stele::bloom {

inline constexpr unsigned max_hashes = 64;

/// The rate of a filter of `bits` with `keys` of `hashes` bits each. Spread: the mean of (X / bits)^hashes, where X is
/// how many bits `hashes * keys` random ones make, to the second order. Blocked: the same of a block, averaged over its
/// number of keys, which has a Poisson distribution.
double rate(double bits, unsigned hashes, double keys, bool blocked) noexcept;

struct Plan {
  double bits = 0;  // whole words, or blocks
  unsigned hashes = 1;
};

/// The smallest filter for `keys` whose rate is at most `wanted`.
Plan plan(double keys, double wanted, bool blocked) noexcept;
/// The number of hashes with the least rate.
unsigned best_hashes(double bits, double keys, bool blocked) noexcept;

}  // namespace stele::bloom

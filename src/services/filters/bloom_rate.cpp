#include "services/filters/bloom_rate.hpp"

#include <algorithm>
#include <cmath>

namespace stele::bloom {
namespace {

/// E[(X / bits)^hashes], where X is the number of bits set by `hashes * keys` random ones.
double rate_of_one(double bits, unsigned hashes, double keys) noexcept {
  const double k = hashes;
  const double throws = k * keys;
  const double empty = std::exp(throws * std::log1p(-1 / bits));  // the probability that a bit is unset
  const double two_empty = bits > 2 ? std::exp(throws * std::log1p(-2 / bits)) : 0;
  const double fill = 1 - empty;
  const double variance = std::max(0.0, two_empty - empty * empty + (empty - two_empty) / bits);
  const double mean = std::pow(fill, k);
  return fill <= 0 ? 0 : std::min(1.0, mean * (1 + k * (k - 1) / 2 * variance / (fill * fill)));
}

/// The mean of rate_of_one() of a block over the Poisson distribution of its keys.
double rate_of_blocks(unsigned hashes, double keys_per_block) noexcept {
  constexpr double beyond = 1e6;  // from here on the spread of the distribution does not matter
  if (keys_per_block > beyond) {
    return rate_of_one(block_bits, hashes, keys_per_block);
  }
  const double mode = std::floor(keys_per_block);
  double weights = 0;
  double sum = 0;
  const auto add = [&](double keys, double weight) {
    weights += weight;
    sum += weight * rate_of_one(block_bits, hashes, keys);
  };
  constexpr double negligible = 1e-18;
  double weight = 1;
  for (double keys = mode; weight > negligible; ++keys) {
    add(keys, weight);
    weight *= keys_per_block / (keys + 1);
  }
  weight = 1;
  for (double keys = mode; keys > 0;) {
    weight *= keys / keys_per_block;
    --keys;
    if (weight <= negligible) {
      break;
    }
    add(keys, weight);
  }
  return sum / weights;
}

unsigned clamp_hashes(double hashes) noexcept {
  return static_cast<unsigned>(std::clamp(hashes, 1.0, static_cast<double>(max_hashes)));
}

Plan spread_plan(double keys, double wanted) noexcept {
  const double ideal = -std::log2(wanted);
  Plan best;
  for (const double k : {std::floor(ideal), std::ceil(ideal)}) {
    const unsigned hashes = clamp_hashes(k);
    double bits = -static_cast<double>(hashes) * keys / std::log1p(-std::pow(wanted, 1.0 / hashes));
    bits = 64 * std::max(1.0, std::ceil(bits / 64));
    while (rate_of_one(bits, hashes, keys) > wanted) {  // a small filter is slightly worse than the formula above
      bits += 64 * std::max(1.0, std::floor(bits / 64 / 1024));
    }
    if (best.bits == 0 || bits < best.bits) {
      best = {bits, hashes};
    }
  }
  return best;
}

Plan blocked_plan(double keys, double wanted) noexcept {
  const double ideal = -std::log2(wanted);
  Plan best;
  double most = 0;  // keys per block
  for (double k = std::max(1.0, std::floor(ideal / 2)); k <= std::ceil(ideal) + 1; ++k) {
    const unsigned hashes = clamp_hashes(k);
    double low = std::log(1e-12);
    double high = std::log(1e5);
    for (int i = 0; i < 44; ++i) {
      const double middle = (low + high) / 2;
      (rate_of_blocks(hashes, std::exp(middle)) <= wanted ? low : high) = middle;
    }
    if (const double found = std::exp(low); found > most) {
      most = found;
      best.hashes = hashes;
    } else if (most > 0) {
      break;
    }
  }
  best.bits = block_bits * std::max(1.0, std::ceil(keys / most));
  return best;
}

}  // namespace

double rate(double bits, unsigned hashes, double keys, bool blocked) noexcept {
  if (keys <= 0) {
    return 0;
  }
  return blocked ? rate_of_blocks(hashes, keys * block_bits / bits) : rate_of_one(bits, hashes, keys);
}

Plan plan(double keys, double wanted, bool blocked) noexcept {
  return blocked ? blocked_plan(keys, wanted) : spread_plan(keys, wanted);
}

unsigned best_hashes(double bits, double keys, bool blocked) noexcept {
  unsigned best = 1;
  double least = 2;
  for (unsigned hashes = 1; hashes <= max_hashes / 2; ++hashes) {
    const double here = rate(bits, hashes, keys, blocked);
    if (here >= least) {
      break;
    }
    least = here;
    best = hashes;
  }
  return best;
}

}  // namespace stele::bloom

#pragma once
// The keys that a FeatureStore makes of two. Frozen: they decide what the bits in a file mean.

#include <algorithm>
#include <cstdint>

#include "services/filters/mix.hpp"
#include "stele/key_hash.hpp"

namespace stele {

/// The key of an entity's having a feature. One to one in either for a given other, and not symmetric.
constexpr KeyHash entity_with(KeyHash entity, std::uint64_t feature_hash) noexcept {
  return KeyHash::of_hash(entity.hash() * mix::second + feature_hash);
}
/// The key of two features without order.
constexpr KeyHash both_of(KeyHash one, KeyHash two) noexcept {
  return entity_with(KeyHash::of_hash(std::min(one.hash(), two.hash())), std::max(one.hash(), two.hash()));
}

}  // namespace stele

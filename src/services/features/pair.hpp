#pragma once
// The keys that a FeatureStore derives from two others. Frozen: the bits in files depend on them.

#include <algorithm>
#include <cstdint>

#include "services/filters/mix.hpp"
#include "stele/filters/key_hash.hpp"

namespace stele {

/// The key for "entity has feature". Injective in each argument for a fixed other one, and not symmetric.
constexpr KeyHash entity_with(KeyHash entity, std::uint64_t feature_hash) noexcept {
  return KeyHash::of_hash(entity.hash() * mix::second + feature_hash);
}
/// The key of an unordered pair of features.
constexpr KeyHash both_of(KeyHash one, KeyHash two) noexcept {
  return entity_with(KeyHash::of_hash(std::min(one.hash(), two.hash())), std::max(one.hash(), two.hash()));
}

}  // namespace stele

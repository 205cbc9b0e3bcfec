#pragma once
// The keys that a FeatureStore makes of two. Frozen: they decide what the bits in a file mean.

#include <algorithm>
#include <cstdint>

#include "services/compact/mix.hpp"
#include "stele/key.hpp"

namespace stele {

/// The key of an entity's having a feature. One to one in either for a given other, and not symmetric.
constexpr Key entity_with(Key entity, std::uint64_t feature_hash) noexcept {
  return Key::of_hash(entity.hash() * mix::second + feature_hash);
}
/// The key of two features without order.
constexpr Key both_of(Key one, Key two) noexcept {
  return entity_with(Key::of_hash(std::min(one.hash(), two.hash())), std::max(one.hash(), two.hash()));
}

}  // namespace stele

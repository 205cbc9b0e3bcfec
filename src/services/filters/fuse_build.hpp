#pragma once
// Construction of binary fuse filters: finds an order in which the fingerprints of all keys can be set one after
// another.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "services/filters/mix.hpp"

namespace stele::fuse {

/// The shape of a filter: segments with a power of two of places each; the last two are only for second and third
/// places.
struct Layout {
  std::uint32_t segment_length = 0;
  std::uint64_t segments = 0;  // segments for first places

  std::uint64_t places() const noexcept { return segments == 0 ? 0 : (segments + 2) * segment_length; }
};

/// As in the paper, for three places.
Layout layout_for(std::uint64_t keys) noexcept;

/// The three places of a seeded hash: one in a segment and one in each of the next two.
struct Places {
  std::uint64_t first, second, third;
};
constexpr Places places_of(std::uint64_t hash, const Layout& layout) noexcept {
  const std::uint64_t mask = layout.segment_length - 1;
  const std::uint64_t first = mix::scale(hash, layout.segments * layout.segment_length);
  return {first, (first + layout.segment_length) ^ (hash >> 18 & mask),
          (first + 2 * std::uint64_t{layout.segment_length}) ^ (hash & mask)};
}

/// The fingerprint is the low bits of the result.
constexpr std::uint64_t fingerprint_of(std::uint64_t hash) noexcept { return hash ^ hash >> 32; }

/// Keys in an order in which each has a place that no earlier key has; which of its three places, 0 to 2.
struct Order {
  std::vector<std::uint64_t> hashes;  // seeded
  std::vector<std::uint8_t> places;
};

/// The order in which to set fingerprints; nothing if there is none for these hashes, for example if one repeats.
std::optional<Order> find_order(std::span<const std::uint64_t> hashes, std::uint64_t seed, const Layout& layout);

}  // namespace stele::fuse

#include "services/filters/fuse_build.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

namespace stele::fuse {

Layout layout_for(std::uint64_t keys) noexcept {
  if (keys == 0) {
    return {};
  }
  constexpr double longest = 18;  // hash bits for each of the second and third places
  const auto n = static_cast<double>(keys);
  const double bits = std::clamp(std::floor(std::log(n) / std::log(3.33) + 2.25), 2.0, longest);
  const auto length = std::uint32_t{1} << static_cast<unsigned>(bits);
  const double factor = keys == 1 ? 1.125 : std::max(1.125, 0.875 + 0.25 * std::log(1e6) / std::log(n));
  const auto wanted = static_cast<std::uint64_t>(std::round(n * factor));
  const std::uint64_t all = (wanted + length - 1) / length;
  return {length, all > 2 ? all - 2 : 1};
}

namespace {

/// For each place: the number of keys; their roles (0, 1, 2) and hashes, each combined by xor.
struct Table {
  explicit Table(std::uint64_t places) : counts(places), hashes(places) {}
  std::vector<std::uint8_t> counts;  // 4 per key, plus the roles in the low two bits
  std::vector<std::uint64_t> hashes;

  void flip(std::uint64_t at, std::uint8_t place, std::uint64_t hash) noexcept {
    counts[at] ^= place;
    hashes[at] ^= hash;
  }
  unsigned keys(std::uint64_t at) const noexcept { return counts[at] >> 2; }
};

constexpr unsigned most_keys_at_a_place = 63;

/// Groups the hashes by their upper bits, and thus by first places, so that the table is filled in memory order.
std::vector<std::uint64_t> grouped(std::span<const std::uint64_t> hashes, std::uint64_t seed, std::uint64_t segments) {
  const unsigned bits = std::min(16U, static_cast<unsigned>(std::bit_width(segments)));
  std::vector<std::uint64_t> starts((std::size_t{1} << bits) + 1);
  for (const std::uint64_t hash : hashes) {
    ++starts[(mix::seeded(hash, seed) >> (64 - bits)) + 1];
  }
  for (std::size_t i = 1; i < starts.size(); ++i) {
    starts[i] += starts[i - 1];
  }
  std::vector<std::uint64_t> result(hashes.size());
  for (const std::uint64_t hash : hashes) {
    const std::uint64_t seeded = mix::seeded(hash, seed);
    result[starts[seeded >> (64 - bits)]++] = seeded;
  }
  return result;
}

}  // namespace

std::optional<Order> find_order(std::span<const std::uint64_t> hashes, std::uint64_t seed, const Layout& layout) {
  Table table(layout.places());
  {
    bool crowded = false;
    const auto put = [&](std::uint64_t at, std::uint8_t place, std::uint64_t hash) {
      crowded |= table.keys(at) == most_keys_at_a_place;
      table.counts[at] = static_cast<std::uint8_t>(table.counts[at] + 4);
      table.flip(at, place, hash);
    };
    for (const std::uint64_t hash : grouped(hashes, seed, layout.segments)) {
      const Places at = places_of(hash, layout);
      put(at.first, 0, hash);
      put(at.second, 1, hash);
      put(at.third, 2, hash);
      if (crowded) {
        return std::nullopt;
      }
    }
  }

  // Removes keys that are alone in a place. This leaves other keys alone in theirs; repeats until there are none.
  std::vector<std::uint32_t> alone;
  for (std::uint64_t at = 0; at < layout.places(); ++at) {
    if (table.keys(at) == 1) {
      alone.push_back(static_cast<std::uint32_t>(at));
    }
  }
  Order order;
  order.hashes.reserve(hashes.size());
  order.places.reserve(hashes.size());
  while (!alone.empty()) {
    const std::uint32_t at = alone.back();
    alone.pop_back();
    if (table.keys(at) != 1) {
      continue;
    }
    const std::uint64_t hash = table.hashes[at];
    const auto place = static_cast<std::uint8_t>(table.counts[at] & 3);
    order.hashes.push_back(hash);
    order.places.push_back(place);
    const Places all = places_of(hash, layout);
    const auto take = [&](std::uint64_t from, std::uint8_t as) {
      table.counts[from] = static_cast<std::uint8_t>(table.counts[from] - 4);
      table.flip(from, as, hash);
      if (table.keys(from) == 1) {
        alone.push_back(static_cast<std::uint32_t>(from));
      }
    };
    take(all.first, 0);
    take(all.second, 1);
    take(all.third, 2);
  }
  if (order.hashes.size() != hashes.size()) {
    return std::nullopt;
  }
  std::reverse(order.hashes.begin(), order.hashes.end());
  std::reverse(order.places.begin(), order.places.end());
  return order;
}

}  // namespace stele::fuse

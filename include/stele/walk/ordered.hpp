#pragma once
// Sorted containers of many items whose nodes are scattered over memory: each step from one to the next is a cache
// miss. Here short ranges are walked side by side, so that several misses overlap, and used in their order.

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

namespace stele::walk {

/// Below it the nodes are in the cache, more or less.
inline constexpr std::size_t many_sorted_items = std::size_t{1} << 15;

/// What std::map, std::set and their like offer, with nodes that stay where they are and keys between which there are
/// others that can be made.
template <class C>
concept Sorted = requires(const C& c, const typename C::key_type& key) {
  { *c.begin() } -> std::same_as<const typename C::value_type&>;
  { c.lower_bound(key) } -> std::same_as<typename C::const_iterator>;
  { c.key_comp()(key, key) } -> std::convertible_to<bool>;
} && (std::is_arithmetic_v<typename C::key_type> || std::is_same_v<typename C::key_type, std::string>);

/// A key about part / parts of the way from `low` to `high`, if keys are spread evenly.
template <class K>
K key_between(const K& low, const K& high, std::size_t part, std::size_t parts) {
  if constexpr (std::is_same_v<K, std::string>) {
    std::size_t same = 0;
    while (same < low.size() && same < high.size() && low[same] == high[same]) {
      ++same;
    }
    const auto number = [&](const K& key) {  // seven bytes, so that it can be multiplied by a few bits
      std::uint64_t value = 0;
      for (std::size_t i = same; i < same + 7; ++i) {
        value = value << 8 | (i < key.size() ? static_cast<unsigned char>(key[i]) : 0U);
      }
      return value;
    };
    const std::uint64_t from = number(low);
    const std::uint64_t between = from + (number(high) - from) / parts * part;
    K key = low.substr(0, same);
    for (int shift = 48; shift >= 0; shift -= 8) {
      key.push_back(static_cast<char>(static_cast<unsigned char>(between >> shift & 0xff)));
    }
    return key;
  } else if constexpr (std::is_integral_v<K>) {
    const auto distance = static_cast<std::uint64_t>(high) - static_cast<std::uint64_t>(low);
    return static_cast<K>(static_cast<std::uint64_t>(low) + distance / parts * part);
  } else {
    return low + (high - low) * (static_cast<K>(part) / static_cast<K>(parts));
  }
}

/// The key of a set's or a map's item.
template <class C>
const typename C::key_type& key_of(const typename C::value_type& item) noexcept {
  if constexpr (requires { typename C::mapped_type; }) {
    return item.first;
  } else {
    return item;
  }
}

/// Where about `parts` ranges begin, that together are the container; whatever the keys, they ascend.
template <Sorted C>
std::vector<typename C::const_iterator> range_starts(const C& container, std::size_t parts) {
  std::vector<typename C::const_iterator> starts = {container.begin()};
  auto last = container.end();
  --last;
  const auto& low = key_of<C>(*container.begin());
  const auto& high = key_of<C>(*last);
  const auto before = container.key_comp();
  for (std::size_t i = 1; i < parts; ++i) {
    const auto place = container.lower_bound(key_between(low, high, i, parts));
    if (place != container.end() && before(key_of<C>(*starts.back()), key_of<C>(*place))) {
      starts.push_back(place);
    }
  }
  return starts;
}

/// Whether many neighbours lie on different pages.
template <Sorted C>
bool is_scattered(const C& container) {
  const auto places = range_starts(container, 64);
  std::size_t far = 0;
  for (auto place : places) {
    const auto here = reinterpret_cast<std::uintptr_t>(&*place);
    if (++place != container.end()) {
      const auto next = reinterpret_cast<std::uintptr_t>(&*place);
      far += next - here > 4096 && here - next > 4096 ? 1 : 0;
    }
  }
  return far > places.size() / 4;
}

/// Calls `use` for each item in the container's order.
template <Sorted C, class F>
void for_each_sorted(const C& container, F&& use) {
  constexpr std::size_t range_items = 1024;
  constexpr std::size_t most_ranges = std::size_t{1} << 16;
  constexpr std::size_t side_by_side = 12;
  if (!is_scattered(container)) {
    for (const auto& item : container) {
      use(item);
    }
    return;
  }
  const auto starts = range_starts(container, std::min(container.size() / range_items, most_ranges));
  struct Range {
    typename C::const_iterator at;
    typename C::const_iterator end;
    std::vector<const typename C::value_type*> items;  // gone by, not used yet
  };
  std::array<Range, side_by_side> ranges;
  const auto range = [&](std::size_t index) -> Range& { return ranges[index % side_by_side]; };
  std::size_t begun = 0;
  for (std::size_t first = 0; first < starts.size();) {
    for (; begun < starts.size() && begun < first + side_by_side; ++begun) {
      Range& fresh = range(begun);
      fresh.at = starts[begun];
      fresh.end = begun + 1 < starts.size() ? starts[begun + 1] : container.end();
      fresh.items.clear();
    }
    for (std::size_t i = first; i < begun; ++i) {
      Range& each = range(i);
      if (each.at == each.end) {
        continue;
      }
      each.items.push_back(std::addressof(*each.at));
      if (++each.at != each.end) {
        // a node's links lie before its item
        const auto item = reinterpret_cast<std::uintptr_t>(std::addressof(*each.at));
        __builtin_prefetch(reinterpret_cast<const void*>(item - 32));
        __builtin_prefetch(reinterpret_cast<const void*>(item));
      }
    }
    for (; first < begun && range(first).at == range(first).end; ++first) {
      for (const auto* item : range(first).items) {
        use(*item);
      }
    }
  }
}

}  // namespace stele::walk

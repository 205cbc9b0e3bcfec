#pragma once
// Unordered containers of many items: their nodes are scattered over memory, and each step from one to the next is a
// cache miss. Here several misses overlap.

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "stele/walk/ordered.hpp"

namespace stele::walk {

/// Below it the nodes are in the cache.
inline constexpr std::size_t many_items = 4096;

/// The interface of std::unordered_map and similar containers, whose nodes do not move.
template <class C>
concept Bucketed = requires(const C& c, const typename C::key_type& key) {
  typename C::hasher;
  typename C::const_local_iterator;
  { *c.begin() } -> std::same_as<const typename C::value_type&>;
  c.bucket(key);
  c.begin(c.bucket_count());
  c.find(key);
};

/// Calls `use` for each item, in an order that depends on the container only: from several places at a time, each up to
/// where the next one began.
template <Bucketed C, class F>
void for_each_hashed(const C& container, F&& use) {
  constexpr std::size_t most = 12;
  constexpr std::size_t most_empty = 1000;  // buckets looked at for a place to begin
  std::array<typename C::const_iterator, most> at{};
  std::array<const void*, most> starts{};
  std::uint64_t start_marks = 0;
  const auto mark = [](const void* item) {
    return std::uint64_t{1} << (reinterpret_cast<std::uintptr_t>(item) >> 4 & 63);
  };
  std::size_t count = 0;
  const auto is_start = [&](const void* item) {
    for (std::size_t i = 0; i < most; ++i) {
      if (starts[i] == item) {
        return true;
      }
    }
    return false;
  };
  const auto begin_at = [&](typename C::const_iterator place) {
    if (place != container.end() && !is_start(&*place)) {  // a key that does not equal itself is not found
      starts[count] = &*place;
      start_marks |= mark(&*place);
      at[count++] = place;
    }
  };
  begin_at(container.begin());
  const std::size_t buckets = container.bucket_count();
  for (std::size_t i = 1; i < most; ++i) {
    const std::size_t first = buckets / most * i;
    for (std::size_t bucket = first; bucket < buckets && bucket < first + most_empty; ++bucket) {
      if (container.begin(bucket) != container.end(bucket)) {
        begin_at(container.find(key_of<C>(*container.begin(bucket))));
        break;
      }
    }
  }
  while (count > 0) {
    for (std::size_t i = 0; i < count;) {
      use(*at[i]);
      if (++at[i] == container.end() || ((start_marks & mark(&*at[i])) != 0 && is_start(&*at[i]))) {
        at[i] = at[--count];
      } else {
        __builtin_prefetch(&*at[i]);
        ++i;
      }
    }
  }
}

/// Prefetches the memory that inserting `key` will read.
template <Bucketed C>
void prefetch_bucket(const C& container, const typename C::key_type& key) {
  const std::size_t bucket = container.bucket(key);
  const auto first = container.cbegin(bucket);
  if (first != container.cend(bucket)) {
    __builtin_prefetch(&*first);
  }
}

}  // namespace stele::walk

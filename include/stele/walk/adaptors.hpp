#pragma once
// Standard containers with another interface than most: forward_list, valarray, stack, queue, priority_queue; atomic.

#include <algorithm>
#include <atomic>
#include <forward_list>
#include <iterator>
#include <queue>
#include <stack>
#include <valarray>
#include <vector>

#include "stele/walk/containers.hpp"
#include "stele/walk/make.hpp"

namespace stele {

template <class T, class A>
struct Visit<std::forward_list<T, A>> {
  using built_in = std::forward_list<T, A>;
  static void write(OutVisitor& out, const built_in& value) {
    out.begin_sequence(static_cast<std::uint64_t>(std::distance(value.begin(), value.end())));
    for (const T& item : value) {
      stele::write(out, item);
    }
    out.end();
  }
  static void read(InVisitor& in, built_in& value) {
    in.begin_sequence();
    value.clear();
    for (auto last = value.before_begin(); in.next();) {
      last = value.insert_after(last, walk::make<T>());
      stele::read(in, *last);
    }
  }
};

/// As a vector.
template <class T>
struct Visit<std::valarray<T>> {
  using built_in = std::valarray<T>;
  static void write(OutVisitor& out, const built_in& value) {
    stele::write(out, std::span<const T>(value.size() == 0 ? nullptr : std::begin(value), value.size()));
  }
  static void read(InVisitor& in, built_in& value) {
    std::vector<T> items;
    stele::read(in, items);
    value.resize(items.size());
    std::copy(items.begin(), items.end(), std::begin(value));
  }
};

namespace walk {

/// Reaches the protected members of a container adaptor.
template <class A>
struct Inside : A {
  static auto& container(A& adaptor) noexcept { return adaptor.*&Inside::c; }
  static const auto& container(const A& adaptor) noexcept { return adaptor.*&Inside::c; }
  static const auto& order(const A& adaptor) noexcept { return adaptor.*&Inside::comp; }
};

/// As the container: a stack from the bottom to the top, a queue from the front to the back.
template <class A>
struct AsAdaptor {
  using built_in = A;
  static void write(OutVisitor& out, const A& value) { stele::write(out, Inside<A>::container(value)); }
  static void read(InVisitor& in, A& value) { stele::read(in, Inside<A>::container(value)); }
};

}  // namespace walk

template <class T, class C>
struct Visit<std::stack<T, C>> : walk::AsAdaptor<std::stack<T, C>> {};
template <class T, class C>
struct Visit<std::queue<T, C>> : walk::AsAdaptor<std::queue<T, C>> {};
/// As the container, a heap. If it is not a heap in the order of this queue, it is made one.
template <class T, class C, class Less>
struct Visit<std::priority_queue<T, C, Less>> : walk::AsAdaptor<std::priority_queue<T, C, Less>> {
  using Queue = std::priority_queue<T, C, Less>;
  static void read(InVisitor& in, Queue& value) {
    C& items = walk::Inside<Queue>::container(value);
    stele::read(in, items);
    const Less& less = walk::Inside<Queue>::order(value);
    if (!std::is_heap(items.begin(), items.end(), less)) {
      std::make_heap(items.begin(), items.end(), less);
    }
  }
};

/// As the value at the time of writing.
template <class T>
struct Visit<std::atomic<T>> {
  using built_in = std::atomic<T>;
  using written_as = T;
  static void write(OutVisitor& out, const built_in& value) { stele::write(out, value.load()); }
  static void read(InVisitor& in, built_in& value) {
    T loaded = value.load();
    stele::read(in, loaded);
    value.store(std::move(loaded));
  }
};
template <>
struct Visit<std::atomic_flag> {
  using built_in = std::atomic_flag;
  static void write(OutVisitor& out, const built_in& value) { out.boolean(value.test()); }
  static void read(InVisitor& in, built_in& value) {
    if (in.boolean()) {
      value.test_and_set();
    } else {
      value.clear();
    }
  }
};

}  // namespace stele

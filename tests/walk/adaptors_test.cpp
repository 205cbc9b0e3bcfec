// forward_list, valarray, stack, queue, priority_queue and atomic.

#include <atomic>
#include <forward_list>
#include <list>
#include <optional>
#include <queue>
#include <stack>
#include <valarray>

#include "stele/hash.hpp"
#include "support/test_support.hpp"

namespace stele {
namespace {

using test::expect_same;
using test::reread;
using test::round_trip;

TEST(Adaptors, ForwardList) {
  expect_same(std::forward_list<int>{1, 2, 3});
  expect_same(std::forward_list<std::string>{"a"});
  expect_same(std::forward_list<int>());
  EXPECT_EQ((reread<std::vector<int>>(std::forward_list<int>{1, 2})), (std::vector<int>{1, 2}));
  EXPECT_EQ((reread<std::forward_list<int>>(std::vector<int>{1, 2})), (std::forward_list<int>{1, 2}));
  EXPECT_EQ(hash(std::forward_list<int>{1, 2}), hash(std::list<int>{1, 2}));
}

TEST(Adaptors, Valarray) {
  const std::valarray<double> values{1, 2.5, -3};
  const auto back = round_trip(values);
  EXPECT_TRUE(back.size() == 3 && (back == values).min());
  EXPECT_EQ(reread<std::vector<double>>(values), (std::vector<double>{1, 2.5, -3}));
  EXPECT_EQ(to_bytes(values), to_bytes(std::vector<double>{1, 2.5, -3}));
  EXPECT_EQ(round_trip(std::valarray<int>()).size(), 0U);
  EXPECT_EQ(round_trip(std::valarray<std::string>{"a", "b"})[1], "b");
  EXPECT_TRUE((round_trip(std::valarray<bool>{true, false}))[0]);
}

TEST(Adaptors, StackAndQueue) {
  std::stack<int> stack;
  std::queue<std::string> queue;
  for (int i = 0; i < 5; ++i) {
    stack.push(i);
    queue.push(std::to_string(i));
  }
  expect_same(stack);
  expect_same(queue);
  expect_same(std::stack<int, std::vector<int>>(std::vector<int>{1, 2}));
  EXPECT_EQ((reread<std::vector<int>>(stack)), (std::vector<int>{0, 1, 2, 3, 4}));
  EXPECT_EQ((reread<std::stack<int>>(std::vector<int>{1, 7})).top(), 7);
}

template <class Queue>
std::vector<int> drained(Queue queue) {
  std::vector<int> all;
  for (; !queue.empty(); queue.pop()) {
    all.push_back(queue.top());
  }
  return all;
}

TEST(Adaptors, PriorityQueue) {
  std::priority_queue<int> queue;
  for (const int value : {3, 9, 1, 7, 5}) {
    queue.push(value);
  }
  EXPECT_EQ(drained(round_trip(queue)), (std::vector<int>{9, 7, 5, 3, 1}));
  using Least = std::priority_queue<int, std::vector<int>, std::greater<>>;
  EXPECT_EQ(drained(reread<Least>(queue)), (std::vector<int>{1, 3, 5, 7, 9}));  // another order makes another heap
  EXPECT_EQ(drained(reread<std::priority_queue<int>>(std::vector<int>{1, 2, 3})), (std::vector<int>{3, 2, 1}));
}

TEST(Adaptors, Atomics) {
  struct Counters {
    std::atomic<int> hits{4};
    std::atomic<double> share{0.5};
    std::atomic<bool> on{true};
    std::atomic_flag flag;
  };
  Counters counters;
  counters.flag.test_and_set();
  const auto bytes = to_bytes(counters);
  Counters back;
  back.hits = 0;
  back.on = false;
  Reader in{Bytes(bytes)};
  in.read_into(back);
  EXPECT_EQ(back.hits, 4);
  EXPECT_EQ(back.share, 0.5);
  EXPECT_TRUE(back.on);
  EXPECT_TRUE(back.flag.test());
  EXPECT_EQ(reread<int>(std::atomic<int>(7)), 7);
}

TEST(Adaptors, AnAtomicOfAnEmptyOptionalIsNotNull) {
  auto holder = std::make_unique<std::atomic<std::optional<char>>>();
  const auto back = from_bytes<decltype(holder)>(to_bytes(holder));
  ASSERT_NE(back, nullptr);
  EXPECT_FALSE(back->load().has_value());
}

}  // namespace
}  // namespace stele

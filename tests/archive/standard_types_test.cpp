// Standard types with special interfaces: container adaptors, atomic, the calendar, random number engines.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <forward_list>
#include <list>
#include <queue>
#include <random>
#include <stack>
#include <valarray>

#include "stele/hash.hpp"
#include "stele/random.hpp"
#include "stele/value.hpp"
#include "support/test_support.hpp"

namespace stele {
namespace {

using namespace std::chrono;
using test::error_of;
using test::expect_same;
using test::reread;
using test::round_trip;

// --- Containers ------------------------------------------------------------------------------------------------------

TEST(StandardTypes, ForwardList) {
  expect_same(std::forward_list<int>{1, 2, 3});
  expect_same(std::forward_list<std::string>{"a"});
  expect_same(std::forward_list<int>());
  EXPECT_EQ((reread<std::vector<int>>(std::forward_list<int>{1, 2})), (std::vector<int>{1, 2}));
  EXPECT_EQ((reread<std::forward_list<int>>(std::vector<int>{1, 2})), (std::forward_list<int>{1, 2}));
  EXPECT_EQ(hash(std::forward_list<int>{1, 2}), hash(std::list<int>{1, 2}));
}

TEST(StandardTypes, Valarray) {
  const std::valarray<double> values{1, 2.5, -3};
  const auto back = round_trip(values);
  EXPECT_TRUE(back.size() == 3 && (back == values).min());
  EXPECT_EQ(reread<std::vector<double>>(values), (std::vector<double>{1, 2.5, -3}));
  EXPECT_EQ(to_bytes(values), to_bytes(std::vector<double>{1, 2.5, -3}));
  EXPECT_EQ(round_trip(std::valarray<int>()).size(), 0U);
  EXPECT_EQ(round_trip(std::valarray<std::string>{"a", "b"})[1], "b");
  EXPECT_TRUE((round_trip(std::valarray<bool>{true, false}))[0]);
}

TEST(StandardTypes, StackAndQueue) {
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

TEST(StandardTypes, PriorityQueue) {
  std::priority_queue<int> queue;
  for (const int value : {3, 9, 1, 7, 5}) {
    queue.push(value);
  }
  EXPECT_EQ(drained(round_trip(queue)), (std::vector<int>{9, 7, 5, 3, 1}));
  using Least = std::priority_queue<int, std::vector<int>, std::greater<>>;
  EXPECT_EQ(drained(reread<Least>(queue)), (std::vector<int>{1, 3, 5, 7, 9}));  // another order makes another heap
  EXPECT_EQ(drained(reread<std::priority_queue<int>>(std::vector<int>{1, 2, 3})), (std::vector<int>{3, 2, 1}));
}

TEST(StandardTypes, Atomics) {
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

// --- The calendar ----------------------------------------------------------------------------------------------------

TEST(StandardTypes, CalendarDates) {
  expect_same(2026y / 11 / 29);
  expect_same(year_month_day(year(-5), month(2), day(30)));  // does not exist
  expect_same(year_month_day(year(2026), month(0), day(255)));
  expect_same(2026y / 11);
  expect_same(month_day(month(2), day(29)));
  expect_same(2026y / February / last);
  expect_same(month_day_last(month(2)));
  expect_same(2026y / November / Sunday[5]);
  expect_same(2026y / November / Sunday[last]);
  expect_same(month_weekday(month(1), Monday[1]));
  expect_same(month_weekday_last(month(1), Monday[last]));
  expect_same(Monday[2]);
  expect_same(Monday[last]);
  expect_same(year::min());
  expect_same(year::max());
  expect_same(month(12));
  expect_same(day(31));
  expect_same(Saturday);
  expect_same(std::vector<year_month_day>{2026y / 1 / 2, 2027y / 3 / 4});
  expect_same(std::map<year_month_day, int>{{2026y / 1 / 2, 1}});
  EXPECT_EQ((reread<std::array<int, 3>>(2026y / 11 / 29)), (std::array{2026, 11, 29}));
  EXPECT_EQ(reread<int>(2026y), 2026);
  EXPECT_EQ(error_of([] { reread<month>(256); }).code(), Errc::out_of_range);
  EXPECT_EQ(error_of([] { reread<year>(40'000); }).code(), Errc::out_of_range);
  EXPECT_EQ(error_of([] { reread<year_month_day>(2026y / 11); }).code(), Errc::type_mismatch);
}

TEST(StandardTypes, TimesOfTheDay) {
  const hh_mm_ss<milliseconds> time(3h + 4min + 5s + 6ms);
  EXPECT_EQ(round_trip(time).to_duration(), time.to_duration());
  EXPECT_EQ(round_trip(hh_mm_ss<hours>(-2h)).to_duration(), -2h);
  EXPECT_EQ(error_of([] { (reread<hh_mm_ss<hours>>(90min)); }).code(), Errc::out_of_range);
}

// --- Random number engines -------------------------------------------------------------------------------------------

template <class E>
class Engines : public testing::Test {};
using EngineTypes = testing::Types<
    std::mt19937, std::mt19937_64, std::minstd_rand, std::minstd_rand0, std::ranlux24_base, std::ranlux48_base,
    std::ranlux24, std::ranlux48, std::knuth_b, std::independent_bits_engine<std::mt19937, 17, std::uint32_t>,
    std::shuffle_order_engine<std::mt19937_64, 7>, std::linear_congruential_engine<std::uint64_t, 5, 1, 0>>;
TYPED_TEST_SUITE(Engines, EngineTypes);

TYPED_TEST(Engines, GoOnWithTheSameNumbers) {
  for (const unsigned long long used : {0ULL, 1ULL, 623ULL, 624ULL, 10'007ULL}) {
    TypeParam engine(42);
    engine.discard(used);
    TypeParam back = round_trip(engine);
    EXPECT_EQ(back, engine);
    TypeParam value = to_value(engine).template to<TypeParam>();
    for (int i = 0; i < 2000; ++i) {
      const auto wanted = engine();
      ASSERT_EQ(back(), wanted);
      ASSERT_EQ(value(), wanted);
    }
  }
}

TYPED_TEST(Engines, RefuseNumbersThatAreNoState) {
  auto numbers = reread<std::vector<std::uint64_t>>(TypeParam(1));
  const std::vector<std::uint64_t> good = numbers;
  for (const std::size_t at : {std::size_t{0}, numbers.size() - 1}) {
    numbers = good;
    numbers[at] = ~std::uint64_t{0};
    if (TypeParam::max() != ~std::uint64_t{0}) {
      EXPECT_EQ(error_of([&] { reread<TypeParam>(numbers); }).code(), Errc::malformed) << at;
    }
  }
  numbers = good;
  numbers.push_back(0);
  EXPECT_EQ(error_of([&] { reread<TypeParam>(numbers); }).code(), Errc::type_mismatch);
  EXPECT_EQ(error_of([&] { reread<TypeParam>(std::vector<std::uint64_t>()); }).code(), Errc::type_mismatch);
}

#if defined(__GLIBCXX__)
TEST(StandardTypes, EnginesDoNotGoBeyondTheirState) {
  auto numbers = reread<std::vector<std::uint64_t>>(std::mt19937_64(1));
  numbers.back() = 313;  // where the next number comes from
  EXPECT_EQ(error_of([&] { reread<std::mt19937_64>(numbers); }).code(), Errc::malformed);
  numbers.back() = 312;
  EXPECT_NE(reread<std::mt19937_64>(numbers)(), 0U);
}
#endif

TEST(StandardTypes, AnAtomicThatHoldsNothingIsNotNothing) {
  auto holder = std::make_unique<std::atomic<std::optional<char>>>();
  const auto back = from_bytes<decltype(holder)>(to_bytes(holder));
  ASSERT_NE(back, nullptr);
  EXPECT_FALSE(back->load().has_value());
}

TEST(StandardTypes, EnginesInObjects) {
  struct Sampler {
    std::mt19937_64 engine{7};
    std::vector<std::minstd_rand> others = std::vector<std::minstd_rand>(3, std::minstd_rand(5));
  };
  Sampler sampler;
  sampler.engine.discard(99);
  Sampler back = round_trip(sampler);
  EXPECT_EQ(back.engine, sampler.engine);
  EXPECT_EQ(back.others, sampler.others);
  EXPECT_EQ(hash(sampler), hash(back));
  back.engine.discard(1);
  EXPECT_NE(hash(sampler), hash(back));
}

}  // namespace
}  // namespace stele

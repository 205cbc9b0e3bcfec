// Sorted containers of many items: any keys, wherever their nodes lie.

#include <functional>
#include <limits>
#include <map>
#include <set>

#include "walk/support.hpp"

namespace stele {
namespace {

using test::expect_round_trip;
using test::letters;
using test::random_bits;

TEST(Ordered, SortedContainersOfAnyKeysAndPlaces) {
  const std::size_t count = 40'000;
  std::map<std::string, std::uint32_t> even;
  std::map<std::string, std::uint32_t, std::greater<>> descending;
  std::multimap<std::string, std::uint32_t> few_keys;
  std::set<std::string> prefixed;
  std::set<std::string> lopsided = {std::string(), std::string(1, '\0'), "\xff\xff\xff\xff\xff\xff\xff\xff\xff"};
  std::set<std::int64_t> integers = {std::numeric_limits<std::int64_t>::min(),
                                     std::numeric_limits<std::int64_t>::max()};
  std::set<double> reals = {-std::numeric_limits<double>::infinity(), std::numeric_limits<double>::infinity()};
  std::set<double> finite = {std::numeric_limits<double>::lowest(), std::numeric_limits<double>::max()};
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint64_t bits = random_bits()();
    const auto value = static_cast<std::uint32_t>(bits);
    even.emplace(letters(4 + bits % 9), value);
    descending.emplace(letters(6), value);
    few_keys.emplace(letters(1), value);
    prefixed.insert("a long beginning that all of them have/" + std::to_string(bits % 1'000'000'000));
    lopsided.insert("m" + std::to_string(bits));
    integers.insert(static_cast<std::int64_t>(bits >> bits % 60));
    reals.insert(static_cast<double>(bits));
    finite.insert(static_cast<double>(value) / 1e9);
  }
  expect_round_trip(even);
  expect_round_trip(descending);
  expect_round_trip(few_keys);
  expect_round_trip(prefixed);
  expect_round_trip(lopsided);
  expect_round_trip(integers);
  expect_round_trip(reals);
  expect_round_trip(finite);
}

}  // namespace
}  // namespace stele

// Unordered containers of many items.

#include <limits>
#include <map>
#include <unordered_map>
#include <unordered_set>

#include "support/test_support.hpp"

namespace stele {
namespace {

using test::error_of;
using test::expect_same;
using test::reread;
using test::round_trip;

TEST(Hashed, LargeUnorderedContainers) {
  for (const int count : {4095, 4096, 4097, 50'000}) {
    std::unordered_map<std::string, std::vector<int>> map;
    std::unordered_set<std::int64_t> set;
    std::unordered_multimap<int, int> multimap;
    for (int i = 0; i < count; ++i) {
      map["key " + std::to_string(i * 7919)] = {i, i + 1};
      set.insert(std::int64_t{i} * 1'000'003);
      multimap.emplace(i / 3, i);
    }
    expect_same(map);
    expect_same(set);
    expect_same(multimap);
    EXPECT_EQ(to_bytes(map), to_bytes(map));
    std::unordered_map<std::string, std::vector<int>> another(10 * map.size());
    another.insert(map.begin(), map.end());
    EXPECT_EQ(to_bytes(map, {.canonical = true}), to_bytes(another, {.canonical = true}));
    EXPECT_EQ(error_of([&] {
                (reread<std::unordered_map<int, int>>(std::multimap<int, int>(multimap.begin(), multimap.end())));
              }).code(),
              Errc::malformed);
  }
  std::unordered_set<int> emptied(100'000);
  expect_same(emptied);
  std::unordered_set<int> few(10'000'000);
  std::unordered_map<double, int> unequal;
  for (int i = 0; i < 5000; ++i) {
    few.insert(i);
    unequal.emplace(std::numeric_limits<double>::quiet_NaN(), i);
  }
  expect_same(few);
  EXPECT_EQ(round_trip(unequal).size(), 5000U);
  struct Constant {
    std::size_t operator()(int) const { return 7; }
  };
  std::unordered_map<int, int, Constant> one_bucket;
  for (int i = 0; i < 4500; ++i) {
    one_bucket[i] = -i;
  }
  expect_same(one_bucket);
}

}  // namespace
}  // namespace stele

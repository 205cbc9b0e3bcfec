// Sets and maps.

#include <limits>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "support/test_support.hpp"

namespace stele {
namespace {

using test::expect_same;

TEST(Keyed, SetsAndMaps) {
  expect_same(std::set<int>{3, 1, 2});
  expect_same(std::set<std::string>{"b", "a"});
  expect_same(std::set<std::vector<int>>{{1, 2}, {}, {0}});
  expect_same(std::multiset<int>{1, 1, 2});
  expect_same(std::map<std::string, int>{{"a", 1}, {"b", 2}});
  expect_same(std::map<int, std::map<int, std::string>>{{1, {{2, "x"}}}, {3, {}}});
  expect_same(std::map<std::pair<int, int>, double>{{{1, 2}, 3.0}});
  expect_same(std::map<double, int>{{-0.5, 1}, {0.25, 2}});
  expect_same(std::map<bool, int>{{false, 1}, {true, 2}});
  expect_same(std::map<std::vector<int>, int>{{{1, 2, 3}, 1}, {{}, 2}});
  expect_same(std::map<std::int64_t, int>{{-5, 1}, {std::numeric_limits<std::int64_t>::min(), 2}});
  expect_same(std::map<std::string, int, std::greater<>>{{"a", 1}, {"b", 2}});
  expect_same(std::unordered_set<int>{5, 6, 7});
  expect_same(std::unordered_set<std::string>{"x", "y"});
  expect_same(std::unordered_multiset<int>{1, 1, 2});
  expect_same(std::unordered_map<std::string, std::vector<int>>{{"a", {1}}, {"b", {}}});
  expect_same(std::unordered_multimap<int, int>{{1, 2}, {1, 3}});
  expect_same(std::map<std::optional<int>, int>{{{}, 1}, {2, 2}});
  expect_same(std::map<std::string, std::optional<int>>{{"", {}}, {"a/b~c", 3}});
}

TEST(Keyed, EqualKeysOfAMultimapKeepTheirOrder) {
  std::multimap<int, std::string> map;
  map.emplace(1, "first");
  map.emplace(1, "second");
  map.emplace(0, "zero");
  map.emplace(1, "third");
  expect_same(map);
}

}  // namespace
}  // namespace stele

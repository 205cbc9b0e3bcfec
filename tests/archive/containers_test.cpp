// Containers, records and combinations: save and load.

#include <complex>
#include <deque>
#include <limits>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <variant>

#include "support/test_support.hpp"

namespace foreign {

class Thing {
 public:
  explicit Thing(int x = 0) : x(x) {}
  int x;
};

/// A record whose only field is named after its number.
struct Numbered {
  std::size_t number = 0;
  std::string text;
  bool operator==(const Numbered&) const = default;
};

}  // namespace foreign

template <>
struct stele::Visit<foreign::Thing> {
  static void visit(auto& v, auto& self) { v("x", self.x); }
};

template <>
struct stele::Visit<foreign::Numbered> {
  static void write(OutVisitor& out, const foreign::Numbered& value) {
    const std::string name = std::to_string(value.number);
    const std::string_view names[] = {name};
    out.begin_record({names, 0, nullptr});
    out.text(value.text);
    out.end();
  }
  static void read(InVisitor& in, foreign::Numbered& value) {
    in.begin_record();
    for (std::string_view name; in.next_field(name);) {
      value.number = std::stoul(std::string(name));
      in.text(value.text);
    }
  }
};

namespace stele {
namespace {

using test::error_of;
using test::expect_same;
using test::reread;
using test::round_trip;

// --- Containers ------------------------------------------------------------------------------------------------------

TEST(Types, Sequences) {
  expect_same(std::vector<int>());
  expect_same(std::vector<int>{1, -2, 3});
  expect_same(std::vector<std::string>{"a", "b", ""});
  expect_same(std::vector<std::vector<float>>{{1, 2}, {}, {3}});
  expect_same(std::vector<std::vector<std::vector<std::string>>>{{{"a"}, {}}, {}});
  expect_same(std::deque<int>{1, 2, 3});
  expect_same(std::deque<std::string>(1000, "x"));
  expect_same(std::list<double>{1, 2.5});
  expect_same(std::list<std::vector<int>>{{1}, {}, {2, 3}});
  expect_same(std::vector<bool>{true, false, true});
  expect_same(std::vector<bool>());
  expect_same(std::vector<bool>(10001, true));
  expect_same(std::vector<std::vector<bool>>{{true}, {}, {false}});
  expect_same(std::deque<bool>{true, false});
  expect_same(std::list<bool>{true, false});
}

TEST(Types, FixedArrays) {
  expect_same(std::array<int, 3>{1, 2, 3});
  expect_same(std::array<int, 0>{});
  expect_same(std::array<std::string, 0>{});
  expect_same(std::array<std::string, 2>{"a", "b"});
  expect_same(std::array<std::array<float, 3>, 2>{{{1, 2, 3}, {4, 5, 6}}});
  expect_same(std::array<std::array<std::vector<int>, 2>, 2>{});
  expect_same(std::vector<std::array<float, 3>>{{1, 2, 3}, {4, 5, 6}});
  expect_same(std::vector<std::array<float, 3>>());
  expect_same(std::vector<std::array<std::array<std::uint8_t, 2>, 3>>(500));
  expect_same(std::array<bool, 3>{true, false, true});
  expect_same(std::vector<std::array<bool, 2>>{{true, false}, {false, true}});
  expect_same(std::array<std::complex<double>, 2>{{{1, 2}, {3, 4}}});
  EXPECT_EQ(error_of([] { (reread<std::array<int, 2>>(std::array<int, 3>{})); }).code(), Errc::type_mismatch);
  EXPECT_EQ(error_of([] { (reread<std::array<std::string, 2>>(std::array<std::string, 3>{})); }).code(),
            Errc::type_mismatch);
  EXPECT_EQ(error_of([] { (reread<std::vector<std::array<int, 2>>>(std::vector<std::array<int, 3>>(2))); }).code(),
            Errc::type_mismatch);
}

struct CArrays {
  int numbers[3];
  float grid[2][4];
  std::string names[2];
  bool flags[5];
  char code[4];
  bool operator==(const CArrays&) const = default;
};

TEST(Types, CArrays) {
  expect_same(CArrays{
      {1, 2, 3}, {{1, 2, 3, 4}, {5, 6, 7, 8}}, {"a", "b"}, {true, false, true, false, true}, {'a', 'b', 0, '\xff'}});
}

TEST(Types, SetsAndMaps) {
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

TEST(Types, LargeUnorderedContainers) {
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

TEST(Types, EqualKeysOfAMultimapKeepTheirOrder) {
  std::multimap<int, std::string> map;
  map.emplace(1, "first");
  map.emplace(1, "second");
  map.emplace(0, "zero");
  map.emplace(1, "third");
  expect_same(map);
}

struct Named {
  std::string name;
  std::vector<int> values;
  auto operator<=>(const Named&) const = default;
};
struct Outer {
  Named one;
  std::vector<Named> many;
  std::map<std::string, Named> by_name;
  std::optional<Named> maybe;
  std::variant<int, Named> either;
  std::pair<Named, int> pair;
  std::unique_ptr<int> owned;
};
struct Empty {
  bool operator==(const Empty&) const = default;
};
struct HoldsEmpty {
  Empty empty;
  int x = 0;
  bool operator==(const HoldsEmpty&) const = default;
};

TEST(Types, Aggregates) {
  Outer value;
  value.one = {"one", {1, 2}};
  value.many = {{"a", {}}, {"b", {3}}};
  value.by_name = {{"k", {"v", {4}}}};
  value.maybe = Named{"m", {5}};
  value.either = Named{"e", {6}};
  value.pair = {{"p", {7}}, 8};
  value.owned = std::make_unique<int>(9);
  const Outer back = round_trip<Outer>(value);
  EXPECT_EQ(back.one, value.one);
  EXPECT_EQ(back.many, value.many);
  EXPECT_EQ(back.by_name, value.by_name);
  EXPECT_EQ(back.maybe, value.maybe);
  EXPECT_EQ(back.either, value.either);
  EXPECT_EQ(back.pair, value.pair);
  EXPECT_EQ(*back.owned, 9);
  expect_same(Empty{});
  expect_same(HoldsEmpty{{}, 4});
  expect_same(std::vector<Empty>(3));
  expect_same(std::vector<HoldsEmpty>(3));
  expect_same(std::set<Named>{{"a", {}}, {"b", {1}}});
  expect_same(std::map<Named, int>{{{"a", {}}, 1}});
}

TEST(Types, RecordsOfSeveralTypesMix) {
  struct A {
    std::string a;
  };
  struct B {
    std::string b;
  };
  std::vector<std::variant<A, B>> mixed;
  for (int i = 0; i < 1000; ++i) {
    i % 3 == 0 ? mixed.emplace_back(A{"a"}) : mixed.emplace_back(B{"b"});
  }
  const auto back = round_trip(mixed);
  ASSERT_EQ(back.size(), mixed.size());
  for (std::size_t i = 0; i < back.size(); ++i) {
    ASSERT_EQ(back[i].index(), mixed[i].index());
    EXPECT_EQ(i % 3 == 0 ? std::get<0>(back[i]).a : std::get<1>(back[i]).b, i % 3 == 0 ? "a" : "b");
  }
}

TEST(Types, MoreRecordsThanThereAreRecordTags) {
  std::vector<std::vector<foreign::Numbered>> kinds;
  for (std::size_t round = 0; round < 2; ++round) {
    for (std::size_t number = 0; number < 300; ++number) {
      kinds.push_back({{number, "a" + std::to_string(round)}, {number, "b"}});
    }
  }
  EXPECT_EQ(round_trip(kinds), kinds);
  EXPECT_EQ(round_trip(std::pair(kinds, kinds)).second, kinds);
}

class Private {
 public:
  Private() = default;
  Private(int a, std::string b) : a_(a), b_(std::move(b)) {}
  static void visit(auto& v, auto& self) { v("a", self.a_)("b", self.b_); }
  bool operator==(const Private&) const = default;

 private:
  int a_ = 0;
  std::string b_;
};

TEST(Types, VisitedClasses) {
  expect_same(Private(3, "x"));
  expect_same(std::vector<Private>{{1, "a"}, {2, "b"}});
  EXPECT_EQ(round_trip(std::map<int, foreign::Thing>{{1, foreign::Thing(7)}}).at(1).x, 7);
}

// --- Everything at once ----------------------------------------------------------------------------------------------

struct Pixel {
  float x = 0, y = 0;
  std::uint16_t colour[4] = {};
  bool operator==(const Pixel&) const = default;
};

struct Tree {
  std::string name;
  std::variant<std::monostate, std::int64_t, double, std::string> value;
  std::vector<Tree> children;
  std::map<std::string, Tree> named;
  std::vector<float> weights;
  std::vector<Pixel> records;
  std::optional<std::vector<bool>> flags;
  bool operator==(const Tree&) const = default;
};

class Random {
 public:
  explicit Random(unsigned seed) : random_(seed) {}
  std::size_t below(std::size_t n) { return random_() % n; }
  std::string text() {
    std::string text(below(10) == 0 ? below(100000) : below(30), '\0');
    for (char& c : text) {
      c = static_cast<char>(below(4) == 0 ? random_() : 'a' + below(26));
    }
    return text;
  }
  Tree tree(int depth) {
    Tree t;
    t.name = text();
    switch (below(4)) {
      case 1:
        t.value = static_cast<std::int64_t>(random_());
        break;
      case 2:
        t.value = static_cast<double>(random_()) / 7;
        break;
      case 3:
        t.value = text();
        break;
      default:
        break;
    }
    t.weights = test::numbers<float>(below(3) == 0 ? below(50000) : below(20), static_cast<unsigned>(random_()));
    t.records.resize(below(100));
    for (Pixel& pixel : t.records) {
      pixel = {static_cast<float>(below(1000)), 0.5F, {1, static_cast<std::uint16_t>(below(65536)), 3, 4}};
    }
    if (below(2) == 0) {
      t.flags = std::vector<bool>(below(5000), true);
    }
    for (std::size_t n = depth > 0 ? below(4) : 0; n > 0; --n) {
      t.children.push_back(tree(depth - 1));
    }
    for (std::size_t n = depth > 0 ? below(3) : 0; n > 0; --n) {
      t.named[text()] = tree(depth - 1);
    }
    return t;
  }

 private:
  std::mt19937_64 random_;
};

TEST(Types, RandomTreesRoundTripEverywhere) {
  const test::Folder folder;
  for (unsigned seed = 0; seed < 12; ++seed) {
    const Tree tree = Random(seed).tree(3);
    for (const char* name : {"tree.stele", "tree.stele.gz", "tree.stele.zst"}) {
      if (std::string_view(name).ends_with(".zst") && !test::has_codec("zstd")) {
        continue;
      }
      save(tree, folder / name);
      ASSERT_EQ(load<Tree>(folder / name), tree) << seed << name;
      const File file = open(folder / name);
      ASSERT_EQ(file.load<Tree>(), tree) << seed << name;
      if (!tree.children.empty()) {
        const std::string last = "children/" + std::to_string(tree.children.size() - 1);
        EXPECT_EQ(file.load<Tree>(last), tree.children.back());
        EXPECT_EQ(file.load<std::string>(last + "/name"), tree.children.back().name);
        EXPECT_EQ(file.load<std::vector<float>>(last + "/weights"), tree.children.back().weights);
        EXPECT_EQ(file.load<std::vector<Pixel>>(last + "/records"), tree.children.back().records);
      }
      file.verify();
    }
    ASSERT_EQ(round_trip(tree), tree) << seed;
    ASSERT_EQ(to_bytes(tree), to_bytes(round_trip(tree))) << seed;
  }
}

}  // namespace
}  // namespace stele

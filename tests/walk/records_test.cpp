// Classes as records of named fields: aggregates, classes with visit, base classes.

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <tuple>
#include <variant>

#include "walk/support.hpp"

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

using test::expect_form;
using test::expect_same;
using test::round_trip;

struct Item {
  std::string name;
  std::vector<int> values;
  auto operator<=>(const Item&) const = default;
};
struct Outer {
  Item one;
  std::vector<Item> many;
  std::map<std::string, Item> by_name;
  std::optional<Item> maybe;
  std::variant<int, Item> either;
  std::pair<Item, int> pair;
  std::unique_ptr<int> owned;
};
struct Nothing {
  bool operator==(const Nothing&) const = default;
};
struct HoldsNothing {
  Nothing empty;
  int x = 0;
  bool operator==(const HoldsNothing&) const = default;
};

TEST(Records, Aggregates) {
  Outer value;
  value.one = {"one", {1, 2}};
  value.many = {{"a", {}}, {"b", {3}}};
  value.by_name = {{"k", {"v", {4}}}};
  value.maybe = Item{"m", {5}};
  value.either = Item{"e", {6}};
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
  expect_same(Nothing{});
  expect_same(HoldsNothing{{}, 4});
  expect_same(std::vector<Nothing>(3));
  expect_same(std::vector<HoldsNothing>(3));
  expect_same(std::set<Item>{{"a", {}}, {"b", {1}}});
  expect_same(std::map<Item, int>{{{"a", {}}, 1}});
}

TEST(Records, RecordsOfSeveralTypesMix) {
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

TEST(Records, MoreRecordsThanThereAreRecordTags) {
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

TEST(Records, VisitedClasses) {
  expect_same(Private(3, "x"));
  expect_same(std::vector<Private>{{1, "a"}, {2, "b"}});
  EXPECT_EQ(round_trip(std::map<int, foreign::Thing>{{1, foreign::Thing(7)}}).at(1).x, 7);
}

// --- Base classes ----------------------------------------------------------------------------------------------------

struct Named {
  std::string name = "none";
  static void visit(auto& v, auto& self) { v("name", self.name); }
};
struct Person : Named {
  int age = 0;
  static void visit(auto& v, auto& self) { visit_base<Named>(v, self)("age", self.age); }
};
struct Pupil final : Person {
  int form = 0;
  static void visit(auto& v, auto& self) { v.template base<Person>(self)("form", self.form); }
};
struct Place {
  double x = 0, y = 0;
};
struct Town : Place, Named {
  std::vector<int> codes;
  static void visit(auto& v, auto& self) {
    visit_base<Place>(v, self);
    visit_base<Named>(v, self)("codes", self.codes);
  }
};
class Foreign {
 public:
  int& number() { return number_; }
  const int& number() const { return number_; }

 private:
  int number_ = 4;
};
struct Table : std::vector<float> {
  int columns = 0;
  static void visit(auto& v, auto& self) { v("values", as_base<std::vector<float>>(self))("columns", self.columns); }
};

}  // namespace
}  // namespace stele

template <>
struct stele::Visit<stele::Foreign> {
  static void visit(auto& v, auto& self) { v("number", self.number()); }
};

namespace stele {
namespace {

TEST(BaseClasses, FieldsOfBasesAreInTheSameRecord) {
  Pupil pupil;
  pupil.name = "ann";
  pupil.age = 9;
  pupil.form = 3;
  expect_form(pupil, R"({"name":"ann","age":9,"form":3})");
  Town town;
  town.x = 1;
  town.y = 2;
  town.name = "ulm";
  town.codes = {7};
  const Town again = round_trip(town);
  EXPECT_EQ(again.x, 1);
  EXPECT_EQ(again.y, 2);
  EXPECT_EQ(again.name, "ulm");
  EXPECT_EQ(again.codes, std::vector<int>{7});
}

struct OwnForeign : Foreign {
  int more = 5;
  static void visit(auto& v, auto& self) { visit_base<Foreign>(v, self)("more", self.more); }
};
TEST(BaseClasses, TheTraitOfABaseIsUsed) { expect_form(OwnForeign(), R"({"number":4,"more":5})"); }

TEST(BaseClasses, AContainerIsAField) {
  Table table;
  table.assign({1, 2, 3, 4});
  table.columns = 2;
  const Table again = round_trip(table);
  EXPECT_EQ(again.columns, 2);
  EXPECT_EQ(again, table);
  const Value stored = to_value(table);
  EXPECT_TRUE(stored["values"].is_array());
}

struct TwoNames : Named {
  std::string mine = "mine";
  static void visit(auto& v, auto& self) { visit_base<Named>(v, self)("name", self.mine); }
};
struct SameTwice {
  int a = 1, b = 2;
  static void visit(auto& v, auto& self) { v("x", self.a)("y", self.b)("x", self.b); }
};
TEST(BaseClasses, TwoFieldsOfOneNameAreAnError) {
  EXPECT_ERROR(to_bytes(TwoNames()), Errc::invalid_argument, "two fields the name \"name\"");
  EXPECT_ERROR(hash(TwoNames()), Errc::invalid_argument, "name");
  EXPECT_ERROR(to_bytes(SameTwice()), Errc::invalid_argument, "\"x\"");
}

struct Version1 {
  int a = 1;
  static void visit(auto& v, auto& self) { v.version(1), v("a", self.a); }
};
struct Version2 : Version1 {
  int b = 1;
  static void visit(auto& v, auto& self) { v.version(2), visit_base<Version1>(v, self)("b", self.b); }
};
TEST(BaseClasses, TwoVersionsAreAnError) {
  EXPECT_ERROR(to_bytes(Version2()), Errc::invalid_argument, "different versions");
}

struct Empty {};
struct OtherEmpty {};
struct WithEmptyBases : OtherEmpty, Empty {
  int number = 3;
  std::string text = "t";
};
template <class D>
struct Comparable {};
struct Compared : Comparable<Compared> {
  int x = 0, y = 0;
};
TEST(BaseClasses, EmptyOnesOfAnAggregateDoNotCount) {
  expect_form(Compared{{}, 1, 2}, R"({"x":1,"y":2})");
  expect_form(WithEmptyBases(), R"({"number":3,"text":"t"})");
  static_assert(field_names<Compared>[1] == "y");
  EXPECT_TRUE(to_value(std::vector<Compared>(2)).is_array());  // no padding: one array
}

struct Animal {
  virtual ~Animal() = default;
  int legs = 4;
  static void visit(auto& v, auto& self) { v("legs", self.legs); }
};
struct Dog : Animal {
  std::string name = "rex";
  static void visit(auto& v, auto& self) { visit_base<Animal>(v, self)("name", self.name); }
};
TEST(BaseClasses, OfRegisteredTypes) {
  TypeRegistry types;
  types.add<Dog, Animal>("dog");
  auto dog = std::make_unique<Dog>();
  dog->name = "bo";
  dog->legs = 3;
  const std::unique_ptr<Animal> animal = std::move(dog);
  const auto again = from_bytes<std::unique_ptr<Animal>>(to_bytes(animal, {.types = &types}), {.types = &types});
  EXPECT_EQ(dynamic_cast<Dog&>(*again).name, "bo");
  EXPECT_EQ(again->legs, 3);
}

struct Solver {  // an interface without fields
  virtual ~Solver() = default;
  virtual int order() const = 0;
};
struct Euler final : Solver {
  int steps = 1;
  int order() const override { return 1; }
  static void visit(auto& v, auto& self) { v("steps", self.steps); }
};
TEST(BaseClasses, AnInterfaceNeedsNoVisit) {
  TypeRegistry types;
  types.add<Euler, Solver>("euler");
  const std::vector<std::shared_ptr<Solver>> solvers{std::make_shared<Euler>()};
  const auto again =
      from_bytes<std::vector<std::shared_ptr<Solver>>>(to_bytes(solvers, {.types = &types}), {.types = &types});
  EXPECT_EQ(again[0]->order(), 1);
  const std::unique_ptr<Solver> one = std::make_unique<Euler>();
  EXPECT_EQ(from_bytes<std::unique_ptr<Solver>>(to_bytes(one, {.types = &types}), {.types = &types})->order(), 1);
}

}  // namespace
}  // namespace stele

// Objects of classes without a public default constructor: how loading creates them.

#include <deque>
#include <forward_list>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <tuple>
#include <unordered_map>
#include <variant>

#include "stele/types.hpp"
#include "stele/value.hpp"
#include "support/test_support.hpp"

namespace stele {
namespace {

using test::expect_same;
using test::reread;
using test::round_trip;

/// Its default constructor is private.
class Hidden {
 public:
  explicit Hidden(int n) : n_(n) {}
  static void visit(auto& v, auto& self) { v("n", self.n_)("more", self.more_); }
  friend auto operator<=>(const Hidden&, const Hidden&) = default;
  int more() const { return more_; }

 private:
  friend struct stele::Access;
  Hidden() = default;
  int n_ = 3;
  int more_ = 5;
};

/// Every constructor takes an argument.
class Sized {
 public:
  explicit Sized(int n) : n_(n) {}
  static void visit(auto& v, auto& self) { v.renamed("size", "n", self.n_)("more", self.more_); }
  friend auto operator<=>(const Sized&, const Sized&) = default;
  int n() const { return n_; }
  int more() const { return more_; }

 private:
  friend struct stele::Access;
  static Sized stele_make() {
    Sized made(-1);
    made.more_ = 9;
    return made;
  }
  int n_;
  int more_ = 0;
};

/// Of another library.
struct Foreign {
  explicit Foreign(int number) : n(number) {}
  int n;
  friend auto operator<=>(const Foreign&, const Foreign&) = default;
};

/// Can be moved, not copied or assigned.
class Handle {
 public:
  explicit Handle(int n) : n_(n) {}
  Handle(Handle&&) = default;
  Handle& operator=(Handle&&) = delete;
  static Handle stele_make() { return Handle(0); }
  static void visit(auto& v, auto& self) { v("n", self.n_); }
  int n() const { return n_; }

 private:
  int n_;
};

}  // namespace

template <>
struct Visit<Foreign> {
  static void visit(auto& v, auto& self) { v("n", self.n); }
};
template <>
struct Make<Foreign> {
  static Foreign make() { return Foreign(1); }
};

namespace {

template <class T>
class Making : public testing::Test {};
using MadeTypes = testing::Types<Hidden, Sized, Foreign>;
TYPED_TEST_SUITE(Making, MadeTypes);

TYPED_TEST(Making, InEveryContainer) {
  using T = TypeParam;
  expect_same(T(4));
  expect_same(std::vector<T>{T(1), T(2)});
  expect_same(std::deque<T>{T(1), T(2)});
  expect_same(std::list<T>{T(1), T(2)});
  expect_same(std::forward_list<T>{T(1), T(2)});
  expect_same(std::set<T>{T(1), T(2)});
  expect_same(std::map<T, T>{{T(1), T(2)}});
  expect_same(std::map<std::string, T>{{"a", T(2)}});
  expect_same(std::map<std::string, std::vector<T>>{{"a", {T(2)}}});
  expect_same(std::optional<T>(T(5)));
  expect_same(std::optional<T>());
  expect_same(std::variant<int, T>(T(9)));
  expect_same(std::pair<T, T>(T(1), T(2)));
  expect_same(std::tuple<T, int>(T(1), 2));
  expect_same(std::array<T, 2>{T(1), T(2)});
  expect_same(std::vector<std::pair<T, int>>{{T(1), 2}});
  std::unordered_map<int, T> many;
  for (int i = 0; i < 1000; ++i) {
    many.emplace(i, T(i));
  }
  expect_same(many);
  EXPECT_EQ(*round_trip(std::make_shared<T>(8)), T(8));
  EXPECT_EQ(*round_trip(std::optional<std::shared_ptr<T>>(std::make_shared<T>(8))).value(), T(8));
  EXPECT_EQ(*from_bytes<std::unique_ptr<T>>(to_bytes(std::make_unique<T>(8))), T(8));
  EXPECT_EQ(to_value(T(3)).template to<T>(), T(3));
  test::Folder folder;
  save(std::vector<T>{T(6)}, folder / "a");
  EXPECT_EQ(open(folder / "a").load<T>("0"), T(6));
  EXPECT_EQ(load<std::vector<T>>(folder / "a").at(0), T(6));
}

TEST(MakingObjects, MissingFieldsKeepWhatTheFactoryGave) {
  struct Old {
    int size = 2;
  };
  struct None {};
  EXPECT_EQ(reread<Sized>(Old()).n(), 2);     // renamed
  EXPECT_EQ(reread<Sized>(Old()).more(), 9);  // from stele_make()
  EXPECT_EQ(reread<Sized>(None()).n(), -1);
  EXPECT_EQ(reread<Hidden>(None()).more(), 5);
  EXPECT_EQ(reread<std::vector<Sized>>(std::vector<Old>(3)).at(2).more(), 9);
  EXPECT_EQ((reread<std::map<int, Sized>>(std::map<int, Old>{{1, {}}})).at(1).more(), 9);
  EXPECT_EQ(test::error_of([] { reread<Sized>(Old(), {.strict = true}); }).code(), Errc::missing_field);
}

TEST(MakingObjects, SharedOnesKeepTheirIdentity) {
  const auto one = std::make_shared<Sized>(4);
  const auto [a, b] = reread<std::pair<std::shared_ptr<Sized>, std::shared_ptr<Sized>>>(std::pair(one, one));
  EXPECT_EQ(a, b);
  EXPECT_EQ(a->n(), 4);
}

TEST(MakingObjects, ThoseThatCanOnlyBeMoved) {
  EXPECT_EQ(from_bytes<Handle>(to_bytes(Handle(4))).n(), 4);
  std::list<Handle> handles;
  handles.emplace_back(7);
  EXPECT_EQ(from_bytes<std::vector<Handle>>(to_bytes(handles)).at(0).n(), 7);
  EXPECT_EQ(from_bytes<std::list<Handle>>(to_bytes(handles)).front().n(), 7);
}

class Base {
 public:
  virtual ~Base() = default;
  virtual int n() const = 0;
};
class Derived final : public Base {
 public:
  explicit Derived(int n) : n_(n) {}
  static void visit(auto& v, auto& self) { v("n", self.n_); }
  int n() const override { return n_; }

 private:
  friend struct stele::Access;
  Derived() = default;
  int n_ = 0;
};

TEST(MakingObjects, RegisteredTypesToo) {
  TypeRegistry types;
  types.add<Derived, Base>("derived");
  const std::vector<std::shared_ptr<Base>> all{std::make_shared<Derived>(6)};
  const auto back = round_trip(all, {.types = &types}, {.types = &types});
  EXPECT_EQ(back.at(0)->n(), 6);
  const std::unique_ptr<Base> one = std::make_unique<Derived>(7);
  const auto again = from_bytes<std::unique_ptr<Base>>(to_bytes(one, {.types = &types}), {.types = &types});
  EXPECT_EQ(again->n(), 7);
}

}  // namespace
}  // namespace stele

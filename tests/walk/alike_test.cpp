// Classes that look like those of the standard library: their own allocators, comparisons and derived classes.

#include <array>
#include <bitset>
#include <chrono>
#include <deque>
#include <map>
#include <memory_resource>
#include <optional>
#include <set>
#include <unordered_map>
#include <unordered_set>
#include <variant>

#include "walk/support.hpp"

namespace stele {
namespace {

using test::expect_form;
using test::round_trip;

struct Names : std::vector<std::string> {
  using vector::vector;
};
struct NamesOfNames : Names {};
struct Word : std::string {
  using std::string::string;
};
struct Ages : std::map<std::string, int> {};
struct Bag : std::unordered_multiset<int> {};
struct Choice : std::variant<int, std::string> {
  using variant::variant;
};
struct Score : std::optional<int> {
  using optional::optional;
};
struct Vec3 : std::array<float, 3> {};
struct Mask : std::bitset<9> {};
struct Both : std::pair<int, std::string> {
  using pair::pair;
};
struct Span : std::chrono::milliseconds {
  using std::chrono::milliseconds::duration;
};

TEST(LookAlikes, ThatAddNothingAreStoredAsTheirBase) {
  expect_form(Names{"a", "b"}, R"(["a","b"])");
  expect_form(NamesOfNames{{"a", "b"}}, R"(["a","b"])");
  expect_form(Word("w"), R"("w")");
  expect_form(Ages{{{"a", 1}}}, R"({"a":1})");
  EXPECT_EQ(round_trip(Bag{{1, 1, 2}}), (Bag{{1, 1, 2}}));
  EXPECT_EQ(round_trip(Vec3{{1, 2, 3}}), (Vec3{{1, 2, 3}}));
  EXPECT_EQ(round_trip(Mask{5}), Mask{5});
  expect_form(Both(1, "x"), R"([1,"x"])");
  EXPECT_EQ(round_trip(Span(7)), Span(7));
  expect_form(std::vector<Names>{{"a"}}, R"([["a"]])");
}

template <class T>
struct Counting : std::allocator<T> {
  template <class U>
  struct rebind {
    using other = Counting<U>;
  };
};
struct Backwards {
  bool operator()(const std::string& a, const std::string& b) const { return a > b; }
};
struct BadHash {
  std::size_t operator()(int) const { return 1; }
};

TEST(LookAlikes, StandardTypesOfAnyAllocatorAndComparison) {
  expect_form(std::vector<std::string, Counting<std::string>>{"a"}, R"(["a"])");
  expect_form(std::basic_string<char, std::char_traits<char>, Counting<char>>("a"), R"("a")");
  expect_form(std::map<std::string, int, Backwards>{{"a", 1}, {"b", 2}}, R"({"b":2,"a":1})");
  expect_form(std::set<std::string, std::greater<>>{"a", "b"}, R"(["b","a"])");
  EXPECT_EQ((round_trip(std::unordered_map<int, int, BadHash>{{1, 2}, {3, 4}})),
            (std::unordered_map<int, int, BadHash>{{1, 2}, {3, 4}}));
  std::pmr::vector<std::pmr::string> texts{"a", "b"};
  expect_form(texts, R"(["a","b"])");
  expect_form(std::pmr::map<int, std::pmr::vector<int>>{}, "{}");
  expect_form(std::pmr::deque<std::pmr::string>{"a"}, R"(["a"])");
}

/// A user-defined container that is not an aggregate.
template <class T>
class Stack {
 public:
  using value_type = T;
  auto begin() const { return items_.begin(); }
  auto end() const { return items_.end(); }
  std::size_t size() const { return items_.size(); }
  void clear() { items_.clear(); }
  T& emplace_back() { return items_.emplace_back(); }

 private:
  std::deque<T> items_;
};

/// An aggregate that looks like a container.
struct Polynomial {
  using value_type = double;
  std::vector<double> coefficients;
  std::string variable = "x";
  auto begin() const { return coefficients.begin(); }
  auto end() const { return coefficients.end(); }
  std::size_t size() const { return coefficients.size(); }
};

}  // namespace

template <class T>
inline constexpr bool is_like_standard<Stack<T>> = true;
template <>
inline constexpr bool is_like_standard<Choice> = true;
template <>
inline constexpr bool is_like_standard<Score> = true;

namespace {

TEST(LookAlikes, ThatAreDeclaredToBeLikeTheStandardTypes) {
  Stack<std::string> stack;
  stack.emplace_back() = "a";
  expect_form(stack, R"(["a"])");
  // their standard base may have room for more in its padding
  EXPECT_EQ(std::get<std::string>(round_trip(Choice("x"))), "x");
  expect_form(Score(3), "3");
  EXPECT_TRUE(round_trip(std::optional<Score>(Score())).has_value());
  Stack<Stack<int>> nested;
  nested.emplace_back().emplace_back() = 3;
  expect_form(nested, "[[3]]");
}

TEST(LookAlikes, AnAggregateKeepsAllOfItsFields) {
  const Polynomial again = round_trip(Polynomial{{1, 2}, "y"});
  EXPECT_EQ(again.coefficients, (std::vector<double>{1, 2}));
  EXPECT_EQ(again.variable, "y");
}

}  // namespace
}  // namespace stele

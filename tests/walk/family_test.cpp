// A type's own storage (visit, Visit) is used wherever the type occurs.

#include <deque>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "walk/support.hpp"

#if __has_include(<Eigen/Core>)
#include <Eigen/Core>

#include "stele/eigen.hpp"
#endif

namespace own {

enum class Color : std::int32_t { red, green };

struct Money {
  long long cents = 0;
  friend bool operator==(const Money&, const Money&) = default;
  friend auto operator<=>(const Money&, const Money&) = default;
};

/// Would be an element of arrays without its Visit.
enum class Level : std::uint8_t { low, high };

struct Triple {  // would be one array without its visit
  int a = 0, b = 0, c = 0;
  friend bool operator==(const Triple&, const Triple&) = default;
  static void visit(auto& v, auto& self) { v("a", self.a)("b", self.b)("c", self.c); }
};

/// Stored as null if there is no value.
struct Maybe {
  int value = -1;
  friend bool operator==(const Maybe&, const Maybe&) = default;
};

}  // namespace own

template <>
struct stele::Visit<own::Color> {
  static void write(OutVisitor& out, const own::Color& color) {
    if (color == own::Color::red) {
      stele::write(out, "red");
    } else {
      stele::write(out, "green");
    }
  }
  static void read(InVisitor& in, own::Color& color) {
    std::string name;
    stele::read(in, name);
    color = name == "red" ? own::Color::red : own::Color::green;
  }
};
template <>
struct stele::Visit<own::Money> {
  static void write(OutVisitor& out, const own::Money& money) { stele::write(out, std::to_string(money.cents)); }
  static void read(InVisitor& in, own::Money& money) {
    std::string text;
    stele::read(in, text);
    money.cents = std::stoll(text);
  }
};
template <>
struct stele::Visit<own::Level> {
  static void visit(auto& v, auto& self) {
    auto number = static_cast<int>(self);
    v("level", number);
    if constexpr (!std::is_const_v<std::remove_reference_t<decltype(self)>>) {
      self = static_cast<own::Level>(number);
    }
  }
};
template <>
struct stele::Visit<own::Maybe> {
  static void write(OutVisitor& out, const own::Maybe& maybe) {
    maybe.value < 0 ? out.null() : out.integer(maybe.value);
  }
  static void read(InVisitor& in, own::Maybe& maybe) {
    maybe.value = -1;
    in.kind() == Kind::null ? in.null() : stele::read(in, maybe.value);
  }
};
template <>
struct std::hash<own::Color> {
  std::size_t operator()(own::Color color) const noexcept { return static_cast<std::size_t>(color); }
};
template <>
struct std::hash<own::Money> {
  std::size_t operator()(const own::Money& money) const noexcept { return static_cast<std::size_t>(money.cents); }
};

namespace stele {
namespace {

using own::Color;
using own::Level;
using own::Maybe;
using own::Money;
using own::Triple;
using test::expect_form;
using test::json;
using test::round_trip;

struct Pixel {
  Color color = Color::red;
  int x = 0;
};

TEST(CustomStorage, AVisitIsUsedInContainers) {
  const std::string green = R"(["green"])";
  expect_form(std::vector{Color::green}, green);
  expect_form(std::array{Color::green}, green);
  expect_form(std::deque{Color::green}, green);
  expect_form(std::list{Color::green}, green);
  expect_form(std::set{Color::green}, green);
  expect_form(std::unordered_set{Color::green}, green);
  expect_form(std::multiset{Color::green}, green);
  expect_form(std::vector<std::vector<Color>>{{Color::green}}, "[" + green + "]");
  expect_form(std::vector<std::array<Color, 1>>{{Color::green}}, "[" + green + "]");
  expect_form(std::map<Color, int>{{Color::green, 1}}, R"({"green":1})");
  expect_form(std::unordered_map<Color, Color>{{Color::green, Color::red}}, R"({"green":"red"})");
  expect_form(std::map<int, Money>{{1, {5}}}, R"({"1":"5"})");
  expect_form(std::optional(Color::green), green);
  expect_form(std::pair(1, Color::green), R"([1,"green"])");
  expect_form(std::tuple(Color::green), green);
  expect_form(std::make_unique<Color>(Color::green), green);
}

TEST(CustomStorage, AVisitIsUsedInCArrays) {
  struct Flags {
    Color colors[2] = {Color::green, Color::red};
    Money prices[1][2] = {{{1}, {2}}};
  };
  expect_form(Flags(), R"({"colors":["green","red"],"prices":[["1","2"]]})");
}

TEST(CustomStorage, AVisitIsUsedInRecordsThatWouldBeOneArray) {
  expect_form(std::vector<Pixel>{{Color::green, 1}}, R"([{"color":"green","x":1}])");
  expect_form(std::array<Pixel, 1>{{{Color::green, 1}}}, R"([{"color":"green","x":1}])");
  struct Nested {
    Pixel pixel;
    int y = 2;
  };
  expect_form(std::vector<Nested>(1), R"([{"pixel":{"color":"red","x":0},"y":2}])");
}

// Runs, batches and prefetching are for types without custom storage.
TEST(CustomStorage, AVisitIsUsedInLongContainers) {
  std::vector<Money> list;
  std::map<Money, Money> sorted;
  std::unordered_map<Money, Money> hashed;
  std::set<Money> keys;
  for (int i = 0; i < 40'000; ++i) {
    list.push_back({i});
    sorted[{i}] = {i + 1};
    hashed[{i}] = {i + 2};
    keys.insert({i});
  }
  EXPECT_EQ(round_trip(list), list);
  EXPECT_EQ(round_trip(sorted), sorted);
  EXPECT_EQ(round_trip(hashed), hashed);
  EXPECT_EQ(round_trip(keys), keys);
  const Value stored = to_value(list);
  ASSERT_TRUE(stored.is_sequence());
  EXPECT_EQ(stored.at(39'999).text(), "39999");
  const Value map = to_value(hashed);
  EXPECT_TRUE(map.entries()[0].first.is_text());
}

TEST(CustomStorage, AVisitOfFieldsIsUsedInContainers) {
  expect_form(Level::high, R"({"level":1})");
  expect_form(std::vector{Level::high}, R"([{"level":1}])");
  expect_form(std::vector<Triple>(1), R"([{"a":0,"b":0,"c":0}])");
  expect_form(std::array<Triple, 1>(), R"([{"a":0,"b":0,"c":0}])");
}

TEST(CustomStorage, AVisitThatWritesNullDiffersFromAbsence) {
  using Twice = std::optional<Maybe>;
  EXPECT_EQ(round_trip(Twice(Maybe{})), Twice(Maybe{}));
  EXPECT_EQ(round_trip(Twice()), Twice());
  EXPECT_EQ(*round_trip(std::make_unique<Maybe>()), Maybe{});
  EXPECT_EQ(*round_trip(std::make_shared<Maybe>()), Maybe{});
  EXPECT_TRUE(round_trip(std::optional(Array<float, 0>())).has_value());
}

#if __has_include(<Eigen/Core>)
TEST(CustomStorage, AVisitIsUsedInEigenMatrices) {
  Eigen::Matrix<Money, 1, 2> prices;
  prices << Money{1}, Money{2};
  EXPECT_EQ(round_trip(prices), prices);
  EXPECT_NE(json(prices).find(R"(["1","2"])"), std::string::npos) << json(prices);
  const std::vector<Eigen::Matrix<Color, 2, 1>> many(1, Eigen::Matrix<Color, 2, 1>(Color::red, Color::green));
  EXPECT_NE(json(many).find(R"(["red","green"])"), std::string::npos) << json(many);
}
#endif

}  // namespace
}  // namespace stele

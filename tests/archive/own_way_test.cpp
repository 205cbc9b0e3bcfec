// A type's own storage (visit, Visit) is used wherever the type occurs; base classes; classes that look like
// standard types.

#include <bitset>
#include <chrono>
#include <deque>
#include <list>
#include <map>
#include <memory_resource>
#include <optional>
#include <set>
#include <unordered_map>
#include <unordered_set>
#include <variant>

#include "stele/describe.hpp"
#include "stele/hash.hpp"
#include "stele/value.hpp"
#include "support/test_support.hpp"

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

/// Would be an element of arrays, but for its Visit.
enum class Level : std::uint8_t { low, high };

struct Triple {  // would be an array of its own
  int a = 0, b = 0, c = 0;
  friend bool operator==(const Triple&, const Triple&) = default;
  static void visit(auto& v, auto& self) { v("a", self.a)("b", self.b)("c", self.c); }
};

/// Null where there is none.
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
using test::round_trip;

std::string json(const auto& value) {
  std::string text = describe(value, {.format = DescribeOptions::Format::json});
  std::erase_if(text, [](char c) { return c == '\n' || c == ' '; });
  return text;
}

/// That a value is stored as `form`, and read back, the same by every visitor.
template <class T>
void expect_form(const T& value, std::string_view form) {
  EXPECT_EQ(json(value), form);
  EXPECT_EQ(json(to_value(value)), form);
  const auto bytes = to_bytes(value);
  EXPECT_EQ(json(from_bytes<Value>(bytes)), form);
  EXPECT_EQ(json(from_bytes<T>(bytes)), form);
  EXPECT_EQ(hash(value), hash(from_bytes<T>(bytes)));
}

struct Pixel {
  Color color = Color::red;
  int x = 0;
};

TEST(OwnWay, AWalkHoldsInContainers) {
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

TEST(OwnWay, AWalkHoldsInCArrays) {
  struct Flags {
    Color colors[2] = {Color::green, Color::red};
    Money prices[1][2] = {{{1}, {2}}};
  };
  expect_form(Flags(), R"({"colors":["green","red"],"prices":[["1","2"]]})");
}

TEST(OwnWay, AWalkHoldsInRecordsThatWouldBeOneArray) {
  expect_form(std::vector<Pixel>{{Color::green, 1}}, R"([{"color":"green","x":1}])");
  expect_form(std::array<Pixel, 1>{{{Color::green, 1}}}, R"([{"color":"green","x":1}])");
  struct Nested {
    Pixel pixel;
    int y = 2;
  };
  expect_form(std::vector<Nested>(1), R"([{"pixel":{"color":"red","x":0},"y":2}])");
}

TEST(OwnWay, AWalkHoldsInLongContainers) {  // runs, batches and prefetching are for types without a way of their own
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

TEST(OwnWay, AVisitHoldsInContainers) {
  expect_form(Level::high, R"({"level":1})");
  expect_form(std::vector{Level::high}, R"([{"level":1}])");
  expect_form(std::vector<Triple>(1), R"([{"a":0,"b":0,"c":0}])");
  expect_form(std::array<Triple, 1>(), R"([{"a":0,"b":0,"c":0}])");
}

TEST(OwnWay, AWalkThatWritesNullIsToldFromNothing) {
  using Twice = std::optional<Maybe>;
  EXPECT_EQ(round_trip(Twice(Maybe{})), Twice(Maybe{}));
  EXPECT_EQ(round_trip(Twice()), Twice());
  EXPECT_EQ(*round_trip(std::make_unique<Maybe>()), Maybe{});
  EXPECT_EQ(*round_trip(std::make_shared<Maybe>()), Maybe{});
  EXPECT_TRUE(round_trip(std::optional(Array<float, 0>())).has_value());
}

#if __has_include(<Eigen/Core>)
TEST(OwnWay, AWalkHoldsInEigenMatrices) {
  Eigen::Matrix<Money, 1, 2> prices;
  prices << Money{1}, Money{2};
  EXPECT_EQ(round_trip(prices), prices);
  EXPECT_NE(json(prices).find(R"(["1","2"])"), std::string::npos) << json(prices);
  const std::vector<Eigen::Matrix<Color, 2, 1>> many(1, Eigen::Matrix<Color, 2, 1>(Color::red, Color::green));
  EXPECT_NE(json(many).find(R"(["red","green"])"), std::string::npos) << json(many);
}
#endif

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

// --- Classes that look like those of the standard library ------------------------------------------------------------

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

/// A container of one's own, that reflection does not see into.
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

// --- Literals --------------------------------------------------------------------------------------------------------

TEST(Literals, AreText) {
  EXPECT_EQ(from_bytes<std::string>(to_bytes("abc")), "abc");
  EXPECT_EQ(from_bytes<std::string>(to_bytes(u8"\u00e4")), "\u00e4");
  EXPECT_EQ(from_bytes<std::string>(to_bytes("")), "");
  EXPECT_EQ(hash("abc"), hash(std::string("abc")));
  EXPECT_EQ(hash("abc"), hash(std::string_view("abc")));
  EXPECT_NE(hash("abc"), hash("abd"));
  EXPECT_EQ(describe("abc"), describe(std::string("abc")));
  EXPECT_EQ(to_value("abc"), Value("abc"));
}

TEST(Literals, KeepWhatLiesBeforeTheLastZero) {
  EXPECT_EQ(from_bytes<std::string>(to_bytes("a\0b")), std::string("a\0b", 3));
  EXPECT_EQ(from_bytes<std::string>(to_bytes("a\0")), std::string("a\0", 2));
  EXPECT_NE(hash("a\0b"), hash("a"));
}

TEST(Literals, ArraysOfCharactersComeBackWhole) {
  const auto check = [](const auto& chars) {
    std::remove_cvref_t<decltype(chars)> again = {};
    const auto bytes = to_bytes(chars);
    Reader(Bytes(bytes)).read_into(again);
    EXPECT_EQ(std::memcmp(again, chars, sizeof(chars)), 0);
  };
  check("abc");
  const char full[4] = {'a', 'b', 'c', 'd'};
  check(full);
  const char padded[8] = "ab";
  check(padded);
  const char odd[2] = {'\xff', '\0'};
  check(odd);
  char small[3];
  const auto bytes = to_bytes("abcd");
  EXPECT_ERROR(Reader(Bytes(bytes)).read_into(small), Errc::type_mismatch, "3 bytes");
}

TEST(Literals, FieldsOfCharactersStayArrays) {
  struct Tag {
    char code[4] = {'a', 'b', 0, 0};
    int number = 1;
  };
  EXPECT_TRUE(to_value(Tag()).at_path("code").is_array());
  EXPECT_EQ(std::memcmp(round_trip(Tag()).code, Tag().code, 4), 0);
}

TEST(Literals, WrittenByAMapWriter) {
  std::vector<std::byte> bytes;
  const auto sink = memory_sink(bytes);
  MapWriter out(*sink);
  out.write("a", "abc");
  out.close();
  EXPECT_EQ((from_bytes<std::map<std::string, std::string>>(bytes)),
            (std::map<std::string, std::string>{{"a", "abc"}}));
}

}  // namespace
}  // namespace stele

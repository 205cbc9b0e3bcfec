#include "stele/describe.hpp"

#include <gtest/gtest.h>

#include <bitset>
#include <cmath>
#include <complex>
#include <limits>
#include <list>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <random>
#include <unordered_map>
#include <vector>

#include "stele/value.hpp"

namespace stele {
namespace {

using Format = DescribeOptions::Format;
using Json = nlohmann::json;

struct Layer {
  std::string name;
  std::vector<float> weights;
};
struct Model {
  std::vector<Layer> layers;
  std::map<std::string, double> metrics;
  int epoch = 0;
  std::optional<int> seed;
};
struct Versioned {
  static constexpr unsigned stele_version = 2;
  bool on = true;
};
struct Node {
  int value = 0;
  std::shared_ptr<Node> next;
};
struct Animal {
  virtual ~Animal() = default;
  virtual int legs() const = 0;
};
struct Dog final : Animal {
  std::string name = "Rex";
  int legs() const override { return 4; }
  static void visit(auto& v, auto& self) { v("name", self.name); }
};
struct Point {
  float x = 0;
  std::int32_t n[2] = {};
};

Model model() { return {{{"conv", {0.5F, -1}}, {"dense", std::vector<float>(1000, 2)}}, {{"loss", 0.25}}, 3, {}}; }

template <class T>
Json json(const T& value, DescribeOptions options = {}) {
  options.format = Format::json;
  const std::string text = describe(value, options);
  EXPECT_TRUE(Json::accept(text)) << text;
  return Json::parse(text, nullptr, false);
}

// --- Text ------------------------------------------------------------------------------------------------------------

TEST(DescribeText, Scalars) {
  EXPECT_EQ(describe(nullptr), "null");
  EXPECT_EQ(describe(true), "true");
  EXPECT_EQ(describe(-5), "-5");
  EXPECT_EQ(describe(~std::uint64_t{0}), "18446744073709551615");
  EXPECT_EQ(describe(0.1F), "0.1");
  EXPECT_EQ(describe(0.1), "0.1");
  EXPECT_EQ(describe(2.0), "2.0");
  EXPECT_EQ(describe(float16(0.1F)), "0.1");
  EXPECT_EQ(describe(std::nan("")), "nan");
  EXPECT_EQ(describe(-std::numeric_limits<double>::infinity()), "-inf");
  EXPECT_EQ(describe(std::string("a\n\"b\"")), R"("a\n\"b\"")");
  EXPECT_EQ(describe(std::bitset<12>(0xabc)), "2 bytes 0xbc0a");
  EXPECT_EQ(describe(std::string("\xff")), "1 bytes 0xff");
}

TEST(DescribeText, ATree) {
  EXPECT_EQ(describe(model()),
            "record of 4\n"
            "  layers: sequence of 2\n"
            "    0: record of 2\n"
            "      name: \"conv\"\n"
            "      weights: float32[2] 8 bytes [ 0.5 -1. ]\n"
            "    1: record of 2\n"
            "      name: \"dense\"\n"
            "      weights: float32[1000] 4000 bytes [2. 2. 2. 2. ... 2. 2. 2. 2.]\n"
            "  metrics: map of 1\n"
            "    \"loss\": 0.25\n"
            "  epoch: 3\n"
            "  seed: null");
  EXPECT_EQ(describe(Versioned{}), "record of 1, version 2\n  on: true");
}

TEST(DescribeText, AValueIsWhatItHolds) { EXPECT_EQ(describe(to_value(model())), describe(model())); }

TEST(DescribeText, Arrays) {
  const Array<float, 2> rows({784, 128});
  EXPECT_EQ(describe(rows), "float32[784, 128] row-major 401408 bytes");
  EXPECT_EQ(describe(Array<float, 2>({784, 128}, Order::column_major)), "float32[784, 128] column-major 401408 bytes");
  EXPECT_EQ(describe(Array<std::int8_t, 2>({2, 2})), "int8[2, 2] row-major 4 bytes [[0 0] [0 0]]");
  EXPECT_EQ(describe(Array<double, 2>({0, 3})), "float64[0, 3] row-major 0 bytes");
  EXPECT_EQ(describe(std::vector<double>()), "float64[0] 0 bytes");
  EXPECT_EQ(describe(std::vector<Point>{{1.5F, {2, 3}}}), "{x: float32, n: int32[2]}[1] 12 bytes [(1.5, [2, 3])]");
}

TEST(DescribeText, LongThingsAreCut) {
  const std::list<int> items(20, 7);
  EXPECT_EQ(describe(items, {.max_items = 2}), "sequence of 20\n  0: 7\n  1: 7\n  ... 18 more");
  EXPECT_EQ(describe(items, {.max_items = 0}), "sequence of 20\n  ... 20 more");
  const std::map<int, std::list<int>> map{{1, items}, {2, items}, {3, items}};
  EXPECT_EQ(describe(map, {.max_items = 1}), "map of 3\n  1: sequence of 20\n    0: 7\n    ... 19 more\n  ... 2 more");
  EXPECT_EQ(describe(map, {.max_depth = 1}), "map of 3\n  1: sequence of 20\n  2: sequence of 20\n  3: sequence of 20");
  EXPECT_EQ(describe(map, {.max_depth = 0}), "map of 3");
  EXPECT_EQ(describe(std::string(100, 'x'), {.max_text = 3}), "\"xxx\"... 100 bytes");
  EXPECT_EQ(describe(std::string("a\u00e4b"), {.max_text = 2}), "\"a\"... 4 bytes");  // no half characters
}

TEST(DescribeText, KeysOfAnyType) {
  const std::map<std::pair<int, std::string>, int> map{{{1, "a"}, 2}};
  EXPECT_EQ(describe(map), "map of 1\n  [1, \"a\"]: 2");
  EXPECT_EQ(describe(std::map<std::vector<int>, int>{{{1, 2}, 3}}), "map of 1\n  int32[2] [1 2]: 3");
  EXPECT_EQ(describe(std::map<std::map<int, bool>, int>{{{{1, true}, {2, false}}, 3}}),
            "map of 1\n  {1: true, 2: false}: 3");
  const Value record = Value::make_map({{Value::make_record({"x", "y"}, {1, Value::make_sequence({})}), "v"}});
  EXPECT_EQ(describe(record), "map of 1\n  {x: 1, y: []}: \"v\"");
  EXPECT_EQ(describe(std::map<std::string, int>{{"", 1}}), "map of 1\n  \"\": 1");
}

TEST(DescribeText, SharingAndTypes) {
  auto loop = std::make_shared<Node>();
  loop->next = loop;
  EXPECT_EQ(describe(loop), "&0 record of 2\n  value: 0\n  next: *0");
  loop->next.reset();
  const auto text = std::make_shared<std::string>("a");
  EXPECT_EQ(describe(std::vector{text, text}), "sequence of 2\n  0: &0 \"a\"\n  1: *0");
  TypeRegistry types;
  types.add<Dog, Animal>("Dog");
  std::vector<std::unique_ptr<Animal>> animals;
  animals.push_back(std::make_unique<Dog>());
  animals.push_back(std::make_unique<Dog>());
  EXPECT_EQ(describe(animals, {.max_items = 1, .types = &types}),
            "sequence of 2\n  0: Dog record of 1\n    name: \"Rex\"\n  ... 1 more");
}

TEST(DescribeText, WhatIsLeftOutLeavesNoTrace) {
  // every form in an item that is not shown
  const auto anchor = Value::make_anchor(0);
  const std::vector<Value> forms{
      Value(),
      Value("a"),
      Value(std::string("\xff")),
      to_value(std::vector<int>{1}),
      Value::make_sequence({1, Value::make_sequence({2})}),
      Value::make_map({{Value::make_sequence({1}), 2}}),
      Value::make_record({"a"}, {1}),
      Value::make_typed("t", Value::make_typed("u", 1)),
      Value::make_typed("t", Value::make_sequence({1})),
      Value::make_shared(anchor, Value::make_typed("t", Value::make_sequence({Value::make_reference(anchor)}))),
  };
  for (const Value& form : forms) {
    const Value list = Value::make_sequence({1, form, form});
    EXPECT_EQ(describe(list, {.max_items = 1}), "sequence of 3\n  0: 1\n  ... 2 more");
    EXPECT_EQ(describe(Value::make_sequence({list, 5}), {.max_depth = 1}), "sequence of 2\n  0: sequence of 3\n  1: 5");
    const Value map = Value::make_map({{1, 2}, {form, form}, {3, form}});
    EXPECT_EQ(describe(map, {.max_items = 1}), "map of 3\n  1: 2\n  ... 2 more");
    json(list, {.max_items = 1});
    json(map, {.max_items = 1});
    json(map);
    json(list);
  }
}

// --- JSON ------------------------------------------------------------------------------------------------------------

TEST(DescribeJson, Scalars) {
  EXPECT_EQ(json(nullptr), nullptr);
  EXPECT_EQ(json(true), true);
  EXPECT_EQ(json(-5), -5);
  EXPECT_EQ(json(~std::uint64_t{0}), ~std::uint64_t{0});
  EXPECT_EQ(json(0.1), 0.1);
  EXPECT_EQ(json(1e300), 1e300);
  EXPECT_EQ(json(5e-324), 5e-324);
  EXPECT_EQ(json(std::nan("")), "NaN");
  EXPECT_EQ(json(std::numeric_limits<float>::infinity()), "Infinity");
  EXPECT_EQ(json(-std::numeric_limits<double>::infinity()), "-Infinity");
  std::string all;
  for (int c = 0; c < 128; ++c) {
    all += static_cast<char>(c);
  }
  EXPECT_EQ(json(all, {.max_text = 200}), all);
  EXPECT_EQ(json(std::string("\u00e4\u20ac\U0001f600")), "\u00e4\u20ac\U0001f600");
  EXPECT_EQ(json(std::string("\xff\xfe")), (Json{{"kind", "bytes"}, {"bytes", 2}}));
  EXPECT_EQ(json(std::string("abcdef"), {.max_text = 3}), (Json{{"kind", "text"}, {"bytes", 6}, {"head", "abc"}}));
}

TEST(DescribeJson, ATree) {
  const Json tree = json(model());
  EXPECT_EQ(tree["epoch"], 3);
  EXPECT_EQ(tree["seed"], nullptr);
  EXPECT_EQ(tree["metrics"], (Json{{"loss", 0.25}}));
  EXPECT_EQ(tree["layers"][1]["name"], "dense");
  const Json array{{"kind", "array"},      {"dtype", "float32"}, {"shape", {2}},
                   {"order", "row-major"}, {"bytes", 8},         {"values", {0.5, -1.0}}};
  EXPECT_EQ(tree["layers"][0]["weights"], array);
  EXPECT_FALSE(tree["layers"][1]["weights"].contains("values"));
  EXPECT_EQ(json(Versioned{}), (Json{{"@version", 2}, {"on", true}}));
  EXPECT_EQ(json(std::list<int>{}), Json::array());
  EXPECT_EQ(json(std::map<int, int>{}), Json::object());
  EXPECT_EQ(describe(std::list<int>{1, 2}, {.format = Format::json}), "[\n  1,\n  2\n]");
}

TEST(DescribeJson, Arrays) {
  const Json two = json(Array<std::int16_t, 2>({2, 3}, Order::column_major));
  EXPECT_EQ(two["order"], "column-major");
  EXPECT_EQ(two["shape"], (Json{2, 3}));
  EXPECT_EQ(two["values"], (Json{0, 0, 0, 0, 0, 0}));
  EXPECT_EQ(json(std::vector<std::complex<float>>{{1, -2}})["values"], (Json{{1.0, -2.0}}));
  EXPECT_EQ(json(std::vector<double>{std::nan(""), 1})["values"], (Json{"NaN", 1.0}));
  EXPECT_EQ(json(std::vector<bool>{true, false})["values"], (Json{true, false}));
  EXPECT_EQ(json(std::vector<Point>(2))["dtype"], "{x: float32, n: int32[2]}");
  EXPECT_EQ(json(std::vector<float>())["values"], Json::array());
  EXPECT_FALSE(json(std::vector<float>(9)).contains("values"));
}

TEST(DescribeJson, LongThingsAreCut) {
  const std::list<int> items(20, 7);
  EXPECT_EQ(json(items, {.max_items = 1}), (Json{7, {{"kind", "more"}, {"count", 19}}}));
  EXPECT_EQ(json(items, {.max_items = 0}), (Json::array({{{"kind", "more"}, {"count", 20}}})));
  EXPECT_EQ(json(std::map<int, int>{{1, 2}, {3, 4}}, {.max_items = 1}),
            (Json{{"1", 2}, {"...", {{"kind", "more"}, {"count", 1}}}}));
  EXPECT_EQ(json(std::map<int, int>{{1, 2}}, {.max_items = 0}), (Json{{"...", {{"kind", "more"}, {"count", 1}}}}));
  EXPECT_EQ(json(std::list<std::list<int>>{items}, {.max_depth = 1}),
            (Json::array({{{"kind", "sequence"}, {"count", 20}}})));
}

TEST(DescribeJson, KeysBecomeText) {
  EXPECT_EQ(json(std::map<std::string, int>{{"a\"b", 1}}), (Json{{"a\"b", 1}}));
  EXPECT_EQ(json(std::map<std::pair<int, std::string>, int>{{{1, "a"}, 2}}), (Json{{"[1, \"a\"]", 2}}));
  EXPECT_EQ(json(std::map<double, int>{{0.5, 2}}), (Json{{"0.5", 2}}));
  EXPECT_EQ(json(std::map<std::string, int>{{"", 1}}), (Json{{"", 1}}));
  EXPECT_EQ(json(std::map<std::string, int>{{"\xff", 1}}), (Json{{"1 bytes 0xff", 1}}));
}

TEST(DescribeJson, SharingAndTypes) {
  auto loop = std::make_shared<Node>();
  loop->next = loop;
  EXPECT_EQ(json(loop), (Json{{"kind", "shared"},
                              {"index", 0},
                              {"value", {{"value", 0}, {"next", {{"kind", "reference"}, {"index", 0}}}}}}));
  loop->next.reset();
  TypeRegistry types;
  types.add<Dog, Animal>("Dog");
  const std::shared_ptr<Animal> dog = std::make_shared<Dog>();
  const Json typed{{"kind", "typed"}, {"type", "Dog"}, {"value", {{"name", "Rex"}}}};
  EXPECT_EQ(json(std::vector{dog, dog}, {.types = &types}),
            (Json{{{"kind", "shared"}, {"index", 0}, {"value", typed}}, {{"kind", "reference"}, {"index", 0}}}));
}

TEST(DescribeJson, RandomTreesAreValid) {
  std::mt19937 random(5);
  const auto anchor = Value::make_anchor(1);
  const auto make = [&](auto& self, int depth) -> Value {
    const unsigned kind = random() % (depth > 4 ? 6 : 11);
    const auto many = [&] {
      std::vector<Value> items;
      for (unsigned i = random() % 5; i > 0; --i) {
        items.push_back(self(self, depth + 1));
      }
      return items;
    };
    switch (kind) {
      case 0:
        return {};
      case 1:
        return Value(static_cast<int>(random()));
      case 2:
        return Value(std::string(random() % 5, static_cast<char>(random())));
      case 3:
        return Value(std::nan(""));
      case 4:
        return to_value(std::vector<float>(random() % 12, 0.1F));
      case 5:
        return Value::make_shared(Value::make_anchor(0), Value::make_reference(anchor));
      case 6:
        return Value::make_sequence(many());
      case 7:
        return Value::make_typed("a\"b", self(self, depth + 1));
      case 8: {
        std::vector<Value::Entry> entries;
        for (unsigned i = random() % 5; i > 0; --i) {
          entries.emplace_back(self(self, depth + 2), self(self, depth + 1));
        }
        return Value::make_map(std::move(entries));
      }
      case 9:
        return Value::make_shared(Value::make_anchor(0), self(self, depth + 1));
      default: {
        std::vector<Value> items = many();
        std::vector<std::string> names;
        for (std::size_t i = 0; i < items.size(); ++i) {
          names.push_back(std::string(1 + random() % 2, static_cast<char>('"' + random() % 3)));
        }
        return Value::make_record(std::move(names), std::move(items), random() % 2);
      }
    }
  };
  for (int i = 0; i < 300; ++i) {
    const Value value = Value::make_sequence({Value::make_shared(anchor, make(make, 0)), make(make, 0)});
    json(value, {.max_items = random() % 4, .max_depth = random() % 6, .max_text = random() % 6});
    json(value);
    describe(value, {.max_items = random() % 4, .max_depth = random() % 6});
  }
}

TEST(Describer, AnIncompleteValueHasNoDescription) {
  const auto code = [](auto action) {
    try {
      action();
    } catch (const Error& e) {
      return e.code();
    }
    return Errc::io;
  };
  Describer describer;
  EXPECT_EQ(code([&] { describer.finish(); }), Errc::invalid_argument);
  describer.visitor().begin_sequence(1);
  EXPECT_EQ(code([&] { describer.finish(); }), Errc::invalid_argument);
  describer.visitor().integer(1);
  describer.visitor().end();
  EXPECT_EQ(describer.finish(), "sequence of 1\n  0: 1");
  EXPECT_EQ(code([&] { describer.visitor().end(); }), Errc::invalid_argument);
}

// --- Elements --------------------------------------------------------------------------------------------------------

template <class T, std::size_t N = 1>
Array<T, N> shaped(std::initializer_list<T> items, std::array<std::uint64_t, N> shape) {
  Array<T, N> array(shape);
  std::copy(items.begin(), items.end(), array.mutable_data());
  return array;
}
template <class T>
std::string elements(std::initializer_list<T> items, std::size_t edge = 3) {
  const std::vector<T> copy(items);
  return format_elements(ArrayView(walk::dtype_of<T>(), copy.data(), copy.size()), edge);
}

/// What NumPy 2 prints for the same arrays.
TEST(FormatElements, AsNumPyPrints) {
  EXPECT_EQ(elements<double>({1, 2, 3}), "[1. 2. 3.]");
  EXPECT_EQ(elements<double>({0.1, 0.25, 3}), "[0.1  0.25 3.  ]");
  EXPECT_EQ(elements<double>({-1, 0.5}), "[-1.   0.5]");
  EXPECT_EQ(elements<float>({0.1F, 1.0F / 3}), "[0.1        0.33333334]");
  EXPECT_EQ(elements<double>({1.0 / 3}), "[0.33333333]");
  EXPECT_EQ(elements<double>({1e-5, 1.5e10}), "[1.0e-05 1.5e+10]");
  EXPECT_EQ(elements<double>({1e-5}), "[1.e-05]");
  EXPECT_EQ(elements<double>({1e9, 1}), "[1.e+09 1.e+00]");
  EXPECT_EQ(elements<double>({std::nan(""), 1, -std::numeric_limits<double>::infinity()}), "[ nan   1. -inf]");
  EXPECT_EQ(elements<double>({0, -0.0}), "[ 0. -0.]");
  EXPECT_EQ(elements<std::int32_t>({1, -20, 300}), "[  1 -20 300]");
  EXPECT_EQ(elements<std::uint64_t>({~std::uint64_t{0}}), "[18446744073709551615]");
  EXPECT_EQ(elements<std::int8_t>({65, -1}), "[65 -1]");
  EXPECT_EQ(elements<std::complex<double>>({{1, 2}, {3, -4.5}}), "[1.+2.j  3.-4.5j]");
  EXPECT_EQ(elements<float16>({float16(0.1F), float16(2)}), "[0.1 2. ]");
  EXPECT_EQ(elements<double>({}), "[]");
  const bool flags[2] = {true, false};
  EXPECT_EQ(format_elements(ArrayView(DType::Kind::boolean, flags, 2)), "[ True False]");
}

TEST(FormatElements, SeveralAxes) {
  EXPECT_EQ(format_elements(shaped<int, 2>({1, 2, 3, 40}, {2, 2}).view()), "[[ 1  2]\n [ 3 40]]");
  EXPECT_EQ(format_elements(shaped<int, 3>({1, 2, 3, 4}, {2, 1, 2}).view()), "[[[1 2]]\n\n [[3 4]]]");
  Array<int, 2> large({100, 100});
  std::iota(large.mutable_data(), large.mutable_data() + 10'000, 0);
  EXPECT_EQ(format_elements(large.view(), 2),
            "[[   0    1 ...   98   99]\n"
            " [ 100  101 ...  198  199]\n"
            " ...\n"
            " [9800 9801 ... 9898 9899]\n"
            " [9900 9901 ... 9998 9999]]");
  EXPECT_EQ(format_elements(large.transposed().slice(0, 2).view(), 1), "[[   0 ... 9900]\n [   1 ... 9901]]");
  EXPECT_EQ(format_elements(Array<int, 2>({0, 3}).view()), "[]");
  const float one = 1.5F;
  EXPECT_EQ(format_elements(ArrayView(DType::Kind::float32, &one, Shape{}, Order::row_major)), "1.5");
}

TEST(FormatElements, EdgesShowAllWhereTheyMeet) {
  EXPECT_EQ(elements<int>({1, 2, 3, 4, 5, 6}, 3), "[1 2 3 4 5 6]");
  EXPECT_EQ(elements<int>({1, 2, 3, 4, 5, 6, 7}, 3), "[1 2 3 ... 5 6 7]");
  EXPECT_EQ(elements<int>({1, 2, 3}, ~std::size_t{0}), "[1 2 3]");
  EXPECT_EQ(elements<int>({1, 2, 3}, 0), "[...]");
}

TEST(FormatElements, LongLinesAreWrapped) {
  std::vector<int> numbers(50);
  std::iota(numbers.begin(), numbers.end(), 0);
  EXPECT_EQ(format_elements(ArrayView(DType::Kind::int32, numbers.data(), 50), 50),
            "[ 0  1  2  3  4  5  6  7  8  9 10 11 12 13 14 15 16 17 18 19 20 21 22 23\n"
            " 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47\n"
            " 48 49]");
}

TEST(FormatElements, OtherTypes) {
  const char bytes[8] = {'a', 'b', 0, 0, '\'', '\n', 0, 0};
  EXPECT_EQ(format_elements(ArrayView(DType::fixed_bytes(4), bytes, 2)), "[b'ab' b'\\'\\x0a']");
  const char32_t text[4] = {U'\u00e4', 0, U'\U0001f600', 0x110000};
  EXPECT_EQ(format_elements(ArrayView(DType::fixed_utf32(2), text, 2)), "['\u00e4' '\U0001f600\ufffd']");
  EXPECT_EQ(elements<Point>({{1.5F, {2, 3}}}), "[(1.5, [2, 3])]");
  const std::uint8_t e4m3[4] = {0x38, 0x7e, 0x7f, 0x01};
  EXPECT_EQ(format_elements(ArrayView(DType::Kind::float8_e4m3fn, e4m3, 3)), "[  1. 448.  nan]");
  EXPECT_EQ(format_elements(ArrayView(DType::Kind::float8_e4m3fn, e4m3 + 3, 1)), "[0.00195312]");
  const std::uint8_t e5m2[3] = {0xbc, 0x7b, 0x7c};
  EXPECT_EQ(format_elements(ArrayView(DType::Kind::float8_e5m2, e5m2, 1)), "[-1.]");
  EXPECT_EQ(format_elements(ArrayView(DType::Kind::float8_e5m2, e5m2 + 1, 2)), "[5.7344e+04        inf]");
  const bfloat16 third(1.0F / 3);
  EXPECT_EQ(format_elements(ArrayView(DType::Kind::bfloat16, &third, 1)), "[0.334]");
}

}  // namespace
}  // namespace stele

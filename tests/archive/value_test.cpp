#include "stele/value.hpp"

#include <gtest/gtest.h>

#include <bitset>
#include <chrono>
#include <cmath>
#include <complex>
#include <deque>
#include <fstream>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <sstream>
#include <thread>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <variant>
#include <vector>

#include "stele/archive.hpp"
#include "stele/hash.hpp"

namespace stele {
namespace {

template <class Action>
Error error_of(Action action) {
  try {
    action();
  } catch (const Error& e) {
    return e;
  }
  ADD_FAILURE() << "no error";
  return Error(Errc::io, "none");
}
template <class Action>
Errc code_of(Action action) {
  return error_of(action).code();
}

struct Point {
  float x = 0;
  float y = 0;
  friend bool operator==(const Point&, const Point&) = default;
};
struct Layer {
  std::string name;
  std::vector<float> weights;
  std::optional<int> stride;
  friend bool operator==(const Layer&, const Layer&) = default;
};
struct Model {
  std::vector<Layer> layers;
  std::map<std::string, double> metrics;
  std::vector<Point> points;
  int epoch = 0;
  friend bool operator==(const Model&, const Model&) = default;
};
struct Versioned {
  static constexpr unsigned stele_version = 3;
  std::string name;
  int count = 0;
};
class Visited {
 public:
  int count = 0;
  std::uint32_t version = 0;
  static void visit(auto& v, auto& self) {
    self_version(self, v.version(7));
    v("count", self.count);
  }

 private:
  static void self_version(Visited& self, std::uint32_t version) { self.version = version; }
  static void self_version(const Visited&, std::uint32_t) {}
};
struct Node {
  int value = 0;
  std::shared_ptr<Node> next;
  std::weak_ptr<Node> back;
};
struct Animal {
  virtual ~Animal() = default;
  virtual int legs() const = 0;
};
struct Dog final : Animal {
  std::string name;
  int legs() const override { return 4; }
  static void visit(auto& v, auto& self) { v("name", self.name); }
};

Model model() {
  Model m;
  m.layers = {{"conv", {1, 2, 3}, 2}, {"dense", std::vector<float>(2000, 0.5F), {}}};
  m.metrics = {{"loss", 0.25}, {"a/b~c", 1}};
  m.points = {{1, 2}, {3, 4}};
  m.epoch = -3;
  return m;
}

/// Through the tree and back.
template <class T>
T round(const T& value) {
  return to_value(value).template to<T>();
}

// --- Making and looking ----------------------------------------------------------------------------------------------

TEST(Value, Scalars) {
  EXPECT_TRUE(Value().is_null());
  EXPECT_TRUE(Value(true).boolean());
  EXPECT_EQ(Value(5), Value(std::uint64_t{5}));
  EXPECT_EQ(Value(-5).number().type, Number::Type::negative);
  EXPECT_EQ(Value(-5).to<int>(), -5);
  EXPECT_EQ(Value(INT64_MIN).to<std::int64_t>(), INT64_MIN);
  EXPECT_EQ(Value(UINT64_MAX).to<std::uint64_t>(), UINT64_MAX);
  EXPECT_EQ(Value('\xff'), Value(255));
  EXPECT_EQ(Value(1.5F).number().type, Number::Type::float32);
  EXPECT_NE(Value(1.5F), Value(1.5));
  EXPECT_NE(Value(0.0), Value(-0.0));
  EXPECT_EQ(Value(std::nan("")), Value(std::nan("")));
  EXPECT_EQ(Value("text").text(), "text");
  EXPECT_EQ(Value("\xff").kind(), ValueKind::bytes);
  const Value bytes("\xff");
  EXPECT_EQ(bytes.bytes()[0], std::byte{0xff});
  EXPECT_EQ(Value(float16(0.5F)).to<float16>(), float16(0.5F));
}

TEST(Value, TheWrongKindIsAnError) {
  const Value five(5);
  EXPECT_EQ(code_of([&] { (void)five.text(); }), Errc::type_mismatch);
  EXPECT_EQ(code_of([&] { (void)five.boolean(); }), Errc::type_mismatch);
  EXPECT_EQ(code_of([&] { (void)five.items(); }), Errc::type_mismatch);
  EXPECT_EQ(code_of([&] { (void)five.array(); }), Errc::type_mismatch);
  EXPECT_EQ(code_of([&] { (void)five["name"]; }), Errc::not_found);
  EXPECT_EQ(code_of([&] { (void)Value("x").number(); }), Errc::type_mismatch);
  EXPECT_EQ(code_of([&] { five.to<std::string>(); }), Errc::type_mismatch);
  EXPECT_EQ(code_of([&] { Value(300).to<std::uint8_t>(); }), Errc::out_of_range);
  EXPECT_EQ(code_of([&] { Value::make_record({"a"}, {}); }), Errc::invalid_argument);
  EXPECT_EQ(code_of([&] { Value::make_reference(nullptr); }), Errc::invalid_argument);
}

TEST(Value, ContainersAndPaths) {
  const Value value = to_value(model());
  ASSERT_TRUE(value.is_record());
  EXPECT_EQ(value.size(), 4u);
  EXPECT_EQ(value.names()[0], "layers");
  EXPECT_EQ(value["epoch"], Value(-3));
  EXPECT_EQ(value["layers"].at(1)["name"], Value("dense"));
  EXPECT_EQ(&value.at_path("layers/1/name"), &value["layers"].at(1)["name"]);
  EXPECT_EQ(&value.at_path(""), &value);
  EXPECT_EQ(value.at_path("metrics/a~1b~0c"), Value(1.0));
  EXPECT_EQ(value["metrics"]["a/b~c"], Value(1.0));
  EXPECT_EQ(value.at_path("layers/0/weights").array().shape(), Shape{3});
  EXPECT_TRUE(value.contains("epoch"));
  EXPECT_FALSE(value.contains("epochs"));
  std::size_t count = 0;
  for (const Value& layer : value["layers"]) {
    count += layer.size();
  }
  EXPECT_EQ(count, 6u);
  for (const char* path : {"layers/2", "layers/x", "layers/-1", "layers/01", "layers/1x", "layers/", "epoch/0",
                           "nothing", "layers/0/name/0"}) {
    EXPECT_EQ(code_of([&] { (void)value.at_path(path); }), Errc::not_found) << path;
  }
  EXPECT_EQ(code_of([&] { (void)value.at_path("a~b"); }), Errc::invalid_argument);
  EXPECT_EQ(code_of([&] { (void)value["layers"].at(2); }), Errc::not_found);
  EXPECT_EQ(to_value(std::map<int, int>{{-7, 1}, {7, 2}}).size(), 2u);
  const Value numbers = to_value(std::map<int, int>{{-7, 1}, {7, 2}});
  EXPECT_EQ(numbers.at_path("-7"), Value(1));
  EXPECT_EQ(numbers.at_path("7"), Value(2));
}

TEST(Value, CopiesShareAndMovesLeaveNull) {
  Value a = to_value(model());
  const Value b = a;
  EXPECT_EQ(&a["layers"], &b["layers"]);
  const Value c = std::move(a);
  EXPECT_TRUE(a.is_null());  // NOLINT(bugprone-use-after-move)
  EXPECT_EQ(b, c);
  a = c;
  EXPECT_EQ(a, b);
}

TEST(Value, EqualityLooksAtEverything) {
  const Value value = to_value(model());
  Model other = model();
  EXPECT_EQ(value, to_value(other));
  other.layers[1].weights[1999] = 0;
  EXPECT_NE(value, to_value(other));
  EXPECT_NE(Value::make_record({"a"}, {1}), Value::make_record({"b"}, {1}));
  EXPECT_NE(Value::make_record({"a"}, {1}), Value::make_record({"a"}, {1}, 2));
  EXPECT_NE(Value::make_sequence({1}), Value::make_sequence({1, 2}));
  EXPECT_NE(Value::make_map({{1, 2}}), Value::make_map({{2, 1}}));
  EXPECT_NE(Value::make_typed("a", 1), Value::make_typed("b", 1));
  const auto x = Value::make_anchor(0);
  const auto y = Value::make_anchor(1);
  const auto pair = [](const Value::Anchor& first, const Value::Anchor& second, const Value::Anchor& reference) {
    return Value::make_sequence(
        {Value::make_shared(first, 1), Value::make_shared(second, 1), Value::make_reference(reference)});
  };
  EXPECT_EQ(pair(x, y, x), pair(y, x, y));
  EXPECT_NE(pair(x, y, x), pair(x, y, y));
}

TEST(Value, EqualityOfArraysIgnoresStrides) {
  Array<std::int32_t, 2> a({40, 30});
  for (int i = 0; i < 40; ++i) {
    for (int j = 0; j < 30; ++j) {
      a.mutable_at(i, j) = 100 * i + j;
    }
  }
  const Value rows = to_value(a);
  const Value columns = to_value(a.clone(Order::column_major));
  EXPECT_TRUE(columns.array().view().is_dense(Order::column_major));  // the order is kept
  EXPECT_EQ(rows, columns);
  a.mutable_at(39, 29) = 0;
  EXPECT_NE(to_value(a), columns);
}

// --- C++ values there and back ---------------------------------------------------------------------------------------

TEST(ValueRoundTrip, StandardTypes) {
  EXPECT_EQ(round(model()), model());
  EXPECT_EQ(round(std::string("\xff\xfe")), "\xff\xfe");
  EXPECT_EQ(round(std::tuple(1, std::string("a"), true)), std::tuple(1, std::string("a"), true));
  EXPECT_EQ((round(std::variant<int, std::string>{"a"})), (std::variant<int, std::string>{"a"}));
  EXPECT_EQ((round(std::complex<double>{1, -2})), (std::complex<double>{1, -2}));
  EXPECT_EQ((round(std::vector<std::complex<float>>{{1, -2}})), (std::vector<std::complex<float>>{{1, -2}}));
  EXPECT_EQ(round(std::vector<bool>{true, false, true}), (std::vector<bool>{true, false, true}));
  EXPECT_EQ(round(std::bitset<12>(0xabc)), std::bitset<12>(0xabc));
  EXPECT_EQ(round(std::chrono::milliseconds(5)), std::chrono::milliseconds(5));
  EXPECT_EQ((round(std::unordered_map<int, std::set<std::string>>{{1, {"a", "b"}}, {2, {}}})),
            (std::unordered_map<int, std::set<std::string>>{{1, {"a", "b"}}, {2, {}}}));
  EXPECT_EQ((round(std::map<std::pair<int, int>, std::string>{{{1, 2}, "a"}})),
            (std::map<std::pair<int, int>, std::string>{{{1, 2}, "a"}}));
  const std::optional<std::optional<int>> empty_inside{std::optional<int>{}};
  EXPECT_EQ(round(empty_inside), empty_inside);
  EXPECT_EQ(*round(std::make_unique<std::string>("a")), "a");
  EXPECT_EQ(round(std::vector<std::byte>(3, std::byte{7})), std::vector<std::byte>(3, std::byte{7}));
  EXPECT_EQ(round(Point{1, 2}), (Point{1, 2}));
}

TEST(ValueRoundTrip, ArraysAreConvertedWhereNothingIsLost) {
  const Value value = to_value(std::vector<std::int16_t>{1, -2, 300});
  EXPECT_EQ(value.to<std::vector<std::int64_t>>(), (std::vector<std::int64_t>{1, -2, 300}));
  EXPECT_EQ(value.to<std::vector<double>>(), (std::vector<double>{1, -2, 300}));
  EXPECT_EQ(value.to<std::deque<int>>(), (std::deque<int>{1, -2, 300}));  // item by item
  EXPECT_EQ(value.to<std::set<long>>(), (std::set<long>{-2, 1, 300}));
  const Error e = error_of([&] { value.to<std::vector<std::uint16_t>>(); });
  EXPECT_EQ(e.code(), Errc::type_mismatch);
  EXPECT_EQ(e.message(), "expected uint16[?], found int16[3]");
  EXPECT_EQ(error_of([&] { to_value(model()).to<std::map<std::string, int>>(); }).path(), "layers");
  EXPECT_EQ(code_of([&] { (value.to<Array<std::int16_t, 2>>()); }), Errc::type_mismatch);
  EXPECT_EQ((value.to<std::array<std::int16_t, 3>>()), (std::array<std::int16_t, 3>{1, -2, 300}));
}

TEST(ValueRoundTrip, LargeArraysAreConvertedInPieces) {
  Array<std::uint16_t, 2> a({1000, 700}, Order::column_major);
  for (int i = 0; i < 1000; ++i) {
    for (int j = 0; j < 700; ++j) {
      a.mutable_at(i, j) = static_cast<std::uint16_t>(i * 60 + j);
    }
  }
  const auto wide = to_value(a).to<Array<double, 2>>();
  EXPECT_TRUE(wide.is_dense(Order::column_major));
  EXPECT_EQ(wide(999, 699), 999 * 60 + 699);
  EXPECT_EQ(wide(3, 5), 185);
}

TEST(ValueRoundTrip, AnArraySharesTheBuffer) {
  const Value value = to_value(std::vector<float>(100, 1));
  const auto array = value.to<Array<float>>();
  EXPECT_EQ(array.buffer(), value.array().buffer());
  EXPECT_EQ(array.size(), 100u);
}

TEST(ValueRoundTrip, RecordsOfArrays) {
  const Value value = to_value(std::vector<Point>{{1, 2}, {3, 4}});
  ASSERT_TRUE(value.is_array());
  struct Wide {
    double y = 0;
    double x = 0;
    int z = 9;
  };
  const auto wide = value.to<std::vector<Wide>>();
  EXPECT_EQ(wide[1].x, 3);
  EXPECT_EQ(wide[1].y, 4);
  EXPECT_EQ(wide[1].z, 9);
  EXPECT_EQ(value.to<std::list<Point>>(), (std::list<Point>{{1, 2}, {3, 4}}));
}

TEST(ValueRoundTrip, Versions) {
  const Value value = to_value(Versioned{"a", 5});
  EXPECT_EQ(value.version(), 3u);
  EXPECT_EQ(value.size(), 2u);
  EXPECT_EQ(value.to<Versioned>().count, 5);
  EXPECT_EQ(to_value(Visited{2, 0}).to<Visited>().version, 7u);
  EXPECT_EQ((to_value(Versioned{"a", 5}).to<Visited>().version), 3u);
  const auto as_map = Value(value).to<std::map<std::string, Value>>();
  EXPECT_EQ(as_map.at("@version"), Value(3));
  EXPECT_EQ(as_map.at("count"), Value(5));
}

TEST(ValueRoundTrip, MapsAndRecordsStandForEachOther) {
  struct Small {
    int a = 0;
    std::string b;
  };
  const Value map = Value::make_map({{"b", "x"}, {"c", 1.5}, {"a", 7}});
  EXPECT_EQ(map.to<Small>().a, 7);
  EXPECT_EQ(map.to<Small>().b, "x");
  EXPECT_EQ(code_of([&] { map.to<Small>({.strict = true}); }), Errc::unknown_field);
  const Value record = Value::make_record({"b"}, {"x"});
  EXPECT_EQ((record.to<std::map<std::string, std::string>>()), (std::map<std::string, std::string>{{"b", "x"}}));
  EXPECT_EQ(code_of([&] { record.to<Small>({.strict = true}); }), Errc::missing_field);
  EXPECT_EQ(code_of([&] { Value::make_map({{1, 2}}).to<Small>(); }), Errc::type_mismatch);
}

TEST(ValueRoundTrip, StrictRecordsOfArrays) {
  struct OnlyX {
    float x = 0;
  };
  const Value value = to_value(std::vector<Point>(3));
  EXPECT_EQ(value.to<std::vector<OnlyX>>().size(), 3u);
  EXPECT_EQ(code_of([&] { value.to<std::vector<OnlyX>>({.strict = true}); }), Errc::unknown_field);
}

TEST(ValueRoundTrip, SharingAndCycles) {
  auto head = std::make_shared<Node>();
  head->next = std::make_shared<Node>();
  head->next->value = 2;
  head->next->back = head;
  const std::vector<std::shared_ptr<Node>> both{head, head->next, head};
  const Value value = to_value(both);
  EXPECT_EQ(value.at(0).kind(), ValueKind::shared);
  EXPECT_EQ(value.at(1).kind(), ValueKind::reference);
  EXPECT_EQ(value.at_path("1/value"), Value(2));
  EXPECT_EQ(value.at_path("1/back/next/back/value"), Value(0));
  const auto loaded = value.to<std::vector<std::shared_ptr<Node>>>();
  EXPECT_EQ(loaded[0], loaded[2]);
  EXPECT_EQ(loaded[0]->next, loaded[1]);
  EXPECT_EQ(loaded[1]->back.lock(), loaded[0]);
  EXPECT_EQ(to_value(loaded), value);
  // a reference on its own has no target
  EXPECT_EQ(code_of([&] { value.at(1).to<std::shared_ptr<Node>>(); }), Errc::not_found);
  // other types see its target
  const auto numbers = std::make_shared<std::vector<int>>(3, 1);
  EXPECT_EQ((to_value(std::vector{numbers, numbers}).to<std::vector<std::vector<int>>>()),
            (std::vector<std::vector<int>>(2, {1, 1, 1})));
}

TEST(ValueRoundTrip, EndlessReferencesEnd) {
  const auto anchor = Value::make_anchor(0);
  const Value itself = Value::make_shared(anchor, Value::make_reference(anchor));
  EXPECT_EQ(code_of([&] { itself.to<int>(); }), Errc::limit_exceeded);
  const Value named = Value::make_shared(anchor, Value::make_typed("x", Value::make_reference(anchor)));
  EXPECT_EQ(code_of([&] { named.to<int>(); }), Errc::limit_exceeded);
  const Value nested = Value::make_shared(anchor, Value::make_sequence({Value::make_reference(anchor)}));
  const std::unique_ptr<InVisitor> in = value_reader(nested);
  EXPECT_EQ(code_of([&] {
              while (in->begin_sequence() && in->next()) {
              }
            }),
            Errc::limit_exceeded);
}

TEST(ValueRoundTrip, PolymorphicValues) {
  TypeRegistry types;
  types.add<Dog, Animal>("Dog");
  std::vector<std::unique_ptr<Animal>> animals;
  animals.push_back(std::make_unique<Dog>());
  static_cast<Dog&>(*animals[0]).name = "Rex";
  const Value value = to_value(animals, &types);
  ASSERT_EQ(value.at(0).kind(), ValueKind::typed);
  EXPECT_EQ(value.at(0).type_name(), "Dog");
  EXPECT_EQ(value.at_path("0/name"), Value("Rex"));
  const auto loaded = value.to<std::vector<std::unique_ptr<Animal>>>({.types = &types});
  EXPECT_EQ(static_cast<Dog&>(*loaded[0]).name, "Rex");
  EXPECT_EQ(value.to<std::vector<Dog>>()[0].name, "Rex");  // the type is known anyway
  EXPECT_EQ(code_of([&] { value.to<std::vector<std::unique_ptr<Animal>>>(); }), Errc::unknown_type);
  const auto shared = value.to<std::vector<std::shared_ptr<Animal>>>({.types = &types});
  EXPECT_EQ(shared[0]->legs(), 4);
}

TEST(ValueRoundTrip, AValueIsAnyField) {
  struct Holder {
    int id = 0;
    Value any;
    std::optional<Value> maybe;
    std::vector<Value> many;
    std::map<std::string, Value> named;
  };
  Holder holder{1, to_value(model()), Value(), {Value(1), Value(), Value("x")}, {{"a", Value(true)}}};
  const Holder back = round(holder);
  EXPECT_EQ(back.any, holder.any);
  ASSERT_TRUE(back.maybe.has_value());
  EXPECT_TRUE(back.maybe->is_null());
  EXPECT_EQ(back.many, holder.many);
  EXPECT_EQ(back.named, holder.named);
  EXPECT_EQ(back.any.to<Model>(), model());
  EXPECT_EQ(to_value(holder.any), holder.any);
}

TEST(Value, HashesAsWhatItHolds) {
  EXPECT_EQ(hash(to_value(model())), hash(model()));
  const auto shared = std::make_shared<std::string>("a");
  EXPECT_EQ(hash(to_value(std::vector{shared, shared})), hash(std::vector{shared, shared}));
  const std::unordered_map<int, int> map{{1, 2}, {3, 4}, {5, 6}};
  EXPECT_EQ(hash(to_value(map)), hash(map));
  auto loop = std::make_shared<Node>();
  loop->next = std::make_shared<Node>();
  loop->next->back = loop;
  EXPECT_EQ(hash(to_value(loop)), hash(loop));
  EXPECT_EQ(hash(to_value(Versioned{"a", 1})), hash(Versioned{"a", 1}));
}

// --- Depth -----------------------------------------------------------------------------------------------------------

Value nested(std::size_t depth) {
  Value value(1);
  for (std::size_t i = 0; i < depth; ++i) {
    switch (i % 4) {
      case 0:
        value = Value::make_sequence({std::move(value)});
        break;
      case 1:
        value = Value::make_map({{"a", std::move(value)}});
        break;
      case 2:
        value = Value::make_record({"a"}, {std::move(value)});
        break;
      default:
        value = Value::make_typed("a", std::move(value));
    }
  }
  return value;
}

TEST(ValueDepth, DeepValuesNeedNoStack) {
  const std::size_t depth = 1'000'000;
  Value value = nested(depth);
  Value copy = value;
  EXPECT_EQ(value, copy);
  EXPECT_EQ(to_value(value), value);  // written, built, compared and destroyed
  EXPECT_EQ(hash(value), hash(copy));
  value = Value();
  copy = nested(depth);
  EXPECT_FALSE(copy.is_null());
}

TEST(ValueDepth, ReadingIsLimited) {
  EXPECT_EQ(code_of([&] { (void)nested(2000).to<Value>(); }), Errc::limit_exceeded);
  EXPECT_EQ(nested(1000).to<Value>(), nested(1000));
  LoadOptions options;
  options.limits.depth = 1'000'000;
  EXPECT_EQ(nested(100'000).to<Value>(options), nested(100'000));
}

TEST(ValueDepth, CopiesEndInSeveralThreads) {
  for (int round = 0; round < 20; ++round) {
    Value value = nested(20'000);
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([copy = value]() mutable {
        EXPECT_EQ(copy.size(), 1u);
        copy = Value();
      });
    }
    value = Value();
    for (std::thread& thread : threads) {
      thread.join();
    }
  }
}

// --- Builder ---------------------------------------------------------------------------------------------------------

TEST(ValueBuilder, IncompleteEventsAreErrors) {
  ValueBuilder builder;
  EXPECT_EQ(code_of([&] { builder.finish(); }), Errc::invalid_argument);
  builder.visitor().begin_map(1);
  EXPECT_EQ(code_of([&] { builder.finish(); }), Errc::invalid_argument);
  builder.visitor().integer(1);
  EXPECT_EQ(code_of([&] { builder.visitor().end(); }), Errc::invalid_argument);
  builder.visitor().integer(2);
  builder.visitor().end();
  EXPECT_EQ(builder.finish(), Value::make_map({{1, 2}}));
  EXPECT_EQ(code_of([&] { builder.visitor().end(); }), Errc::invalid_argument);
  builder.visitor().null();
  EXPECT_TRUE(builder.finish().is_null());
}

TEST(ValueBuilder, OneViewIsCopiedOnce) {
  const Array<float, 2> array({100, 100});
  const Value value = to_value(std::vector{array, array});
  EXPECT_EQ(value.at(0).array().buffer(), value.at(1).array().buffer());
  EXPECT_NE(value.at(0).array().buffer(), array.buffer());
}

// --- Archives --------------------------------------------------------------------------------------------------------

/// The archive of `value`, and that of the Value loaded from it.
template <class T>
std::pair<std::vector<std::byte>, std::vector<std::byte>> archives(const T& value, const SaveOptions& options = {}) {
  std::vector<std::byte> first = to_bytes(value, options);
  return {first, to_bytes(from_bytes<Value>(first), options)};
}

TEST(ValueArchive, AnArchiveOfAValueIsThatOfTheObject) {
  const auto same = [](const auto& value) {
    const auto [object, tree] = archives(value);
    EXPECT_EQ(object, tree);
    EXPECT_EQ(object, to_bytes(to_value(value)));
  };
  same(5);
  same(std::string("text"));
  same(std::vector<float>(10'000, 1));
  same(std::vector<std::vector<float>>(3, std::vector<float>(5000, 2)));
  same(model());
  same(std::vector<Model>(3, model()));
  same(std::vector<Layer>(3));
  same(std::vector<Versioned>(2));
  same(std::unordered_map<int, std::string>{{1, "a"}, {2, "b"}});
  const auto shared = std::make_shared<std::string>("a");
  same(std::vector{shared, shared, std::make_shared<std::string>("b")});
  auto loop = std::make_shared<Node>();
  loop->next = std::make_shared<Node>();
  loop->next->back = loop;
  same(loop);
  loop->next->next = loop->next;
  same(std::vector{loop, loop->next});
  loop->next->next.reset();
  same(Array<float, 2>({50, 60}));
  same(Array<float, 2>({50, 60}, Order::column_major));
  const Array<double> array({5000});
  same(std::vector{array, array});
}

TEST(ValueArchive, LoadsAsTheTree) {
  const Value value = from_bytes<Value>(to_bytes(std::vector<Layer>{{"a", {1, 2}, 3}, {"b", {}, {}}}));
  ASSERT_TRUE(value.is_sequence());
  EXPECT_TRUE(value.at(0).is_record());
  EXPECT_EQ(value.at_path("1/name"), Value("b"));
  EXPECT_EQ(value.to<std::vector<Layer>>()[0].stride, 3);
  const Value versioned = from_bytes<Value>(to_bytes(std::vector<Versioned>(2)));
  EXPECT_EQ(versioned.at(0).version(), 3u);
  EXPECT_EQ(from_bytes<Value>(to_bytes(model())).to<Model>(), model());
}

TEST(ValueArchive, ObjectsLoadFromSavedValues) {
  EXPECT_EQ(from_bytes<Model>(to_bytes(to_value(model()))), model());
  EXPECT_EQ(from_bytes<std::vector<int>>(to_bytes(Value::make_sequence({1, 2, 3}))), (std::vector<int>{1, 2, 3}));
}

TEST(ValueArchive, SharingSurvives) {
  auto head = std::make_shared<Node>();
  head->next = std::make_shared<Node>();
  head->next->back = head;
  const std::vector<std::shared_ptr<Node>> both{head, head->next, head};
  const Value value = from_bytes<Value>(to_bytes(both));
  EXPECT_EQ(value.at(0).kind(), ValueKind::shared);
  EXPECT_EQ(value.at(2).kind(), ValueKind::reference);
  EXPECT_EQ(value.at(2).anchor(), value.at(0).anchor());
  EXPECT_EQ(value.at_path("1/back/next/value"), Value(0));
  const auto back = from_bytes<std::vector<std::shared_ptr<Node>>>(to_bytes(value));
  EXPECT_EQ(back[0], back[2]);
  EXPECT_EQ(back[1]->back.lock(), back[0]);
  // from a stream, which cannot go back
  std::stringstream stream;
  save(stream, both);
  EXPECT_EQ(load<Value>(stream), value);
}

TEST(ValueArchive, SharedObjectsThatAreArraysStayShared) {
  const auto shared = std::make_shared<std::vector<float>>(5000, 1.0F);
  const std::vector both{shared, shared, std::make_shared<std::vector<float>>(5000, 1.0F)};
  const Value value = from_bytes<Value>(to_bytes(both));
  EXPECT_EQ(value.at(0).array().buffer(), value.at(1).array().buffer());
  const auto direct = value.to<std::vector<std::shared_ptr<std::vector<float>>>>();
  const auto saved = from_bytes<std::vector<std::shared_ptr<std::vector<float>>>>(to_bytes(value));
  for (const auto& loaded : {direct, saved}) {
    EXPECT_EQ(loaded[0], loaded[1]);
    EXPECT_NE(loaded[0], loaded[2]);
    EXPECT_EQ(*loaded[1], *shared);
  }
  EXPECT_EQ(value.to<Value>(), value);
}

TEST(ValueArchive, ReferencesOutOfAValueAreFollowed) {
  struct Mixed {
    std::shared_ptr<std::string> typed;
    Value any;
    std::shared_ptr<std::string> again;
    std::vector<Value> more;
  };
  struct Original {
    std::shared_ptr<std::string> typed;
    std::shared_ptr<std::string> any;
    std::shared_ptr<std::string> again;
    std::vector<std::shared_ptr<std::string>> more;
  };
  const auto shared = std::make_shared<std::string>("shared");
  const auto mixed = from_bytes<Mixed>(to_bytes(Original{shared, shared, shared, {shared, shared}}));
  EXPECT_EQ(*mixed.typed, "shared");
  EXPECT_EQ(mixed.typed, mixed.again);
  ASSERT_EQ(mixed.any.kind(), ValueKind::shared);
  EXPECT_EQ(mixed.any.content(), Value("shared"));
  EXPECT_EQ(mixed.more[1].content(), Value("shared"));
}

TEST(ValueArchive, APartFollowsReferencesOutOfItself) {
  auto head = std::make_shared<Node>();
  head->value = 1;
  head->next = std::make_shared<Node>();
  head->next->value = 2;
  head->next->back = head;
  const std::string path = testing::TempDir() + "value_part.stele";
  save(std::vector{head, head->next}, path);
  const Value part = open(path).load<Value>("1");  // a reference
  EXPECT_EQ(part.at_path("value"), Value(2));
  EXPECT_EQ(part.at_path("back/next/back/value"), Value(1));
  const auto node = part.to<std::shared_ptr<Node>>();
  EXPECT_EQ(node->value, 2);
}

TEST(ValueArchive, PolymorphicTypesNeedNoRegistry) {
  TypeRegistry types;
  types.add<Dog, Animal>("Dog");
  std::vector<std::shared_ptr<Animal>> animals{std::make_shared<Dog>()};
  animals.push_back(animals[0]);
  const std::vector<std::byte> bytes = to_bytes(animals, {.types = &types});
  const Value value = from_bytes<Value>(bytes);
  EXPECT_EQ(value.at(0).content().kind(), ValueKind::typed);
  EXPECT_EQ(to_bytes(value), bytes);
  const auto loaded = from_bytes<std::vector<std::shared_ptr<Animal>>>(to_bytes(value), {.types = &types});
  EXPECT_EQ(loaded[0], loaded[1]);
}

TEST(ValueArchive, MappedArraysStayMapped) {
  const std::string path = testing::TempDir() + "value_mapped.stele";
  save(std::map<std::string, std::vector<float>>{{"a", std::vector<float>(100'000, 1)}}, path);
  const Value value = load<Value>(path, {.map = MapMode::read_only});
  const AnyArray& array = value["a"].array();
  EXPECT_FALSE(array.buffer()->writable());
  EXPECT_EQ(array.view().byte_count(), 400'000u);
  const auto typed = value["a"].to<Array<float>>();
  EXPECT_EQ(typed.data(), reinterpret_cast<const float*>(array.view().data));
}

TEST(ValueArchive, CanonicalOrder) {
  std::unordered_map<std::string, int> map(1);
  std::unordered_map<std::string, int> other(100);
  for (int i = 0; i < 50; ++i) {
    map["k" + std::to_string(i)] = i;
    other["k" + std::to_string(49 - i)] = 49 - i;
  }
  EXPECT_EQ(to_bytes(to_value(map), {.canonical = true}), to_bytes(to_value(other), {.canonical = true}));
  EXPECT_EQ(to_bytes(to_value(map), {.canonical = true}), to_bytes(map, {.canonical = true}));
  const std::unordered_set<std::string> set{"b", "a", "c"};
  EXPECT_EQ(to_bytes(to_value(set), {.canonical = true}), to_bytes(set, {.canonical = true}));
}

TEST(ValueArchive, ReferencesThatComeFirstBringTheValue) {
  const auto anchor = Value::make_anchor(0);
  const Value value = Value::make_sequence({Value::make_reference(anchor), Value::make_shared(anchor, "x")});
  const auto loaded = from_bytes<std::vector<std::shared_ptr<std::string>>>(to_bytes(value));
  EXPECT_EQ(*loaded[0], "x");
  EXPECT_EQ(loaded[0], loaded[1]);
  EXPECT_EQ(code_of([&] { to_bytes(Value::make_reference(anchor)); }), Errc::invalid_argument);
}

TEST(ValueArchive, ValuesOfAHostileFileEndInErrors) {
  // A shared value that is a reference to itself, under a name: every byte changed in turn must not crash.
  const auto anchor = Value::make_anchor(0);
  const std::vector<std::byte> bytes = to_bytes(Value::make_sequence(
      {Value::make_shared(anchor, Value::make_typed("x", Value::make_sequence({Value::make_reference(anchor)}))),
       to_value(model()), Value::make_reference(anchor)}));
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    for (const int change : {0x01, 0x20, 0x80, 0xff}) {
      std::vector<std::byte> damaged = bytes;
      damaged[i] ^= static_cast<std::byte>(change);
      try {
        const Value value = from_bytes<Value>(damaged, {.verify = Verify::none});
        (void)to_value(value);
      } catch (const Error&) {
      }
    }
  }
}

}  // namespace
}  // namespace stele

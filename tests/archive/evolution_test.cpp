// Loading into a type that differs from the saved one: fields added, removed, moved or of another type.

#include <algorithm>
#include <chrono>
#include <complex>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <sstream>
#include <unordered_map>
#include <variant>

#include "stele/value.hpp"
#include "support/test_support.hpp"

namespace stele {
namespace {

using test::counting;
using test::error_of;
using test::hex;
using test::reread;
using test::wrap;

/// The error of reading `value` as To.
template <class To, class From>
Error refusal(const From& value, const LoadOptions& options = {}) {
  return error_of([&] { reread<To>(value, options); });
}

// --- Fields ----------------------------------------------------------------------------------------------------------

struct One {
  int a = 1;
  std::string b = "b";
  double c = 3;
};
struct Added {
  int a = -1;
  std::string b;
  double c = 0;
  std::vector<int> d = {7, 8};
  std::string e = "default";
};
struct Removed {
  double c = 0;
};
struct Reordered {
  double c = 0;
  int a = 0;
  std::string b;
};
struct NoneOfThem {
  int z = 5;
};

TEST(Evolution, FieldsMayComeGoAndMove) {
  const One one{10, "text", 2.5};
  const auto added = reread<Added>(one);
  EXPECT_EQ(added.a, 10);
  EXPECT_EQ(added.b, "text");
  EXPECT_EQ(added.c, 2.5);
  EXPECT_EQ(added.d, (std::vector<int>{7, 8}));
  EXPECT_EQ(added.e, "default");
  EXPECT_EQ(reread<Removed>(one).c, 2.5);
  const auto reordered = reread<Reordered>(one);
  EXPECT_EQ(reordered.a, 10);
  EXPECT_EQ(reordered.b, "text");
  EXPECT_EQ(reread<NoneOfThem>(one).z, 5);
  EXPECT_EQ(reread<One>(NoneOfThem{}).b, "b");
}

TEST(Evolution, TheSameInSequences) {
  std::vector<One> many(100);
  for (std::size_t i = 0; i < many.size(); ++i) {
    many[i] = {static_cast<int>(i), std::to_string(i), 0.5};
  }
  const auto added = reread<std::vector<Added>>(many);
  const auto removed = reread<std::vector<Removed>>(many);
  const auto reordered = reread<std::deque<Reordered>>(many);
  ASSERT_EQ(added.size(), 100U);
  ASSERT_EQ(reordered.size(), 100U);
  EXPECT_EQ(added[99].b, "99");
  EXPECT_EQ(added[99].e, "default");
  EXPECT_EQ(removed.at(99).c, 0.5);
  EXPECT_EQ(reordered[42].b, "42");
  EXPECT_EQ(reordered[42].a, 42);
}

TEST(Evolution, StrictLoadingNamesTheField) {
  const LoadOptions strict{.strict = true};
  EXPECT_EQ(reread<Reordered>(One{1, "x", 2}, strict).b, "x");
  const Error missing = refusal<Added>(One{}, strict);
  EXPECT_EQ(missing.code(), Errc::missing_field);
  EXPECT_NE(missing.message().find("d"), std::string::npos) << missing.what();
  const Error unknown = refusal<Removed>(One{}, strict);
  EXPECT_EQ(unknown.code(), Errc::unknown_field);
  EXPECT_NE(unknown.message().find("a"), std::string::npos) << unknown.what();
  const Error inner = refusal<std::map<std::string, std::vector<Removed>>>(
      std::map<std::string, std::vector<One>>{{"k", std::vector<One>(2)}}, strict);
  EXPECT_EQ(inner.code(), Errc::unknown_field);
  EXPECT_EQ(inner.path().substr(0, 3), "k/0") << inner.what();
}

class Old {
 public:
  static void visit(auto& v, auto& self) { v("learning_rate", self.rate)("epochs", self.epochs)("gone", self.gone); }
  double rate = 0.5;
  int epochs = 3;
  std::string gone = "gone";
};
class New {
 public:
  static void visit(auto& v, auto& self) {
    v("epochs", self.epochs).renamed("learning_rate", "rate", self.rate)("fresh", self.fresh);
  }
  int epochs = 0;
  double rate = 0;
  std::string fresh = "fresh";
};

TEST(Evolution, RenamedFields) {
  const auto renamed = reread<New>(Old{});
  EXPECT_EQ(renamed.rate, 0.5);
  EXPECT_EQ(renamed.epochs, 3);
  EXPECT_EQ(renamed.fresh, "fresh");
  EXPECT_EQ(reread<New>(New{}).rate, 0);
  New changed;
  changed.rate = 9;
  EXPECT_EQ(reread<New>(changed).rate, 9);
  EXPECT_EQ(reread<Old>(changed).rate, 0.5);  // the new name means nothing to the old type
  EXPECT_EQ(reread<std::vector<New>>(std::vector<Old>(3)).at(2).rate, 0.5);
  EXPECT_EQ(refusal<New>(Old{}, {.strict = true}).code(), Errc::unknown_field);
}

TEST(Evolution, TheOldAndTheNewNameTogetherAreADuplicate) {
  const auto both = std::map<std::string, double>{{"learning_rate", 1}, {"rate", 2}};
  EXPECT_EQ(refusal<New>(both).code(), Errc::duplicate_field);
}

struct VersionOne {
  static constexpr unsigned stele_version = 1;
  int a = 1;
};
struct Four {
  static constexpr unsigned stele_version = 4;
  int a = 0;
};
struct VersionTwo {
  static constexpr unsigned stele_version = 2;
  int a = 0;
  int b = 2;
};
class Versioned {
 public:
  static void visit(auto& v, auto& self) {
    const auto stored = v.version(3);
    v("a", self.a);
    if constexpr (std::remove_cvref_t<decltype(v)>::loading) {
      self.stored = stored;
    }
  }
  int a = 0;
  std::uint32_t stored = 99;
};

TEST(Evolution, Versions) {
  EXPECT_EQ(reread<VersionTwo>(VersionOne{5}).a, 5);
  EXPECT_EQ(reread<VersionTwo>(VersionOne{5}).b, 2);
  EXPECT_EQ(reread<VersionOne>(VersionTwo{6, 7}).a, 6);
  EXPECT_EQ(refusal<VersionOne>(VersionTwo{}, {.strict = true}).code(), Errc::unsupported);
  EXPECT_EQ(reread<Versioned>(Versioned{}).stored, 3U);
  EXPECT_EQ(reread<Versioned>(VersionOne{4}).stored, 1U);
  EXPECT_EQ(reread<Versioned>(VersionOne{4}).a, 4);
  EXPECT_EQ((reread<Versioned>(std::map<std::string, int>{{"a", 6}})).stored, 0U);
  EXPECT_EQ(reread<std::vector<Versioned>>(std::vector<VersionTwo>(4)).at(3).stored, 2U);
  EXPECT_EQ(reread<Versioned>(Four{}).stored, 4U);
  EXPECT_EQ(refusal<Versioned>(Four{}, {.strict = true}).code(), Errc::unsupported);
  EXPECT_EQ(reread<Four>(Four{3}, {.strict = true}).a, 3);
}

/// Its visit puts the names of fields together, in strings and in a buffer that it writes to again.
struct Layers {
  static constexpr std::size_t count = 20;
  std::array<int, count> weights{};
  std::array<int, count> biases{};
  bool operator==(const Layers&) const = default;
  static void visit(auto& v, auto& self) {
    char name[64];
    for (std::size_t i = 0; i < count; ++i) {
      const std::string weight = "weight of the layer with the number " + std::to_string(i);
      std::snprintf(name, sizeof name, "bias of the layer with the number %zu", i);
      const char* const bias = name;
      switch (i % 4) {
        case 0:
          v(weight, self.weights[i]).required(name, self.biases[i]);
          break;
        case 1:
          v(std::string_view(weight), self.weights[i])(std::string_view(name), self.biases[i]);
          break;
        case 2:
          v(weight.c_str(), self.weights[i])(bias, self.biases[i]);
          break;
        default:
          v(std::string(weight), self.weights[i]).renamed("b", std::string_view(name), self.biases[i]);
      }
    }
  }
};

TEST(Evolution, NamesThatVisitPutsTogetherAreKept) {
  Layers layers;
  for (std::size_t i = 0; i < Layers::count; ++i) {
    layers.weights[i] = static_cast<int>(i);
    layers.biases[i] = -static_cast<int>(i);
  }
  const std::vector<Layers> two{layers, Layers()};
  EXPECT_EQ(reread<std::vector<Layers>>(two), two);
  const Value stored = to_value(layers);
  EXPECT_EQ(stored.find("weight of the layer with the number 7")->to<int>(), 7);
  EXPECT_EQ(stored.find("bias of the layer with the number 19")->to<int>(), -19);
}

TEST(Evolution, DuplicateFieldsAreErrors) {
  EXPECT_EQ(error_of([] { from_bytes<One>(wrap(hex("a2 6161 01 6161 02"))); }).code(), Errc::duplicate_field);
  EXPECT_EQ(error_of([] { from_bytes<Old>(wrap(hex("a2 66 65706f636873 01 66 65706f636873 02"))); }).code(),
            Errc::duplicate_field);
  EXPECT_EQ(error_of([] { (from_bytes<std::map<std::string, int>>(wrap(hex("a2 6161 01 6161 02")))); }).code(),
            Errc::malformed);
  EXPECT_EQ(error_of([] { from_bytes<std::set<std::string>>(wrap(hex("82 6161 6161"))); }).code(), Errc::malformed);
}

TEST(Evolution, LoadIntoKeepsWhatIsNotStored) {
  const test::Folder folder;
  save(Removed{4.5}, folder / "r.stele");
  One one{10, "kept", 0};
  load_into(one, folder / "r.stele");
  EXPECT_EQ(one.a, 10);
  EXPECT_EQ(one.b, "kept");
  EXPECT_EQ(one.c, 4.5);
  std::vector<int> numbers{1, 2, 3};
  save(std::vector<int>{9}, folder / "v.stele");
  load_into(numbers, folder / "v.stele");
  EXPECT_EQ(numbers, (std::vector<int>{9}));
}

// --- Numbers ---------------------------------------------------------------------------------------------------------

TEST(Evolution, NumbersBecomeAnyTypeThatHoldsThem) {
  EXPECT_EQ(reread<std::int64_t>(std::int8_t{-5}), -5);
  EXPECT_EQ(reread<std::int8_t>(std::int64_t{-128}), -128);
  EXPECT_EQ(reread<std::uint8_t>(std::int64_t{255}), 255);
  EXPECT_EQ(reread<double>(7), 7.0);
  EXPECT_EQ(reread<double>(1.5F), 1.5);
  EXPECT_EQ(reread<float>(0.25), 0.25F);
  EXPECT_EQ(refusal<int>(4.0).code(), Errc::type_mismatch);  // by kind, not by value
  EXPECT_EQ(reread<float>(std::int64_t{1} << 40), 0x1p40F);
  EXPECT_EQ(reread<long double>(0.1), static_cast<long double>(0.1));
  EXPECT_EQ(refusal<std::int8_t>(128).code(), Errc::out_of_range);
  EXPECT_EQ(refusal<std::uint8_t>(-1).code(), Errc::out_of_range);
  EXPECT_EQ(refusal<std::int64_t>(~std::uint64_t{0}).code(), Errc::out_of_range);
  EXPECT_EQ(refusal<float>(0.1).code(), Errc::out_of_range);
  EXPECT_EQ(refusal<double>((std::int64_t{1} << 53) + 1).code(), Errc::out_of_range);
  for (const double real : {0.5, 1e30, std::numeric_limits<double>::quiet_NaN(), 9223372036854775808.0}) {
    EXPECT_EQ(refusal<int>(real).code(), Errc::type_mismatch);
    EXPECT_EQ(refusal<std::int64_t>(real).code(), Errc::type_mismatch);
    EXPECT_EQ(refusal<std::uint64_t>(real).code(), Errc::type_mismatch);
  }
  EXPECT_EQ(refusal<bool>(1).code(), Errc::type_mismatch);
  EXPECT_EQ(refusal<int>(true).code(), Errc::type_mismatch);
  EXPECT_EQ(refusal<int>("1").code(), Errc::type_mismatch);
  EXPECT_EQ(refusal<std::string>(1).code(), Errc::type_mismatch);
  EXPECT_EQ(refusal<int>(nullptr).code(), Errc::type_mismatch);
  EXPECT_EQ(reread<std::optional<int>>(4), 4);
  EXPECT_EQ(reread<int>(std::optional<int>(4)), 4);
  EXPECT_EQ(*reread<std::unique_ptr<int>>(4), 4);
  EXPECT_EQ(*reread<std::shared_ptr<int>>(std::make_unique<int>(4)), 4);
  EXPECT_EQ(*reread<std::unique_ptr<int>>(std::make_shared<int>(4)), 4);
  EXPECT_EQ(reread<int>(std::make_shared<int>(4)), 4);
}

TEST(Evolution, ArraysWiden) {
  using namespace std::string_literals;
  for (const std::size_t count : {0U, 3U, 5000U, 300000U}) {
    const auto floats = test::numbers<float>(count);
    EXPECT_EQ(reread<std::vector<double>>(floats), std::vector<double>(floats.begin(), floats.end()));
    const auto bytes = test::numbers<std::int8_t>(count);
    EXPECT_EQ(reread<std::vector<std::int32_t>>(bytes), std::vector<std::int32_t>(bytes.begin(), bytes.end()));
    EXPECT_EQ(reread<std::vector<std::int64_t>>(bytes), std::vector<std::int64_t>(bytes.begin(), bytes.end()));
    const auto shorts = test::numbers<std::uint16_t>(count);
    EXPECT_EQ(reread<std::vector<float>>(shorts), std::vector<float>(shorts.begin(), shorts.end()));
    EXPECT_EQ(reread<std::vector<std::int32_t>>(shorts), std::vector<std::int32_t>(shorts.begin(), shorts.end()));
    EXPECT_EQ(reread<std::vector<std::uint64_t>>(shorts), std::vector<std::uint64_t>(shorts.begin(), shorts.end()));
    const auto ints = test::numbers<std::int32_t>(count);
    EXPECT_EQ(reread<std::vector<double>>(ints), std::vector<double>(ints.begin(), ints.end()));
  }
}

TEST(Evolution, ArraysOfSmallFloatsWiden) {
  Array<float16> halves({3});
  halves.mutable_at(0) = float16(1.5F);
  halves.mutable_at(1) = float16(-65504.F);
  halves.mutable_at(2).bits = 1;
  EXPECT_EQ(reread<std::vector<float>>(halves), (std::vector<float>{1.5F, -65504.F, 0x1p-24F}));
  EXPECT_EQ(reread<std::vector<double>>(halves), (std::vector<double>{1.5, -65504., 0x1p-24}));
  Array<bfloat16> brains({2});
  brains.mutable_at(0) = bfloat16(1.5F);
  brains.mutable_at(1) = bfloat16(-3e38F);
  EXPECT_EQ(reread<std::vector<float>>(brains).at(0), 1.5F);
  EXPECT_EQ(refusal<std::vector<float16>>(std::vector<float>{1}).code(), Errc::type_mismatch);
  EXPECT_EQ(refusal<std::vector<bfloat16>>(halves).code(), Errc::type_mismatch);
  EXPECT_EQ(refusal<std::vector<float16>>(brains).code(), Errc::type_mismatch);
}

TEST(Evolution, WideningKeepsShapeAndOrder) {
  const auto grid = counting<std::int16_t, 2>({70, 90});
  const auto wide = reread<Array<double, 2>>(grid);
  EXPECT_EQ(wide.shape(), grid.shape());
  EXPECT_EQ(wide(69, 3), grid(69, 3));
  const auto column = counting<std::int16_t, 2>({70, 90}, Order::column_major);
  const auto wide_column = reread<Array<double, 2>>(column);
  EXPECT_EQ(wide_column(69, 3), column(69, 3));
  EXPECT_EQ(wide_column(1, 88), column(1, 88));
  const auto rows = reread<std::vector<std::array<float, 90>>>(column);
  EXPECT_EQ(rows.at(69)[3], column(69, 3));
  const auto turned = reread<Array<double, 2>>(grid.transposed());
  EXPECT_EQ(turned(3, 69), grid(69, 3));
}

TEST(Evolution, NarrowingIsRefused) {
  EXPECT_EQ(refusal<std::vector<float>>(std::vector<double>{1}).code(), Errc::type_mismatch);
  EXPECT_EQ(refusal<std::vector<std::int32_t>>(std::vector<std::int64_t>{1}).code(), Errc::type_mismatch);
  EXPECT_EQ(refusal<std::vector<std::int32_t>>(std::vector<std::uint32_t>{1}).code(), Errc::type_mismatch);
  EXPECT_EQ(refusal<std::vector<std::uint32_t>>(std::vector<std::int8_t>{1}).code(), Errc::type_mismatch);
  EXPECT_EQ(refusal<std::vector<float>>(std::vector<std::int32_t>{1}).code(), Errc::type_mismatch);
  EXPECT_EQ(refusal<std::vector<double>>(std::vector<std::int64_t>{1}).code(), Errc::type_mismatch);
  EXPECT_EQ(refusal<std::vector<int>>(std::vector<float>{1}).code(), Errc::type_mismatch);
  EXPECT_EQ(refusal<std::vector<bool>>(std::vector<int>{1}).code(), Errc::type_mismatch);
  EXPECT_EQ(refusal<std::vector<int>>(std::vector<bool>{true}).code(), Errc::type_mismatch);
  EXPECT_EQ(refusal<std::vector<double>>(std::vector<std::complex<double>>{1}).code(), Errc::type_mismatch);
}

struct LayerOut {
  std::string name;
  std::vector<std::int64_t> weights;
};
struct LayerIn {
  std::string name;
  Array<float, 2> weights;
};
template <class Layer>
struct Model {
  int epoch = 0;
  std::vector<Layer> layers;
};

TEST(Evolution, TheMessageOfAWrongTypeSaysWhere) {
  Model<LayerOut> model;
  model.layers.resize(1);
  model.layers[0].weights = {1, 2, 3, 4, 5};
  const Error first = refusal<Model<LayerIn>>(model);
  EXPECT_EQ(first.code(), Errc::type_mismatch);
  EXPECT_EQ(first.path(), "layers/0/weights");
  EXPECT_EQ(first.message(), "expected float32[?, ?], found int64[5]");
  ASSERT_TRUE(first.offset().has_value());
  EXPECT_EQ(std::string(first.what()), "layers/0/weights: expected float32[?, ?], found int64[5] (offset " +
                                           std::to_string(*first.offset()) + ")");
}

TEST(Evolution, TheMessageOfAWrongTypeDeepInAFile) {
  const test::Folder folder;
  struct Layers {
    std::vector<Array<float, 2>> layers;
  };
  struct Parts {
    std::tuple<Array<float, 2>, Array<float, 2>, Array<float, 2>, std::vector<std::int64_t>> layers;
  };
  const auto good = counting<float, 2>({30, 40});
  Parts parts{{good, good.clone(), good.clone(), {1, 2, 3, 4, 5}}};
  for (const char* name : {"m.stele", "m.stele.gz"}) {
    save(parts, folder / name);
    const Error error = error_of([&] { load<Layers>(folder / name); });
    EXPECT_EQ(error.code(), Errc::type_mismatch);
    EXPECT_EQ(error.path(), "layers/3");
    EXPECT_EQ(error.message(), "expected float32[?, ?], found int64[5]");
    const Error part = error_of([&] { open(folder / name).load<Array<float, 2>>("layers/3"); });
    EXPECT_EQ(part.path(), "layers/3");
    EXPECT_EQ(part.message(), "expected float32[?, ?], found int64[5]");
    EXPECT_EQ(part.offset(), error.offset());
    EXPECT_EQ(error_of([&] { open(folder / name).load<Array<double, 3>>("layers/1"); }).message(),
              "expected float64[?, ?, ?], found float32[30, 40]");
    EXPECT_EQ(error_of([&] { open(folder / name).load<std::string>("layers/1"); }).code(), Errc::type_mismatch);
    EXPECT_EQ(error_of([&] { open(folder / name).load<std::vector<std::array<float, 39>>>("layers/1"); }).message(),
              "expected float32[?, 39], found float32[30, 40]");
  }
}

TEST(Evolution, WrongKindsSayWhatWasFound) {
  const auto message = [](const auto& value, auto wanted) { return refusal<decltype(wanted)>(value).message(); };
  EXPECT_NE(message(std::string("x"), int{}).find("found"), std::string::npos);
  EXPECT_NE(message(3, std::vector<std::string>{}).find("found"), std::string::npos);
  EXPECT_NE(message(std::map<int, int>{}, std::string{}).find("map"), std::string::npos);
  EXPECT_NE(message(std::vector<float>{1}, std::string{}).find("float32[1]"), std::string::npos);
  EXPECT_EQ(refusal<One>(std::vector<std::string>{}).code(), Errc::type_mismatch);
  EXPECT_EQ((refusal<std::map<int, int>>(std::vector<std::string>{})).code(), Errc::type_mismatch);
  EXPECT_EQ(refusal<std::vector<std::string>>(One{}).code(), Errc::type_mismatch);
}

// --- Arrays and sequences --------------------------------------------------------------------------------------------

struct Point {
  float x = -1, y = -2;
  bool operator==(const Point&) const = default;
};
struct PointTurned {
  double z = 9;
  double y = 8;
  double x = 7;
};
struct PointNamed {
  std::string name = "none";
  float y = 0;
  float x = 0;
};

TEST(Evolution, StructuredArraysBecomeOtherRecords) {
  for (const std::size_t count : {1U, 4U, 2000U, 100000U}) {
    std::vector<Point> points(count);
    for (std::size_t i = 0; i < count; ++i) {
      points[i] = {static_cast<float>(i), static_cast<float>(i) / 2};
    }
    const auto turned = reread<std::vector<PointTurned>>(points);
    ASSERT_EQ(turned.size(), count);
    EXPECT_EQ(turned.back().x, points.back().x);
    EXPECT_EQ(turned.back().y, points.back().y);
    EXPECT_EQ(turned.back().z, 9);  // the default stands
    const auto named = reread<std::vector<PointNamed>>(points);
    ASSERT_EQ(named.size(), count);
    EXPECT_EQ(named.back().x, points.back().x);
    EXPECT_EQ(named.back().y, points.back().y);
    EXPECT_EQ(named.back().name, "none");
    const auto narrow = reread<std::vector<Point>>(named);
    EXPECT_EQ(narrow, points);
    struct OnlyY {
      float y = 0;
    };
    EXPECT_EQ(reread<std::vector<OnlyY>>(points).back().y, points.back().y);
    EXPECT_EQ((reread<std::vector<std::map<std::string, double>>>(points)).back().at("x"), points.back().x);
    EXPECT_EQ(reread<std::list<Point>>(points).back(), points.back());
    EXPECT_EQ(reread<std::vector<Point>>(std::list<Point>(points.begin(), points.end())), points);
    Array<Point, 2> grid({1, count});
    std::copy(points.begin(), points.end(), grid.mutable_data());
    EXPECT_EQ((reread<Array<PointTurned, 2>>(grid))(0, count - 1).x, points.back().x);
    EXPECT_EQ((reread<Array<PointTurned, 2>>(grid))(0, count - 1).z, 9);
  }
  const LoadOptions strict{.strict = true};
  EXPECT_EQ(refusal<std::vector<PointTurned>>(std::vector<Point>(2), strict).code(), Errc::missing_field);
  EXPECT_EQ(refusal<std::vector<Point>>(std::vector<PointTurned>(2), strict).code(), Errc::type_mismatch);
  EXPECT_EQ(refusal<std::vector<PointNamed>>(std::vector<Point>(2), strict).code(), Errc::missing_field);
}

struct Cell {
  Point at;
  std::uint8_t kind = 3;
  bool on = true;
  std::int16_t codes[3] = {1, 2, 3};
  bool operator==(const Cell&) const = default;
};
struct CellLater {
  std::string note = "n";
  std::array<std::int64_t, 3> codes = {};
  int kind = 0;
  PointTurned at;
  bool on = false;
};
struct CellOther {
  std::int32_t codes[3] = {};
  std::int32_t kind = 0;
  PointTurned at;
};
static_assert(walk::is_plain_record<Cell>() && walk::is_plain_record<CellOther>());

TEST(Evolution, NestedRecordsOfArrays) {
  std::vector<Cell> cells(700);
  for (std::size_t i = 0; i < cells.size(); ++i) {
    cells[i] = {
        {1, static_cast<float>(i)}, static_cast<std::uint8_t>(i), i % 2 == 0, {1, static_cast<std::int16_t>(i), -3}};
  }
  EXPECT_EQ(reread<std::vector<Cell>>(cells), cells);
  const auto later = reread<std::vector<CellLater>>(cells);
  EXPECT_EQ(later.at(650).codes, (std::array<std::int64_t, 3>{1, 650, -3}));
  EXPECT_EQ(later[650].kind, cells[650].kind);
  EXPECT_EQ(later[650].at.y, 650);
  EXPECT_EQ(later[650].at.z, 9);
  EXPECT_EQ(later[650].on, true);
  EXPECT_EQ(later[650].note, "n");
  const auto other = reread<std::vector<CellOther>>(cells);
  EXPECT_EQ(other.at(650).codes[1], 650);
  EXPECT_EQ(other[650].at.y, 650);
  EXPECT_EQ(other[650].at.z, 9);
}

struct PointVersioned {
  static constexpr unsigned stele_version = 2;
  float x = 0, y = 0;
};

TEST(Evolution, APlainRecordGainsAVersion) {
  const std::vector<Point> points{{1, 2}, {3, 4}};
  EXPECT_EQ(reread<std::vector<PointVersioned>>(points).at(1).y, 4);
  EXPECT_EQ(reread<std::vector<Point>>(std::vector<PointVersioned>{{1, 2}, {3, 4}}), points);
}

TEST(Evolution, SequencesAndArraysAreInterchangeable) {
  const std::vector<float> numbers{1, 2.5F, 3};
  EXPECT_EQ(reread<std::list<float>>(numbers), (std::list<float>{1, 2.5F, 3}));
  EXPECT_EQ(reread<std::deque<double>>(numbers), (std::deque<double>{1, 2.5, 3}));
  EXPECT_EQ(reread<std::set<double>>(numbers), (std::set<double>{1, 2.5, 3}));
  EXPECT_EQ(reread<std::vector<float>>(std::list<float>{1, 2.5F, 3}), numbers);
  EXPECT_EQ(reread<std::vector<double>>(std::list<int>{1, 2, 3}), (std::vector<double>{1, 2, 3}));
  EXPECT_EQ(refusal<std::vector<int>>(std::list<double>{1, 2, 3}).code(), Errc::type_mismatch);
  EXPECT_EQ((reread<std::array<float, 3>>(std::list<float>{1, 2, 3})), (std::array<float, 3>{1, 2, 3}));
  EXPECT_EQ((reread<Array<float>>(std::list<float>{1, 2, 3}))(2), 3);
  EXPECT_EQ((reread<std::vector<bool>>(std::list<bool>{true, false})), (std::vector<bool>{true, false}));
  EXPECT_EQ((reread<std::list<bool>>(std::vector<bool>{true, false})), (std::list<bool>{true, false}));
  EXPECT_EQ((reread<std::tuple<int, double, float>>(std::vector<int>{1, 2, 3})),
            (std::tuple<int, double, float>(1, 2, 3)));
  EXPECT_EQ((reread<std::vector<double>>(std::tuple<int, double, float>(1, 2, 3))), (std::vector<double>{1, 2, 3}));
  EXPECT_EQ((reread<std::vector<std::vector<float>>>(counting<float, 2>({3, 4}))).at(2).at(1), 9);
  EXPECT_EQ((reread<std::vector<std::vector<double>>>(counting<float, 2>({3, 4}))).at(2).at(1), 9);
  EXPECT_EQ((reread<std::list<std::list<int>>>(counting<std::int8_t, 2>({3, 4}))).back().back(), 11);
  EXPECT_EQ((reread<std::vector<std::array<float, 2>>>(std::vector<std::vector<float>>{{1, 2}, {3, 4}})).at(1)[0], 3);
  EXPECT_EQ((reread<std::vector<std::optional<float>>>(numbers)).at(1), 2.5F);
  EXPECT_EQ(reread<std::complex<double>>(std::vector<double>{1, 2}), (std::complex<double>(1, 2)));
  EXPECT_EQ((reread<std::vector<std::complex<double>>>(std::list<std::complex<float>>{{1, 2}})).at(0),
            (std::complex<double>(1, 2)));
  EXPECT_EQ((reread<std::list<std::complex<double>>>(std::vector<std::complex<float>>{{1, 2}})).front(),
            (std::complex<double>(1, 2)));
}

// --- Fields that must be stored --------------------------------------------------------------------------------------

struct Weighted {
  static constexpr std::string_view stele_required[] = {"weights", "bias"};
  std::vector<float> weights;
  std::vector<float> bias;
  int epoch = 7;
};
struct AllRequired {
  static constexpr bool stele_required = true;
  int a = 0;
  int b = 0;
};
struct Renamed {
  static void visit(auto& v, auto& self) {
    if (v.version(2) > 1) {
      v.required("fresh", self.fresh);
    }
    v.required("weights", self.weights).required().renamed("offset", "bias", self.bias)("epoch", self.epoch);
  }
  std::vector<float> weights, bias;
  int epoch = 7;
  int fresh = 0;
};
struct Older {
  static constexpr unsigned stele_version = 1;
  std::vector<float> offset{5}, weights{6};
};
struct Newer {
  static constexpr unsigned stele_version = 2;
  std::vector<float> bias{5}, weights{6};
};
struct Weights {
  std::vector<float> weights{1};
  int unknown = 0;
};

TEST(Evolution, AFieldUnderANewNameIsNotADefaultWhereTheTypeRequiresIt) {
  struct NewNames {
    std::vector<float> coefficients{1, 2}, bias{3};
    int epoch = 9;
  };
  const Error error = refusal<std::map<std::string, Weighted>>(std::map<std::string, NewNames>{{"m", {}}});
  EXPECT_EQ(error.code(), Errc::missing_field);
  EXPECT_EQ(error.path(), "m");
  EXPECT_NE(std::string(error.what()).find("weights"), std::string::npos) << error.what();
  // Unknown and optional fields may differ without an error.
  struct More {
    std::string extra = "x";
    std::vector<float> bias{3}, weights{1, 2};
  };
  EXPECT_EQ(reread<Weighted>(More{}).weights.size(), 2U);
  EXPECT_EQ(reread<Weighted>(More{}).epoch, 7);
  EXPECT_EQ(refusal<AllRequired>(std::map<std::string, int>{{"b", 1}}).code(), Errc::missing_field);
  EXPECT_EQ(reread<AllRequired>(std::map<std::string, int>{{"b", 1}, {"c", 2}, {"a", 3}}).a, 3);
}

TEST(Evolution, RequiredInVisitGoesWithNewNamesAndVersions) {
  Renamed value;
  value.weights = {1, 2};
  EXPECT_EQ(reread<Renamed>(value).weights.size(), 2U);
  EXPECT_EQ(reread<Renamed>(Older{}).bias[0], 5);
  EXPECT_NE(std::string(refusal<Renamed>(Newer{}).what()).find("fresh"), std::string::npos);
  EXPECT_EQ(refusal<Renamed>(Weights{}).code(), Errc::missing_field);
  EXPECT_NE(std::string(refusal<Renamed>(Weights{}).what()).find("bias"), std::string::npos);
}

TEST(Evolution, EveryWayOfReadingAsksForRequiredFields) {
  struct Model {
    Weights part;
  };
  struct Wanted {
    Weighted part;
  };
  const std::string path = test::fresh("model.stele");
  save(Model{}, path);
  const auto code = [](auto&& read) { return error_of(read).code(); };
  EXPECT_EQ(code([&] { load<Wanted>(path); }), Errc::missing_field);
  EXPECT_EQ(code([&] { load<Wanted>(path, {.map = MapMode::read_only, .threads = 1}); }), Errc::missing_field);
  EXPECT_EQ(code([&] { open(path).load<Weighted>("part"); }), Errc::missing_field);
  EXPECT_EQ(code([&] { load<Value>(path).to<Wanted>(); }), Errc::missing_field);
  EXPECT_EQ(code([&] {
              std::stringstream stream;
              save(stream, Model{}, {.codec = "gzip"});
              load<Wanted>(stream);
            }),
            Errc::missing_field);
  EXPECT_EQ(code([&] {
              Wanted wanted{{{1}, {2}, 3}};
              load_into(wanted, path);
            }),
            Errc::missing_field);
}

TEST(Evolution, CompletenessAndUnknownFieldsAreAskedOfSeparately) {
  struct Stored {
    int a = 1, extra = 2;
  };
  struct Wanted {
    int a = 0, b = 5;
  };
  EXPECT_EQ(reread<Wanted>(Stored{}).b, 5);
  EXPECT_EQ(refusal<Wanted>(Stored{}, {.complete = true}).code(), Errc::missing_field);
  EXPECT_EQ(refusal<Wanted>(Stored{}, {.known = true}).code(), Errc::unknown_field);
  struct Fewer {
    int a = 0;
  };
  EXPECT_EQ(reread<Fewer>(Stored{}, {.complete = true}).a, 1);
  EXPECT_EQ(refusal<Fewer>(Stored{}, {.strict = true}).code(), Errc::unknown_field);
  EXPECT_EQ(reread<Wanted>(Fewer{3}, {.known = true}).b, 5);
}

struct RequiredPoint {
  static constexpr std::string_view stele_required[] = {"y"};
  float x = 0;
  float y = 0;
};

TEST(Evolution, StructuredArraysAskForRequiredFieldsToo) {
  struct OnlyX {
    float x = 1;
  };
  struct OnlyY {
    float y = 1;
  };
  struct Inside {
    RequiredPoint point;
  };
  struct InsideX {
    OnlyX point;
  };
  const std::vector<OnlyX> points(3000);
  EXPECT_EQ(refusal<std::vector<RequiredPoint>>(points).code(), Errc::missing_field);
  EXPECT_EQ(refusal<Array<RequiredPoint>>(points).code(), Errc::missing_field);
  EXPECT_EQ(refusal<std::list<RequiredPoint>>(points).code(), Errc::missing_field);
  EXPECT_EQ(reread<std::vector<RequiredPoint>>(std::vector<OnlyY>(3000))[2999].y, 1);
  EXPECT_EQ(error_of([&] { to_value(points).to<std::vector<RequiredPoint>>(); }).code(), Errc::missing_field);
  EXPECT_EQ(refusal<std::vector<Inside>>(std::vector<InsideX>(3)).code(), Errc::missing_field);
  const std::string path = test::fresh("points.stele");
  save(points, path);
  EXPECT_EQ(error_of([&] { load<Array<RequiredPoint>>(path, {.map = MapMode::read_only}); }).code(),
            Errc::missing_field);
}

TEST(Evolution, RecordsInsideOfStructuredArraysAreCompared) {
  struct Inner {
    float x = 1;
  };
  struct Outer {
    Inner inner;
    float z = 2;
  };
  struct InnerMore {
    float x = 1, y = 3;
  };
  struct OuterMore {
    InnerMore inner;
    float z = 2;
  };
  EXPECT_EQ(reread<std::vector<OuterMore>>(std::vector<Outer>(3))[2].inner.y, 3);
  EXPECT_EQ(refusal<std::vector<OuterMore>>(std::vector<Outer>(3), {.complete = true}).code(), Errc::missing_field);
  EXPECT_EQ(refusal<std::vector<Outer>>(std::vector<OuterMore>(3), {.known = true}).code(), Errc::unknown_field);
}

TEST(Evolution, NothingOfAnObjectThatIsLoadedIntoIsTakenForAnElement) {
  struct Old {
    int a = 1;
  };
  struct New {
    int a = 0, b = 5;
    std::string c = "c";
  };
  struct Plain {
    int a = 0, b = 5;
  };
  struct Holder {
    std::vector<New> vector;
    std::vector<Plain> structured;
    std::list<New> list;
    std::map<std::string, New> map;
    std::optional<New> optional;
    std::unique_ptr<New> unique;
    std::shared_ptr<New> shared;
    std::variant<int, New> variant;
    Array<Plain> array;
  };
  struct Stored {
    std::vector<Old> vector{2}, structured{2};
    std::list<Old> list{{}};
    std::map<std::string, Old> map{{"k", {}}};
    std::optional<Old> optional = Old{};
    std::unique_ptr<Old> unique = std::make_unique<Old>();
    std::shared_ptr<Old> shared = std::make_shared<Old>();
    std::variant<int, Old> variant = Old{};
    std::vector<Old> array{2};
  };
  const New used{9, 9, "used"};
  Holder holder;
  holder.vector.assign(3, used);
  holder.structured.assign(3, {9, 9});
  holder.list.assign(3, used);
  holder.map = {{"k", used}, {"l", used}};
  holder.optional = used;
  holder.unique = std::make_unique<New>(used);
  holder.shared = std::make_shared<New>(used);
  holder.variant = used;
  holder.array = Array<Plain>({2});
  std::ranges::fill(holder.array.mutable_span(), Plain{9, 9});
  const std::shared_ptr<New> kept = holder.shared;
  const std::string path = test::fresh("holder.stele");
  save(Stored{}, path);
  load_into(holder, path);
  EXPECT_EQ(holder.vector.size(), 2U);
  EXPECT_EQ(holder.vector[0].b, 5);
  EXPECT_EQ(holder.vector[0].c, "c");
  EXPECT_EQ(holder.structured[1].b, 5);
  EXPECT_EQ(holder.list.front().b, 5);
  EXPECT_EQ(holder.map.size(), 1U);
  EXPECT_EQ(holder.map.at("k").b, 5);
  EXPECT_EQ(holder.optional->b, 5);
  EXPECT_EQ(holder.unique->b, 5);
  EXPECT_EQ(holder.shared->b, 5);
  EXPECT_EQ(kept->b, 9);
  EXPECT_EQ(std::get<New>(holder.variant).b, 5);
  EXPECT_EQ(holder.array(1).b, 5);
}

TEST(Evolution, StructsAndMapsAreInterchangeable) {
  const auto map = reread<std::map<std::string, double>>(Point{1.5F, 2.5F});
  EXPECT_EQ(map, (std::map<std::string, double>{{"x", 1.5}, {"y", 2.5}}));
  const auto point = reread<Point>(std::map<std::string, double>{{"y", 2.5}, {"q", 9}});
  EXPECT_EQ(point, (Point{-1, 2.5}));
  EXPECT_EQ((reread<std::unordered_map<std::string, float>>(Point{1, 2})).at("y"), 2);
  EXPECT_EQ((reread<std::vector<std::map<std::string, std::string>>>(
                 std::vector<std::map<std::string, std::string>>{{{"a", "b"}}}))
                .at(0)
                .at("a"),
            "b");
  const std::vector<One> many(5, One{1, "x", 2});
  using Any = std::map<std::string, std::variant<int>>;
  EXPECT_EQ(refusal<std::vector<Any>>(many).code(), Errc::type_mismatch);
  EXPECT_EQ(reread<std::vector<One>>(std::vector<Added>(5)).at(4).c, 0);
  struct Texts {
    std::string a, b;
  };
  const auto texts = reread<std::vector<std::map<std::string, std::string>>>(std::vector<Texts>(3, Texts{"1", "2"}));
  EXPECT_EQ(texts.at(2).at("b"), "2");
  EXPECT_EQ((reread<std::vector<Texts>>(texts)).at(2).a, "1");
}

TEST(Evolution, BothByteOrdersAndOtherWritersForms) {
  // RFC 8746: big-endian uint16 (tag 65), float32 (81), int32 (74), and an n-dimensional array around one
  EXPECT_EQ(from_bytes<std::vector<std::uint16_t>>(wrap(hex("d841 44 0102 0304"))),
            (std::vector<std::uint16_t>{0x102, 0x304}));
  EXPECT_EQ(from_bytes<std::vector<float>>(wrap(hex("d851 44 3fc00000"))), (std::vector<float>{1.5F}));
  EXPECT_EQ(from_bytes<std::vector<double>>(wrap(hex("d851 44 3fc00000"))), (std::vector<double>{1.5}));
  EXPECT_EQ(from_bytes<std::vector<std::int64_t>>(wrap(hex("d84a 44 fffffffe"))), (std::vector<std::int64_t>{-2}));
  EXPECT_EQ((from_bytes<Array<std::uint8_t, 2>>(wrap(hex("d828 82 82 02 03 d840 46 010203040506"))))(1, 0), 4);
  EXPECT_EQ((from_bytes<Array<std::uint8_t, 2>>(wrap(hex("d90410 82 82 02 03 d840 46 010203040506"))))(1, 0), 2);
  // clamped bytes (68), plain byte strings, indefinite lengths
  EXPECT_EQ(from_bytes<std::vector<std::uint8_t>>(wrap(hex("d844 42 0102"))), (std::vector<std::uint8_t>{1, 2}));
  EXPECT_EQ(from_bytes<std::vector<std::uint8_t>>(wrap(hex("42 0102"))), (std::vector<std::uint8_t>{1, 2}));
  EXPECT_EQ(from_bytes<std::vector<std::uint8_t>>(wrap(hex("5f 42 0102 41 03 40 ff"))),
            (std::vector<std::uint8_t>{1, 2, 3}));
  EXPECT_EQ(from_bytes<std::vector<float>>(wrap(hex("d855 5f 42 0000 42 c03f ff"))), (std::vector<float>{1.5F}));
  EXPECT_EQ(from_bytes<std::string>(wrap(hex("7f 61 61 62 6263 ff"))), "abc");
  EXPECT_EQ(from_bytes<std::vector<int>>(wrap(hex("9f 01 02 ff"))), (std::vector<int>{1, 2}));
  EXPECT_EQ((from_bytes<std::map<std::string, int>>(wrap(hex("bf 6161 01 ff")))).at("a"), 1);
  EXPECT_EQ(from_bytes<One>(wrap(hex("bf 6161 05 ff"))).a, 5);
  // numbers in longer heads, half floats, tags without a meaning here, undefined
  EXPECT_EQ(from_bytes<int>(wrap(hex("1b 0000000000000007"))), 7);
  EXPECT_EQ(from_bytes<double>(wrap(hex("f9 3e00"))), 1.5);
  EXPECT_EQ(from_bytes<int>(wrap(hex("d9d9f7 07"))), 7);
  EXPECT_EQ(from_bytes<std::string>(wrap(hex("c0 61 61"))), "a");
  EXPECT_EQ(from_bytes<std::optional<int>>(wrap(hex("f7"))), std::nullopt);
}

TEST(Evolution, TimesInOtherUnitsAndTypes) {
  using namespace std::chrono;
  EXPECT_EQ((reread<std::vector<milliseconds>>(std::vector<seconds>{1s, 2s})).at(1), 2000ms);
  EXPECT_EQ((reread<std::tuple<std::int64_t, int, int>>(5s)), (std::tuple<std::int64_t, int, int>(5, 1, 1)));
}

}  // namespace
}  // namespace stele

// Single values of every kind: save and load.

#include <bitset>
#include <chrono>
#include <cmath>
#include <complex>
#include <filesystem>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <variant>

#include "stele/hash.hpp"
#include "support/test_support.hpp"

namespace stele {
namespace {

using test::error_of;
using test::expect_same;
using test::reread;
using test::round_trip;

/// The same bits, for values that do not equal themselves.
template <class T>
void expect_same_bits(T value) {
  const T back = round_trip(value);
  EXPECT_EQ(std::memcmp(&back, &value, sizeof(T)), 0);
}
// --- Numbers ---------------------------------------------------------------------------------------------------------

template <class T>
class Integers : public testing::Test {};
using IntegerTypes = testing::Types<char, signed char, unsigned char, short, unsigned short, int, unsigned, long,
                                    unsigned long, long long, unsigned long long, wchar_t, char8_t, char16_t, char32_t>;
TYPED_TEST_SUITE(Integers, IntegerTypes);

TYPED_TEST(Integers, KeepTheirValue) {
  using Limits = std::numeric_limits<TypeParam>;
  for (const int shift : {0, 3, 5, 7, 8, 15, 16, 24, 31, 32, 63}) {
    for (const int off : {-1, 0, 1}) {
      if (shift >= Limits::digits) {
        continue;
      }
      const auto value = static_cast<TypeParam>((std::uint64_t{1} << shift) + static_cast<std::uint64_t>(off));
      EXPECT_EQ(round_trip(value), value);
      const auto negated = static_cast<TypeParam>(0 - static_cast<std::uint64_t>(value));
      EXPECT_EQ(round_trip(negated), negated);
    }
  }
  EXPECT_EQ(round_trip(Limits::min()), Limits::min());
  EXPECT_EQ(round_trip(Limits::max()), Limits::max());
  const std::vector<TypeParam> many{Limits::min(), TypeParam{}, Limits::max(), static_cast<TypeParam>(7)};
  EXPECT_EQ(round_trip(many), many);
  EXPECT_EQ(round_trip(std::set<TypeParam>(many.begin(), many.end())), std::set<TypeParam>(many.begin(), many.end()));
}

TEST(Types, BooleansKeepTheirValue) {
  expect_same(true);
  expect_same(false);
}

TEST(Types, NumbersTakeTheirShortestForm) {
  EXPECT_EQ(to_bytes(std::int64_t{7}), to_bytes(std::uint8_t{7}));
  EXPECT_EQ(to_bytes(std::uint64_t{7})[frozen::label.size()], std::byte{7});
}

template <class T>
class Reals : public testing::Test {};
using RealTypes = testing::Types<float, double, long double>;
TYPED_TEST_SUITE(Reals, RealTypes);

TYPED_TEST(Reals, KeepTheirValue) {
  using Limits = std::numeric_limits<TypeParam>;
  const TypeParam third = TypeParam{1} / 3;
  for (const TypeParam value : {TypeParam{0}, TypeParam{1}, third, Limits::max(), Limits::min(), Limits::denorm_min(),
                                Limits::epsilon(), 1 + Limits::epsilon(), Limits::infinity(), TypeParam{65504}}) {
    EXPECT_EQ(round_trip(value), value);
    EXPECT_EQ(round_trip(-value), -value);
    EXPECT_EQ(std::signbit(round_trip(-value)), true);
  }
  EXPECT_TRUE(std::isnan(round_trip(Limits::quiet_NaN())));
  EXPECT_TRUE(std::isnan(round_trip(std::vector<TypeParam>{Limits::quiet_NaN()}).at(0)));
}

TEST(Types, LongDoublesBeyondDoubleKeepTheirValue) {
  for (const long double value : {0x1.fffffffffffffffep+16383L, 0x1p-16445L, 0x1.000000000000002p+0L, 1e4000L,
                                  -1e-4940L, 3.14159265358979323846264338327950288L}) {
    EXPECT_EQ(round_trip(value), value);
    EXPECT_EQ(round_trip(-value), -value);
    const std::vector<long double> many{value, 0, -value};
    EXPECT_EQ(round_trip(many), many);
    const std::map<std::string, long double> named{{"x", value}};
    EXPECT_EQ(round_trip(named), named);
  }
}

TEST(Types, NotANumberKeepsItsBits) {
  expect_same_bits(std::bit_cast<float>(0x7fc12345U));
  expect_same_bits(std::bit_cast<float>(0xffc00001U));
  expect_same_bits(std::bit_cast<double>(0x7ff8000012345678U));
  expect_same_bits(std::bit_cast<double>(0xfff8000000000001U));
  for (const std::uint16_t bits :
       std::initializer_list<std::uint16_t>{0x7e01, 0xfe00, 0x7c00, 0xfc00, 0x8000, 1, 0x7bff}) {
    float16 half;
    half.bits = bits;
    EXPECT_EQ(round_trip(half).bits, bits);
    bfloat16 brain;
    brain.bits = bits;
    EXPECT_EQ(round_trip(brain).bits, bits);
  }
  bfloat16 brain_nan;
  brain_nan.bits = 0x7fc1;
  EXPECT_EQ(round_trip(brain_nan).bits, 0x7fc1);
}

TEST(Types, TinyFloatsKeepTheirBits) {
  for (unsigned bits = 0; bits < 256; ++bits) {
    EXPECT_EQ(round_trip(float8_e4m3fn{static_cast<std::uint8_t>(bits)}).bits, bits);
    EXPECT_EQ(round_trip(float8_e5m2{static_cast<std::uint8_t>(bits)}).bits, bits);
  }
}

TEST(Types, Complex) {
  expect_same(std::complex<float>(1, -2));
  expect_same(std::complex<double>(0.1, std::numeric_limits<double>::infinity()));
  expect_same(std::vector<std::complex<float>>{{1, 2}, {3, 4}});
  expect_same(std::vector<std::complex<double>>(1000, {1, 2}));
  expect_same(std::map<int, std::complex<double>>{{1, {1, 2}}});
}

enum class Colour : std::uint8_t { red = 1, blue = 255 };
enum class Wide : std::int64_t { low = std::numeric_limits<std::int64_t>::min(), high = 7 };
enum Old { first, second };

TEST(Types, Enumerations) {
  expect_same(Colour::blue);
  expect_same(Wide::low);
  expect_same(second);
  expect_same(std::vector<Colour>{Colour::red, Colour::blue});
  expect_same(std::map<Colour, Wide>{{Colour::red, Wide::low}, {Colour::blue, Wide::high}});
}

TEST(Types, NullAndMonostate) {
  EXPECT_EQ(round_trip(nullptr), nullptr);
  expect_same(std::monostate{});
  expect_same(std::vector<std::monostate>(3));
}

TEST(Types, ByteVectors) {
  expect_same(std::vector<std::byte>{std::byte{0}, std::byte{255}, std::byte{7}});
  expect_same(std::vector<std::uint8_t>(5000, 3));
  expect_same(std::byte{9});
}

// --- Text ------------------------------------------------------------------------------------------------------------

TEST(Types, Text) {
  using namespace std::string_literals;
  for (const std::string& text :
       {""s, "a"s, "\0"s, "a\0b"s, "\xff\xfe"s, "\xc3\x28"s, "\xed\xa0\x80"s, "\xf4\x90\x80\x80"s, "\xc0\x80"s,
        "grün € 😀"s, "\xe2\x82"s, std::string(23, 'x'), std::string(24, 'x'), std::string(255, 'y'),
        std::string(256, '\x80'), std::string(65535, 'z'), std::string(65536, 'z'), std::string(1 << 20, 'q'),
        std::string(1 << 20, '\xfe')}) {
    expect_same(text);
    EXPECT_EQ(round_trip(std::vector<std::string>{text, "", text}), (std::vector<std::string>{text, "", text}));
    EXPECT_EQ(round_trip(std::map<std::string, std::string>{{text, text}}),
              (std::map<std::string, std::string>{{text, text}}));
  }
}

TEST(Types, TextThatGrowsByOneCrossesEveryBuffer) {
  for (std::size_t size = 65400; size < 65700; ++size) {
    const std::pair<std::string, std::string> texts(std::string(size, 'a'), "tail");
    ASSERT_EQ(round_trip(texts), texts) << size;
  }
}

TEST(Types, OtherStrings) {
  EXPECT_TRUE(round_trip(std::u8string(u8"grün")) == u8"grün");
  EXPECT_EQ((reread<std::string>(std::string_view("view"))), "view");
  const char literal[] = "abc";
  EXPECT_EQ((reread<std::string>(std::string(literal))), "abc");
  expect_same(std::filesystem::path("/a/b c/ü.txt"));
  expect_same(std::filesystem::path());
  expect_same(std::vector<std::filesystem::path>{"a", "b/c"});
}

TEST(Types, BitSets) {
  expect_same(std::bitset<1>(1));
  expect_same(std::bitset<8>(0xa5));
  expect_same(std::bitset<70>("1010101010101010101010101010101010101010101010101010101010101010101011"));
  expect_same(std::bitset<0>());
  EXPECT_EQ(error_of([] { (reread<std::bitset<9>>(std::bitset<8>(1))); }).code(), Errc::type_mismatch);
  EXPECT_EQ(error_of([] { (reread<std::bitset<9>>(std::bitset<16>(0x8000))); }).code(), Errc::type_mismatch);
}

// --- Time ------------------------------------------------------------------------------------------------------------

TEST(Types, Durations) {
  using namespace std::chrono;
  expect_same(5s);
  expect_same(-7ms);
  expect_same(nanoseconds::max());
  expect_same(nanoseconds::min());
  expect_same(duration<double>(0.25));
  expect_same(duration<float, std::ratio<1, 30>>(3.5F));
  expect_same(hours(3));
  EXPECT_EQ((reread<milliseconds>(5s)), 5000ms);
  EXPECT_EQ((reread<seconds>(5000ms)), 5s);
  EXPECT_EQ((reread<seconds>(-5000ms)), -5s);
  EXPECT_EQ((reread<duration<double>>(1500ms)), duration<double>(1.5));
  EXPECT_EQ((reread<days>(hours(48))), days(2));
  EXPECT_EQ(error_of([] { (reread<seconds>(5001ms)); }).code(), Errc::out_of_range);
  EXPECT_EQ(error_of([] { (reread<nanoseconds>(hours(1 << 30))); }).code(), Errc::out_of_range);
}

TEST(Types, UnsignedDurationsBeyondTheSignedRangeDoNotWrap) {
  using namespace std::chrono;
  using Micro = duration<std::uint64_t, std::micro>;
  using Milli = duration<std::uint64_t, std::milli>;
  const Micro large(~std::uint64_t{0} - 615);  // 2^64 - 616 = 1000 * 18446744073709551
  const Milli expected(18446744073709551U);
  try {
    EXPECT_EQ((reread<Milli>(large)), expected);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Errc::out_of_range);
  }
  const Micro wraps(std::uint64_t{0} - 1000);  // as a signed number, -1 ms
  try {
    EXPECT_LT((reread<Milli>(wraps)).count(), std::uint64_t{1} << 63);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Errc::out_of_range);
  }
}

TEST(Types, TimePoints) {
  using namespace std::chrono;
  expect_same(system_clock::now());
  expect_same(steady_clock::now());
  expect_same(sys_days{year{2026} / 2 / 28});
  EXPECT_EQ((reread<sys_time<milliseconds>>(sys_seconds(12s))), sys_time<milliseconds>(12000ms));
  expect_same(std::vector<sys_seconds>{sys_seconds(1s), sys_seconds(2s)});
}

// --- Optional, variant, tuples ---------------------------------------------------------------------------------------

TEST(Types, Optional) {
  using Nested = std::optional<std::optional<int>>;
  expect_same(std::optional<int>());
  expect_same(std::optional<int>(3));
  expect_same(std::optional<std::string>("x"));
  expect_same(Nested());
  expect_same(Nested(std::optional<int>()));
  expect_same(Nested(std::optional<int>(3)));
  using Deep = std::optional<std::optional<std::optional<std::vector<int>>>>;
  expect_same(Deep());
  expect_same(Deep(std::optional<std::optional<std::vector<int>>>()));
  expect_same(Deep(std::optional<std::optional<std::vector<int>>>(std::optional<std::vector<int>>())));
  expect_same(Deep(std::vector<int>{1, 2}));
  expect_same(std::vector<std::optional<double>>{1.5, {}, 2.5});
  expect_same(std::optional<std::vector<std::optional<int>>>({{1}, {}}));
  expect_same(std::optional<std::monostate>(std::monostate{}));
  expect_same(std::optional<std::monostate>());
}

TEST(Types, Variant) {
  using V = std::variant<std::monostate, int, std::string, std::vector<double>, std::optional<int>>;
  expect_same(V());
  expect_same(V(3));
  expect_same(V("text"));
  expect_same(V(std::vector<double>(1000, 0.5)));
  expect_same(V(std::optional<int>()));
  expect_same(std::vector<V>{V(1), V("two"), V()});
  expect_same(std::variant<int, int>(std::in_place_index<1>, 5));
  EXPECT_EQ(error_of([] { (reread<std::variant<int>>(std::variant<int, int>(std::in_place_index<1>, 5))); }).code(),
            Errc::type_mismatch);
}

TEST(Types, PairsAndTuples) {
  expect_same(std::pair<int, std::string>(1, "b"));
  expect_same(std::tuple<>());
  expect_same(std::tuple<int>(4));
  expect_same(std::tuple<int, std::pair<double, bool>, std::vector<int>>(1, {2.0, true}, {3}));
  expect_same(std::vector<std::pair<int, int>>{{1, 2}, {3, 4}});
  expect_same(std::vector<std::tuple<int, float>>{{1, 2.F}, {3, 4.F}});
  EXPECT_EQ(error_of([] { (reread<std::tuple<int, int, int>>(std::pair(1, 2))); }).code(), Errc::type_mismatch);
  EXPECT_EQ(error_of([] { (reread<std::tuple<int>>(std::pair(1, 2))); }).code(), Errc::type_mismatch);
}

// --- Pointers --------------------------------------------------------------------------------------------------------

TEST(Types, UniquePointers) {
  EXPECT_EQ(*round_trip(std::make_unique<int>(4)), 4);
  EXPECT_EQ(round_trip(std::unique_ptr<int>()), nullptr);
  const auto nested = round_trip(std::make_unique<std::unique_ptr<std::string>>(std::make_unique<std::string>("x")));
  EXPECT_EQ(**nested, "x");
  const auto null_inside = round_trip(std::make_unique<std::unique_ptr<int>>());
  ASSERT_NE(null_inside, nullptr);
  EXPECT_EQ(*null_inside, nullptr);
  const auto empty = round_trip(std::make_unique<std::optional<int>>());
  ASSERT_NE(empty, nullptr);
  EXPECT_FALSE(empty->has_value());
  EXPECT_EQ(*round_trip(std::unique_ptr<const int>(new int(3))), 3);
}

TEST(Types, SharedPointers) {
  EXPECT_EQ(*round_trip(std::make_shared<int>(4)), 4);
  EXPECT_EQ(round_trip(std::shared_ptr<int>()), nullptr);
  EXPECT_EQ(*round_trip(std::shared_ptr<const std::string>(new std::string("x"))), "x");
  const auto empty = round_trip(std::make_shared<std::optional<int>>());
  ASSERT_NE(empty, nullptr);
  EXPECT_FALSE(empty->has_value());
  const auto inner = round_trip(std::make_shared<std::shared_ptr<int>>());
  ASSERT_NE(inner, nullptr);
  EXPECT_EQ(*inner, nullptr);
  const auto optional = round_trip(std::optional<std::shared_ptr<int>>(std::shared_ptr<int>()));
  ASSERT_TRUE(optional.has_value());
  EXPECT_EQ(*optional, nullptr);
  EXPECT_FALSE(round_trip(std::optional<std::shared_ptr<int>>()).has_value());
}

struct Shape2 {
  virtual ~Shape2() = default;
  virtual double area() const = 0;
};
struct Named2 {
  virtual ~Named2() = default;
  std::string label;
  static void visit(auto& v, auto& self) { v("label", self.label); }
};
struct Square : Shape2 {
  double side = 0;
  double area() const override { return side * side; }
  static void visit(auto& v, auto& self) { v("side", self.side); }
};
struct Disc : Named2, Shape2 {
  double radius = 0;
  double area() const override { return 3 * radius * radius; }
  static void visit(auto& v, auto& self) { v("radius", self.radius)("label", self.label); }
};
struct Oval : Disc {
  static void visit(auto& v, auto& self) { visit_base<Disc>(v, self); }
};
struct Base : virtual Shape2 {
  int base = 0;
};
struct Left : virtual Base {
  int left = 0;
};
struct Right : virtual Base {
  int right = 0;
};
struct Diamond : Left, Right {
  double area() const override { return base + left + right; }
  static void visit(auto& v, auto& self) { v("base", self.base)("left", self.left)("right", self.right); }
};

TypeRegistry shapes() {
  TypeRegistry types;
  types.add<Square, Shape2>("square");
  types.add<Disc, Shape2, Named2>("disc");
  types.add<Diamond, Shape2, Base, Left, Right>("diamond");
  types.add<Named2>("named");
  return types;
}

TEST(Types, PolymorphicPointers) {
  const TypeRegistry types = shapes();
  std::vector<std::unique_ptr<Shape2>> all;
  auto square = std::make_unique<Square>();
  square->side = 3;
  auto disc = std::make_unique<Disc>();
  disc->radius = 2;
  disc->label = "d";
  auto diamond = std::make_unique<Diamond>();
  diamond->base = 1;
  diamond->left = 2;
  diamond->right = 4;
  all.push_back(std::move(square));
  all.push_back(nullptr);
  all.push_back(std::move(disc));
  all.push_back(std::move(diamond));
  const auto back = round_trip(all, {.types = &types}, {.types = &types});
  ASSERT_EQ(back.size(), 4U);
  EXPECT_EQ(back[0]->area(), 9);
  EXPECT_EQ(back[1], nullptr);
  EXPECT_EQ(back[2]->area(), 12);
  EXPECT_EQ(dynamic_cast<Disc&>(*back[2]).label, "d");
  EXPECT_EQ(back[3]->area(), 7);
  EXPECT_EQ(dynamic_cast<Diamond&>(*back[3]).right, 4);
}

struct Views {
  std::shared_ptr<Named2> named;
  std::shared_ptr<Shape2> shape;
  std::weak_ptr<Disc> disc;
  std::shared_ptr<Left> left;
  std::shared_ptr<Right> right;
  std::shared_ptr<Base> base;
};

TEST(Types, OneObjectThroughSeveralBases) {
  const TypeRegistry types = shapes();
  Views views;
  const auto disc = std::make_shared<Disc>();
  disc->radius = 5;
  disc->label = "one";
  const auto diamond = std::make_shared<Diamond>();
  diamond->left = 8;
  views = {disc, disc, disc, diamond, diamond, diamond};
  const Views back = round_trip(views, {.types = &types}, {.types = &types});
  EXPECT_EQ(back.named->label, "one");
  EXPECT_EQ(back.shape->area(), 75);
  EXPECT_EQ(dynamic_cast<Disc*>(back.named.get()), dynamic_cast<Disc*>(back.shape.get()));
  EXPECT_EQ(back.disc.lock().get(), dynamic_cast<Disc*>(back.named.get()));
  EXPECT_EQ(dynamic_cast<Diamond*>(back.left.get()), dynamic_cast<Diamond*>(back.right.get()));
  EXPECT_EQ(back.base->area(), 8);
  EXPECT_EQ(back.named.use_count(), 2);
  EXPECT_EQ(back.left.use_count(), 3);
}

TEST(Types, APointerToAConcreteBaseKeepsTheDerivedType) {
  const TypeRegistry types = shapes();
  std::shared_ptr<Named2> plain = std::make_shared<Named2>();
  plain->label = "plain";
  std::shared_ptr<Named2> disc = std::make_shared<Disc>();
  const auto back = round_trip(std::vector{plain, disc, plain}, {.types = &types}, {.types = &types});
  EXPECT_EQ(back[0]->label, "plain");
  EXPECT_EQ(dynamic_cast<Disc*>(back[0].get()), nullptr);
  EXPECT_NE(dynamic_cast<Disc*>(back[1].get()), nullptr);
  EXPECT_EQ(back[0], back[2]);
  // Without a registry the concrete class itself still works.
  EXPECT_EQ(round_trip(plain)->label, "plain");
}

TEST(Types, UnregisteredPolymorphicTypesAreErrors) {
  const TypeRegistry types = shapes();
  std::unique_ptr<Shape2> square = std::make_unique<Square>();
  EXPECT_EQ(error_of([&] { to_bytes(square); }).code(), Errc::unknown_type);
  const auto bytes = to_bytes(square, {.types = &types});
  EXPECT_EQ(error_of([&] { from_bytes<std::unique_ptr<Shape2>>(bytes); }).code(), Errc::unknown_type);
  TypeRegistry others;
  others.add<Disc, Named2>("square");  // that name, but no Shape2
  EXPECT_EQ(error_of([&] { from_bytes<std::unique_ptr<Shape2>>(bytes, {.types = &others}); }).code(),
            Errc::type_mismatch);
  TypeRegistry without_base;
  without_base.add<Square>("square");  // through a pointer to Shape2 it could be written, and never read
  const Error error = error_of([&] { to_bytes(square, {.types = &without_base}); });
  EXPECT_EQ(error.code(), Errc::unknown_type);
  EXPECT_NE(error.message().find("Shape2"), std::string::npos) << error.what();
  EXPECT_EQ(error_of([&] { hash(square, {.types = &without_base}); }).code(), Errc::unknown_type);
  const std::shared_ptr<Shape2> shared = std::make_shared<Square>();
  EXPECT_EQ(error_of([&] { to_bytes(shared, {.types = &without_base}); }).code(), Errc::unknown_type);
  TypeRegistry twice = shapes();
  EXPECT_EQ(error_of([&] { twice.add<Square>("other"); }).code(), Errc::invalid_argument);
  EXPECT_EQ(error_of([&] { twice.add<Oval, Disc>("square"); }).code(), Errc::invalid_argument);
}

}  // namespace
}  // namespace stele

// Numbers, booleans and enumerations: save and load.

#include <cmath>
#include <complex>
#include <limits>
#include <map>
#include <set>

#include "support/test_support.hpp"

namespace stele {
namespace {

using test::expect_same;
using test::round_trip;

/// The same bits, for values that do not equal themselves.
template <class T>
void expect_same_bits(T value) {
  const T back = round_trip(value);
  EXPECT_EQ(std::memcmp(&back, &value, sizeof(T)), 0);
}

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

TEST(Scalars, BooleansKeepTheirValue) {
  expect_same(true);
  expect_same(false);
}

TEST(Scalars, NumbersTakeTheirShortestForm) {
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

TEST(Scalars, LongDoublesBeyondDoubleKeepTheirValue) {
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

TEST(Scalars, NotANumberKeepsItsBits) {
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

TEST(Scalars, TinyFloatsKeepTheirBits) {
  for (unsigned bits = 0; bits < 256; ++bits) {
    EXPECT_EQ(round_trip(float8_e4m3fn{static_cast<std::uint8_t>(bits)}).bits, bits);
    EXPECT_EQ(round_trip(float8_e5m2{static_cast<std::uint8_t>(bits)}).bits, bits);
  }
}

TEST(Scalars, Complex) {
  expect_same(std::complex<float>(1, -2));
  expect_same(std::complex<double>(0.1, std::numeric_limits<double>::infinity()));
  expect_same(std::vector<std::complex<float>>{{1, 2}, {3, 4}});
  expect_same(std::vector<std::complex<double>>(1000, {1, 2}));
  expect_same(std::map<int, std::complex<double>>{{1, {1, 2}}});
}

enum class Colour : std::uint8_t { red = 1, blue = 255 };
enum class Wide : std::int64_t { low = std::numeric_limits<std::int64_t>::min(), high = 7 };
enum Old { first, second };

TEST(Scalars, Enumerations) {
  expect_same(Colour::blue);
  expect_same(Wide::low);
  expect_same(second);
  expect_same(std::vector<Colour>{Colour::red, Colour::blue});
  expect_same(std::map<Colour, Wide>{{Colour::red, Wide::low}, {Colour::blue, Wide::high}});
}

}  // namespace
}  // namespace stele

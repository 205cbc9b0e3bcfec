#include "stele/dtype.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <complex>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "stele/error.hpp"

namespace stele {
namespace {

using Kind = DType::Kind;

template <class Action>
Errc code_of(Action action) {
  try {
    action();
  } catch (const Error& e) {
    return e.code();
  }
  ADD_FAILURE() << "no error";
  return Errc::io;
}

/// The value of a binary16 by the definition of IEEE 754.
double slow_half_value(std::uint16_t bits) {
  const int exponent = bits >> 10 & 31;
  const int mantissa = bits & 1023;
  const double sign = (bits & 0x8000) != 0 ? -1.0 : 1.0;
  if (exponent == 31) {
    return mantissa == 0 ? sign * std::numeric_limits<double>::infinity() : std::numeric_limits<double>::quiet_NaN();
  }
  return sign * (exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, exponent - 25));
}

/// The nearest binary16 of a number, found by search; a tie goes to the even one.
std::uint16_t slow_half_bits(float value) {
  const std::uint16_t sign = std::signbit(value) ? 0x8000 : 0;
  const double magnitude = std::fabs(static_cast<double>(value));
  if (magnitude >= 65520) {  // half way between the largest number and 2^16
    return static_cast<std::uint16_t>(sign | 0x7c00);
  }
  std::uint16_t low = 0;
  std::uint16_t high = 0x7bff;
  while (low < high) {  // the largest one not above
    const auto middle = static_cast<std::uint16_t>((low + high + 1) / 2);
    if (slow_half_value(middle) <= magnitude) {
      low = middle;
    } else {
      high = static_cast<std::uint16_t>(middle - 1);
    }
  }
  if (low < 0x7bff) {
    const double below = magnitude - slow_half_value(low);
    const double above = slow_half_value(static_cast<std::uint16_t>(low + 1)) - magnitude;
    if (above < below || (above == below && low % 2 == 1)) {
      ++low;
    }
  }
  return static_cast<std::uint16_t>(sign | low);
}

float16 half_of(std::uint16_t bits) {
  float16 half;
  half.bits = bits;
  return half;
}

TEST(Float16, EveryValueBecomesTheSameFloatAndBack) {
  for (std::uint32_t bits = 0; bits <= 0xffff; ++bits) {
    const auto value = static_cast<float>(half_of(static_cast<std::uint16_t>(bits)));
    const double expected = slow_half_value(static_cast<std::uint16_t>(bits));
    if (std::isnan(expected)) {
      ASSERT_TRUE(std::isnan(value)) << bits;
    } else {
      ASSERT_EQ(static_cast<double>(value), expected) << bits;
      ASSERT_EQ(std::signbit(value), std::signbit(expected)) << bits;
    }
    ASSERT_EQ(float16(value).bits, bits);
  }
}

TEST(Float16, RoundsToNearestEven) {
  EXPECT_EQ(float16(65519.996f).bits, 0x7bff);
  EXPECT_EQ(float16(65520.0f).bits, 0x7c00);
  EXPECT_EQ(float16(0x1p-24f).bits, 1);
  EXPECT_EQ(float16(0x1p-25f).bits, 0);
  EXPECT_EQ(float16(-0x1.000002p-25f).bits, 0x8001);
  EXPECT_EQ(float16(0x3p-25f).bits, 2);
  EXPECT_EQ(float16(-0.0f).bits, 0x8000);
  EXPECT_EQ(float16(std::numeric_limits<float>::denorm_min()).bits, 0);
  EXPECT_EQ(float16(std::numeric_limits<float>::infinity()).bits, 0x7c00);
  EXPECT_EQ(float16(std::numeric_limits<float>::max()).bits, 0x7c00);
  std::mt19937 engine(1);
  const auto random = [&] { return static_cast<std::uint32_t>(engine()); };
  for (int i = 0; i < 300000; ++i) {
    // Exponents about the range of halves, so that most cases are not trivial.
    const std::uint32_t exponent = 127 - 28 + random() % 48;
    const float value = std::bit_cast<float>((random() & 0x807fffff) | exponent << 23);
    ASSERT_EQ(float16(value).bits, slow_half_bits(value)) << value;
  }
  for (std::uint32_t bits = 0; bits < 0x7c00; ++bits) {  // the ties themselves
    const double below = slow_half_value(static_cast<std::uint16_t>(bits));
    const double above = bits == 0x7bff ? 65536 : slow_half_value(static_cast<std::uint16_t>(bits + 1));
    const auto value = static_cast<float>((below + above) / 2);
    for (const float near : {value, std::nextafter(value, 0.0f), std::nextafter(value, 1e9f)}) {
      ASSERT_EQ(float16(near).bits, slow_half_bits(near)) << near;
    }
  }
}

TEST(Float16, ANanStaysANan) {
  for (const std::uint32_t payload : {1u, 0x1000u, 0x1fffu, 0x2000u, 0x400000u, 0x7fffffu}) {
    const float16 half(std::bit_cast<float>(0xff800000u | payload));
    EXPECT_EQ(half.bits & 0xfc00, 0xfc00);
    EXPECT_NE(half.bits & 0x3ff, 0) << payload;
    const bfloat16 brain(std::bit_cast<float>(0xff800000u | payload));
    EXPECT_EQ(brain.bits & 0xff80, 0xff80);
    EXPECT_NE(brain.bits & 0x7f, 0) << payload;
  }
  EXPECT_FALSE(half_of(0x7e00) == half_of(0x7e00));
  EXPECT_TRUE(half_of(0x8000) == half_of(0));
}

TEST(Bfloat16, EveryValueBecomesTheSameFloatAndBack) {
  for (std::uint32_t bits = 0; bits <= 0xffff; ++bits) {
    bfloat16 brain;
    brain.bits = static_cast<std::uint16_t>(bits);
    const auto value = static_cast<float>(brain);
    ASSERT_EQ(std::bit_cast<std::uint32_t>(value), bits << 16);
    ASSERT_EQ(bfloat16(value).bits, bits);
  }
}

TEST(Bfloat16, RoundsToNearestEven) {
  EXPECT_EQ(bfloat16(std::bit_cast<float>(0x3f808000u)).bits, 0x3f80);
  EXPECT_EQ(bfloat16(std::bit_cast<float>(0x3f818000u)).bits, 0x3f82);
  EXPECT_EQ(bfloat16(std::bit_cast<float>(0x3f808001u)).bits, 0x3f81);
  EXPECT_EQ(bfloat16(std::numeric_limits<float>::max()).bits, 0x7f80);
  EXPECT_EQ(bfloat16(std::bit_cast<float>(0x00008001u)).bits, 1);  // subnormal
  std::mt19937 random(2);
  for (int i = 0; i < 100000; ++i) {
    const auto value = std::bit_cast<float>(static_cast<std::uint32_t>(random()));
    if (std::isnan(value) || std::isinf(value)) {
      continue;
    }
    const std::uint32_t whole = std::bit_cast<std::uint32_t>(value);
    const std::uint32_t rest = whole & 0xffff;
    const std::uint32_t up = rest > 0x8000 || (rest == 0x8000 && (whole & 0x10000) != 0) ? 1 : 0;
    ASSERT_EQ(bfloat16(value).bits, (whole >> 16) + up);
  }
}

TEST(DType, KindsHaveSizesNamesAndNumpyNotation) {
  struct Row {
    Kind kind;
    std::size_t size;
    const char* name;
    const char* numpy;
  };
  const Row rows[] = {{Kind::boolean, 1, "bool", "|b1"},
                      {Kind::int8, 1, "int8", "|i1"},
                      {Kind::int16, 2, "int16", "<i2"},
                      {Kind::int32, 4, "int32", "<i4"},
                      {Kind::int64, 8, "int64", "<i8"},
                      {Kind::uint8, 1, "uint8", "|u1"},
                      {Kind::uint16, 2, "uint16", "<u2"},
                      {Kind::uint32, 4, "uint32", "<u4"},
                      {Kind::uint64, 8, "uint64", "<u8"},
                      {Kind::float16, 2, "float16", "<f2"},
                      {Kind::bfloat16, 2, "bfloat16", "bfloat16"},
                      {Kind::float32, 4, "float32", "<f4"},
                      {Kind::float64, 8, "float64", "<f8"},
                      {Kind::complex64, 8, "complex64", "<c8"},
                      {Kind::complex128, 16, "complex128", "<c16"},
                      {Kind::float8_e4m3fn, 1, "float8_e4m3fn", "float8_e4m3fn"},
                      {Kind::float8_e5m2, 1, "float8_e5m2", "float8_e5m2"}};
  for (const Row& row : rows) {
    const DType type(row.kind);
    EXPECT_EQ(type.item_size(), row.size) << row.name;
    EXPECT_EQ(type.name(), row.name);
    EXPECT_EQ(type.numpy(), row.numpy);
    bool big = true;
    EXPECT_EQ(DType::from_numpy(row.numpy, big), type);
    EXPECT_FALSE(big);
    EXPECT_FALSE(type.is_record());
    EXPECT_TRUE(type.fields().empty());
  }
  EXPECT_EQ(DType().name(), "none");
  EXPECT_EQ(DType().numpy(), "");
}

TEST(DType, FixedStrings) {
  const DType bytes = DType::fixed_bytes(8);
  EXPECT_EQ(bytes.item_size(), 8u);
  EXPECT_EQ(bytes.name(), "bytes[8]");
  EXPECT_EQ(bytes.numpy(), "|S8");
  const DType text = DType::fixed_utf32(4);
  EXPECT_EQ(text.item_size(), 16u);
  EXPECT_EQ(text.name(), "utf32[4]");
  EXPECT_EQ(text.numpy(), "<U4");
  EXPECT_NE(bytes, DType::fixed_bytes(9));
  bool big = false;
  EXPECT_EQ(DType::from_numpy("|S8", big), bytes);
  EXPECT_EQ(DType::from_numpy("S0", big), DType::fixed_bytes(0));
  EXPECT_EQ(DType::from_numpy("<U4", big), text);
  EXPECT_FALSE(big);
  EXPECT_EQ(DType::from_numpy(">U4", big), text);
  EXPECT_TRUE(big);
  EXPECT_EQ(DType::from_numpy("S2147483647", big).item_size(), 2147483647u);
  EXPECT_EQ(DType::from_numpy("U536870911", big).item_size(), 2147483644u);
}

TEST(DType, FromNumpyTakesEveryPrefix) {
  bool big = true;
  EXPECT_EQ(DType::from_numpy("f4", big), DType(Kind::float32));
  EXPECT_FALSE(big);
  EXPECT_EQ(DType::from_numpy(">c16", big), DType(Kind::complex128));
  EXPECT_TRUE(big);
  EXPECT_EQ(DType::from_numpy("=i8", big), DType(Kind::int64));
  EXPECT_EQ(big, std::endian::native == std::endian::big);
  EXPECT_EQ(DType::from_numpy("|u1", big), DType(Kind::uint8));
  EXPECT_EQ(DType::from_numpy("?", big), DType(Kind::boolean));
  EXPECT_EQ(DType::from_numpy("|?", big), DType(Kind::boolean));
  for (const char* text : {"",          "<",       "<<f4", "f",   "f3",          "f16",        "c4",
                           "i16",       "b2",      "O",    "|O",  "V8",          "M8[xs]",     "S",
                           "U",         "S-1",     "S 1",  "S1 ", "S2147483648", "U536870912", "S99999999999999999999",
                           "<bfloat16", "float32", "none", "f4f4"}) {
    EXPECT_EQ(code_of([&] { DType::from_numpy(text, big); }), Errc::unsupported) << text;
  }
  EXPECT_EQ(code_of([&] { DType::from_numpy(std::string(1000000, 'x'), big); }), Errc::unsupported);
}

DType point() { return DType::record({{"x", Kind::float32, 0}, {"y", Kind::float32, 4}}, 8); }

TEST(DType, RecordsCompareDeep) {
  EXPECT_EQ(point(), point());
  EXPECT_EQ(point().name(), "{x: float32, y: float32}");
  EXPECT_EQ(point().numpy(), "");
  EXPECT_EQ(point().item_size(), 8u);
  EXPECT_TRUE(point().is_record());
  EXPECT_EQ(point().fields().size(), 2u);
  EXPECT_NE(point(), DType::record({{"x", Kind::float32, 0}, {"z", Kind::float32, 4}}, 8));
  EXPECT_NE(point(), DType::record({{"x", Kind::float32, 0}, {"y", Kind::int32, 4}}, 8));
  EXPECT_NE(point(), DType::record({{"x", Kind::float32, 4}, {"y", Kind::float32, 0}}, 8));
  EXPECT_NE(point(), DType::record({{"x", Kind::float32, 0}, {"y", Kind::float32, 4}}, 12));
  EXPECT_NE(point(), DType::record({{"x", Kind::float32, 0}}, 8));
  const DType outer = DType::record({{"at", point(), 0, 3}, {"id", Kind::int64, 24}}, 32);
  EXPECT_EQ(outer, DType::record({{"at", point(), 0, 3}, {"id", Kind::int64, 24}}, 32));
  EXPECT_NE(outer, DType::record({{"at", point(), 0, 2}, {"id", Kind::int64, 24}}, 32));
  EXPECT_EQ(outer.name(), "{at: {x: float32, y: float32}[3], id: int64}");
  DType moved = outer;
  const DType taken = std::move(moved);
  EXPECT_EQ(taken, outer);
}

TEST(DType, RecordsAreChecked) {
  const auto rejects = [](std::vector<DType::Field> fields, std::uint32_t size) {
    return code_of([&] { DType::record(fields, size); }) == Errc::invalid_argument;
  };
  EXPECT_TRUE(rejects({{"x", Kind::float32, 5}}, 8));
  EXPECT_TRUE(rejects({{"x", Kind::float32, 9}}, 8));
  EXPECT_TRUE(rejects({{"x", Kind::float32, 0, 3}}, 8));
  EXPECT_TRUE(rejects({{"x", Kind::complex128, 0, 0x10000000}}, 16));  // the product has more than 32 bits
  EXPECT_TRUE(rejects({{"x", Kind::complex128, 0, 0xffffffff}}, 0xffffffff));
  EXPECT_TRUE(rejects({{"x", Kind::float32, 0, 0}}, 8));
  EXPECT_TRUE(rejects({{"", Kind::float32, 0}}, 8));
  EXPECT_TRUE(rejects({{"x", Kind::float32, 0}, {"x", Kind::float32, 4}}, 8));
  EXPECT_TRUE(rejects({{"x", Kind::none, 0}}, 8));
  DType nested(Kind::int8);
  for (int depth = 0; depth < 32; ++depth) {
    nested = DType::record({{"inner", nested, 0}}, 1);
  }
  EXPECT_TRUE(rejects({{"inner", nested, 0}}, 1));
  EXPECT_NO_THROW(DType::record({}, 4));
}

enum class Color : std::uint16_t { red };

TEST(DType, ElementTypesHaveKinds) {
  static_assert(DTypeOf<char>::kind == Kind::uint8);
  static_assert(DTypeOf<signed char>::kind == Kind::int8);
  static_assert(DTypeOf<long>::kind == Kind::int64);
  static_assert(DTypeOf<long long>::kind == Kind::int64);
  static_assert(DTypeOf<Color>::kind == Kind::uint16);
  static_assert(DTypeOf<bool>::kind == Kind::boolean);
  static_assert(DTypeOf<std::byte>::kind == Kind::uint8);
  static_assert(DTypeOf<std::complex<float>>::kind == Kind::complex64);
  static_assert(DTypeOf<std::complex<double>>::kind == Kind::complex128);
  static_assert(Element<float16> && Element<bfloat16> && Element<float8_e4m3fn>);
  static_assert(!Element<std::string> && !Element<long double> && !Element<int*>);
}

}  // namespace
}  // namespace stele

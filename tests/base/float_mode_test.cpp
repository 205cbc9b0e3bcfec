// Stored, read and printed numbers do not depend on the mode of the floating-point unit: flush to zero, other rounding
// modes.

#include <cfenv>
#include <cmath>
#include <limits>
#include <list>
#include <map>

#include "stele/describe.hpp"
#include "stele/hash.hpp"
#include "stele/value.hpp"
#include "support/test_support.hpp"

#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

namespace stele {
namespace {

using test::error_of;
using test::reread;
using test::round_trip;

/// Sets one of eight modes for as long as it lives.
class Mode {
 public:
  static constexpr int count = 8;
  explicit Mode(int which) {
    std::fegetenv(&before_);
    constexpr int rounding[] = {FE_TONEAREST, FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO};
    std::fesetround(rounding[which % 4]);
#if defined(__SSE2__)
    if (which >= 4) {
      _mm_setcsr(_mm_getcsr() | 0x8040);  // flush to zero, denormals are zero
    }
#endif
  }
  ~Mode() { std::fesetenv(&before_); }

 private:
  std::fenv_t before_;
};

template <class F>
void in_all_modes(F&& check) {
  for (int which = 0; which < Mode::count; ++which) {
    SCOPED_TRACE(which);
    const Mode mode(which);
    check();
  }
}

std::uint64_t bits(double value) { return __builtin_bit_cast(std::uint64_t, value); }
std::uint32_t bits(float value) { return __builtin_bit_cast(std::uint32_t, value); }
std::uint16_t bits(float16 value) { return value.bits; }
std::uint16_t bits(bfloat16 value) { return value.bits; }
std::vector<std::uint64_t> bits(const std::vector<double>& values) {
  std::vector<std::uint64_t> all;
  for (const double& value : values) {
    all.push_back(bits(value));
  }
  return all;
}

float of_bits(std::uint32_t value) { return __builtin_bit_cast(float, value); }

const std::vector<float>& odd_floats() {
  static const std::vector<float> values = [] {
    std::vector<float> all;
    for (const std::uint32_t magnitude : {0x0U, 0x1U, 0x2U, 0x3U, 0x80U, 0x8000U, 0x400000U, 0x7fffffU, 0x800000U,
                                          0x800001U, 0x3f800000U, 0x7f7fffffU, 0x7f800000U, 0x7fc00000U, 0x7fc12345U}) {
      all.push_back(of_bits(magnitude));
      all.push_back(of_bits(magnitude | 0x80000000U));
    }
    return all;
  }();
  return values;
}

/// As the standard mode converts them.
const std::vector<double>& odd_doubles() {
  static const std::vector<double> values(odd_floats().begin(), odd_floats().end());
  return values;
}

TEST(FloatMode, SubnormalFloat32ReadsAsDoubleWithFlushToZero) {
  (void)odd_doubles();
  const auto stored = to_bytes(odd_floats());
  const std::string path = test::fresh("floats");
  std::vector<float> many;
  for (int i = 0; i < 500; ++i) {
    many.insert(many.end(), odd_floats().begin(), odd_floats().end());
  }
  std::vector<double> wide;
  for (int i = 0; i < 500; ++i) {
    wide.insert(wide.end(), odd_doubles().begin(), odd_doubles().end());
  }
  save(std::map<std::string, std::vector<float>>{{"a", many}}, path);
  in_all_modes([&] {
    for (std::size_t i = 0; i < odd_floats().size(); ++i) {
      EXPECT_EQ(bits(reread<double>(odd_floats()[i])), bits(odd_doubles()[i])) << i;
      EXPECT_EQ(bits(to_value(odd_floats()[i]).to<double>()), bits(odd_doubles()[i])) << i;
    }
    EXPECT_EQ(bits(from_bytes<std::vector<double>>(stored)), bits(odd_doubles()));
    EXPECT_EQ(bits(to_value(odd_floats()).to<std::vector<double>>()), bits(odd_doubles()));
    const auto items = from_bytes<std::list<double>>(stored);
    EXPECT_EQ(bits(std::vector<double>(items.begin(), items.end())), bits(odd_doubles()));
    for (const MapMode map : {MapMode::none, MapMode::read_only}) {
      const auto array = open(path, {.map = map}).load<Array<double>>("a");
      EXPECT_EQ(bits(std::vector<double>(array.begin(), array.end())), bits(wide));
    }
  });
}

TEST(FloatMode, DoubleReadsAsFloat32OnlyWhereItIsOneWithFlushToZero) {
  const double not_floats[] = {2.5e-323,        1e-45 / 2, 0x1p-150,
                               0x1.8p-149,      1e-310,    0x1p128,
                               1e300,           0.1,       std::numeric_limits<double>::denorm_min(),
                               0x1.fffffffp127, -0x1p-1074};
  in_all_modes([&] {
    for (std::size_t i = 0; i < odd_floats().size(); ++i) {
      EXPECT_EQ(bits(reread<float>(odd_doubles()[i])), bits(odd_floats()[i])) << i;
    }
    for (const double& value : not_floats) {
      EXPECT_EQ(error_of([&] { reread<float>(value); }).code(), Errc::out_of_range) << bits(value);
      EXPECT_EQ(error_of([&] { to_value(value).to<float>(); }).code(), Errc::out_of_range) << bits(value);
      EXPECT_EQ(error_of([&] { reread<float16>(value); }).code(), Errc::out_of_range) << bits(value);
      EXPECT_EQ(error_of([&] { reread<bfloat16>(value); }).code(), Errc::out_of_range) << bits(value);
    }
    EXPECT_NE(error_of([&] { reread<float>(not_floats[0]); }).message().find("2.5e-323"), std::string::npos);
    EXPECT_NE(error_of([&] { reread<float>(1e300); }).message().find("1e+300"), std::string::npos);
    const float no_half = of_bits(0x1);
    EXPECT_EQ(error_of([&] { reread<float16>(no_half); }).code(), Errc::out_of_range);
    EXPECT_EQ(error_of([&] { reread<bfloat16>(no_half); }).code(), Errc::out_of_range);
    EXPECT_EQ(error_of([&] { reread<float>(16'777'217); }).code(), Errc::out_of_range);
    EXPECT_EQ(error_of([&] { reread<double>(9'007'199'254'740'993); }).code(), Errc::out_of_range);
    EXPECT_EQ(error_of([&] { reread<double>(~std::uint64_t{0}); }).code(), Errc::out_of_range);
  });
}

TEST(FloatMode, IntegersBecomeFloatsWithOtherRoundingModes) {
  const std::vector<std::uint32_t> numbers{0, 1, 7, 1U << 31, ~0U};
  const std::vector<std::uint64_t> wanted{0, bits(1.0), bits(7.0), bits(2147483648.0), bits(4294967295.0)};
  const std::vector<std::int16_t> small{0, -1, 32767};
  in_all_modes([&] {
    EXPECT_EQ(bits(reread<std::vector<double>>(numbers)), wanted);  // no zero gets a sign
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      EXPECT_EQ(bits(reread<double>(numbers[i])), wanted[i]);
    }
    EXPECT_EQ(bits(reread<std::vector<float>>(small)[0]), 0U);
    EXPECT_EQ(bits(reread<float>(0)), 0U);
    EXPECT_EQ(bits(reread<std::vector<float16>>(std::vector<std::uint8_t>{0, 255})[0]), 0);
  });
}

TEST(FloatMode, ShortFloatsKeepTheirSubnormalNumbers) {
  std::vector<float16> halves(1024);
  std::vector<bfloat16> brains(256);
  std::vector<double> wide_halves;
  std::vector<double> wide_brains;
  for (std::size_t i = 0; i < halves.size(); ++i) {
    halves[i].bits = static_cast<std::uint16_t>(i);
    wide_halves.push_back(std::ldexp(static_cast<double>(i), -24));
  }
  for (std::size_t i = 0; i < brains.size(); ++i) {
    brains[i].bits = static_cast<std::uint16_t>(i);
    wide_brains.push_back(static_cast<double>(of_bits(static_cast<std::uint32_t>(i) << 16)));
  }
  in_all_modes([&] {
    EXPECT_EQ(bits(reread<std::vector<double>>(halves)), bits(wide_halves));
    EXPECT_EQ(bits(reread<std::vector<double>>(brains)), bits(wide_brains));
    for (const std::size_t i : {1, 2, 100}) {
      EXPECT_EQ(bits(reread<double>(halves[i])), bits(wide_halves[i]));
      EXPECT_EQ(bits(reread<double>(brains[i])), bits(wide_brains[i]));
      EXPECT_EQ(bits(reread<float16>(wide_halves[i])), i);
      EXPECT_EQ(bits(reread<bfloat16>(wide_brains[i])), i);
      EXPECT_FALSE(brains[i] == bfloat16());
      EXPECT_TRUE(brains[i] == brains[i]);
    }
  });
}

TEST(FloatMode, LongDoublesKeepTheirBits) {
  using Limits = std::numeric_limits<long double>;
  const long double values[] = {Limits::denorm_min(),
                                Limits::min(),
                                Limits::max(),
                                -Limits::max(),
                                1 + Limits::epsilon(),
                                -0.0L,
                                std::numeric_limits<double>::denorm_min(),
                                0.1L,
                                -Limits::denorm_min()};
  in_all_modes([&] {
    for (const long double& value : values) {
      const long double back = round_trip(value);
      EXPECT_EQ(std::memcmp(&back, &value, 10), 0);
    }
  });
}

TEST(FloatMode, HashesAndFilesAreTheSame) {
  const Digest digest = hash(odd_floats());
  const Digest one = hash(odd_floats()[2]);
  const auto bytes = to_bytes(std::pair(odd_floats(), odd_doubles()));
  const bool compresses = test::has_codec("zstd");
  const std::vector<double> many = test::numbers<double>(100'000);
  const SaveOptions zstd{.codec = "zstd", .threads = 1};
  const auto compressed = compresses ? to_bytes(many, zstd) : bytes;
  in_all_modes([&] {
    EXPECT_EQ(hash(odd_floats()), digest);
    EXPECT_EQ(hash(odd_floats()[2]), one);
    EXPECT_EQ(to_bytes(std::pair(odd_floats(), odd_doubles())), bytes);
    EXPECT_EQ(to_value(odd_floats()), to_value(odd_floats()));
    EXPECT_NE(to_value(odd_floats()[2]), to_value(0.0F));
    if (compresses) {
      EXPECT_EQ(to_bytes(many, zstd), compressed);
    }
  });
}

TEST(FloatMode, TextShowsSubnormalNumbers) {
  const std::vector<double> values{5e-324, 1.5, -1e-310, 0.1};
  const std::vector<float> floats{1e-45F, 0.1F};
  const std::map<double, int> keys{{5e-324, 1}, {0.1, 2}};
  const std::string text = describe(values);
  const std::string brief = describe(floats);
  const std::string single = describe(5e-324);
  const std::string map = describe(keys);
  EXPECT_NE(single.find("5e-324"), std::string::npos);
  in_all_modes([&] {
    EXPECT_EQ(describe(values), text);
    EXPECT_EQ(describe(floats), brief);
    EXPECT_EQ(describe(5e-324), single);
    EXPECT_EQ(describe(keys), map);
  });
}

TEST(FloatMode, TheCallersModeStays) {
  const Mode mode(6);
  const auto bytes = to_bytes(odd_floats());
  (void)from_bytes<std::vector<double>>(bytes);
  (void)describe(odd_floats());
  EXPECT_EQ(std::fegetround(), FE_DOWNWARD);
#if defined(__SSE2__)
  EXPECT_EQ(_mm_getcsr() & 0x8040U, 0x8040U);
#endif
}

}  // namespace
}  // namespace stele

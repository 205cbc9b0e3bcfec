// Random number engines continue with the same numbers after loading.

#include <random>

#include "stele/hash.hpp"
#include "stele/random.hpp"
#include "stele/value.hpp"
#include "support/test_support.hpp"

namespace stele {
namespace {

using test::error_of;
using test::reread;
using test::round_trip;

template <class E>
class Engines : public testing::Test {};
using EngineTypes = testing::Types<
    std::mt19937, std::mt19937_64, std::minstd_rand, std::minstd_rand0, std::ranlux24_base, std::ranlux48_base,
    std::ranlux24, std::ranlux48, std::knuth_b, std::independent_bits_engine<std::mt19937, 17, std::uint32_t>,
    std::shuffle_order_engine<std::mt19937_64, 7>, std::linear_congruential_engine<std::uint64_t, 5, 1, 0>>;
TYPED_TEST_SUITE(Engines, EngineTypes);

TYPED_TEST(Engines, GoOnWithTheSameNumbers) {
  for (const unsigned long long used : {0ULL, 1ULL, 623ULL, 624ULL, 10'007ULL}) {
    TypeParam engine(42);
    engine.discard(used);
    TypeParam back = round_trip(engine);
    EXPECT_EQ(back, engine);
    TypeParam value = to_value(engine).template to<TypeParam>();
    for (int i = 0; i < 2000; ++i) {
      const auto wanted = engine();
      ASSERT_EQ(back(), wanted);
      ASSERT_EQ(value(), wanted);
    }
  }
}

TYPED_TEST(Engines, RefuseNumbersThatAreNotAState) {
  auto numbers = reread<std::vector<std::uint64_t>>(TypeParam(1));
  const std::vector<std::uint64_t> good = numbers;
  for (const std::size_t at : {std::size_t{0}, numbers.size() - 1}) {
    numbers = good;
    numbers[at] = ~std::uint64_t{0};
    if (TypeParam::max() != ~std::uint64_t{0}) {
      EXPECT_EQ(error_of([&] { reread<TypeParam>(numbers); }).code(), Errc::damaged) << at;
    }
  }
  numbers = good;
  numbers.push_back(0);
  EXPECT_EQ(error_of([&] { reread<TypeParam>(numbers); }).code(), Errc::type_mismatch);
  EXPECT_EQ(error_of([&] { reread<TypeParam>(std::vector<std::uint64_t>()); }).code(), Errc::type_mismatch);
}

#if defined(__GLIBCXX__)
TEST(RandomEngines, EnginesDoNotGoBeyondTheirState) {
  auto numbers = reread<std::vector<std::uint64_t>>(std::mt19937_64(1));
  numbers.back() = 313;  // where the next number comes from
  EXPECT_EQ(error_of([&] { reread<std::mt19937_64>(numbers); }).code(), Errc::damaged);
  numbers.back() = 312;
  EXPECT_NE(reread<std::mt19937_64>(numbers)(), 0U);
}
#endif

TEST(RandomEngines, EnginesInObjects) {
  struct Sampler {
    std::mt19937_64 engine{7};
    std::vector<std::minstd_rand> others = std::vector<std::minstd_rand>(3, std::minstd_rand(5));
  };
  Sampler sampler;
  sampler.engine.discard(99);
  Sampler back = round_trip(sampler);
  EXPECT_EQ(back.engine, sampler.engine);
  EXPECT_EQ(back.others, sampler.others);
  EXPECT_EQ(hash(sampler), hash(back));
  back.engine.discard(1);
  EXPECT_NE(hash(sampler), hash(back));
}

}  // namespace
}  // namespace stele

// stele::Array: save and load.

#include <complex>

#include "support/test_support.hpp"

namespace stele {
namespace {

using test::counting;
using test::reread;
using test::round_trip;

enum class Colour : std::uint8_t { red = 1, blue = 255 };

template <class T>
class Elements : public testing::Test {};
using ElementTypes = testing::Types<bool, char, std::int8_t, std::uint8_t, std::int16_t, std::uint16_t, std::int32_t,
                                    std::uint32_t, std::int64_t, std::uint64_t, float, double, std::byte, Colour>;
TYPED_TEST_SUITE(Elements, ElementTypes);

TYPED_TEST(Elements, RoundTripInArraysOfAllSizes) {
  for (const std::size_t count : {0U, 1U, 7U, 4095U, 4096U, 5000U, 70000U}) {
    Array<TypeParam> array({count});
    for (std::size_t i = 0; i < count; ++i) {
      array.mutable_data()[i] = static_cast<TypeParam>(i % 2);
    }
    EXPECT_TRUE(round_trip(array) == array) << count;
    if (test::has_codec("zstd")) {
      EXPECT_TRUE(round_trip(array, {.codec = "zstd"}) == array) << count;
    }
  }
}

template <class T>
Array<T> from_bits(std::size_t count) {
  Array<T> array({count});
  for (std::size_t i = 0; i < count; ++i) {
    array.mutable_data()[i].bits = static_cast<decltype(T::bits)>(i);
  }
  return array;
}

template <class T>
void expect_same_array_bits(const Array<T>& array) {
  const auto back = round_trip(array);
  ASSERT_EQ(back.shape(), array.shape());
  EXPECT_EQ(std::memcmp(back.data(), array.data(), array.size() * sizeof(T)), 0);
}

TEST(Arrays, SmallFloatArrays) {
  expect_same_array_bits(from_bits<float16>(65536));
  expect_same_array_bits(from_bits<bfloat16>(65536));
  expect_same_array_bits(from_bits<float8_e4m3fn>(256));
  expect_same_array_bits(from_bits<float8_e5m2>(256));
  Array<std::complex<float>> z({9});
  z.mutable_at(3) = {1, 2};
  EXPECT_TRUE(round_trip(z) == z);
}

TEST(Arrays, ArraysOfEveryRank) {
  Array<int, 0> scalar(std::array<std::uint64_t, 0>{});
  scalar.mutable_at() = 42;
  EXPECT_EQ(round_trip(scalar)(), 42);
  EXPECT_TRUE((round_trip(counting<float, 1>({10})) == counting<float, 1>({10})));
  EXPECT_TRUE((round_trip(counting<float, 2>({3, 4})) == counting<float, 2>({3, 4})));
  EXPECT_TRUE((round_trip(counting<double, 3>({3, 4, 5})) == counting<double, 3>({3, 4, 5})));
  EXPECT_TRUE((round_trip(counting<std::int8_t, 4>({3, 4, 5, 200})) == counting<std::int8_t, 4>({3, 4, 5, 200})));
  EXPECT_TRUE((round_trip(counting<float, 2>({3, 0})) == counting<float, 2>({3, 0})));
  EXPECT_TRUE((round_trip(counting<float, 3>({0, 5, 7})) == counting<float, 3>({0, 5, 7})));
  EXPECT_EQ((round_trip(Array<float, 1>()).size()), 0U);
  EXPECT_EQ((round_trip(Array<float, 2>()).shape()), (std::array<std::uint64_t, 2>{0, 0}));
}

TEST(Arrays, AnUnsetArrayWithoutDimensionsRoundTrips) {
  const auto back = round_trip(Array<int, 0>());
  EXPECT_LE(back.size(), 1U);
}

TEST(Arrays, ColumnMajorArraysStaySo) {
  const auto array = counting<float, 2>({40, 50}, Order::column_major);
  const auto back = round_trip(array);
  EXPECT_TRUE(back == array);
  EXPECT_TRUE(back.is_dense(Order::column_major));
  const auto cube = counting<double, 3>({4, 5, 60}, Order::column_major);
  EXPECT_TRUE(round_trip(cube) == cube);
  EXPECT_TRUE(round_trip(cube).is_dense(Order::column_major));
}

TEST(Arrays, StridedArrays) {
  const auto base = counting<int, 2>({60, 50});
  EXPECT_TRUE(round_trip(base.transposed()) == base.transposed());
  EXPECT_TRUE(round_trip(base.slice(10, 20)) == base.slice(10, 20));
  EXPECT_TRUE(round_trip(base.slice(10, 20).transposed()) == base.slice(10, 20).transposed());
  EXPECT_TRUE(round_trip(base.slice(5, 5)) == base.slice(5, 5));
  auto first = base.data();
  // every other column of every third row, backwards
  const Array<int, 2> odd(base.buffer(), first + 59 * 50 + 49, {20, 25}, {-150, -2});
  EXPECT_EQ(odd(0, 0), base(59, 49));
  EXPECT_EQ(odd(1, 1), base(56, 47));
  EXPECT_TRUE(round_trip(odd) == odd);
  const Array<int> backwards(base.buffer(), first + 2999, {3000}, {-1});
  EXPECT_TRUE(round_trip(backwards) == backwards);
  const Array<int, 2> repeated(base.buffer(), first, {30, 50}, {0, 1});
  EXPECT_TRUE(round_trip(repeated) == repeated);
  const Array<int> constant(base.buffer(), first + 7, {5000}, {0});
  EXPECT_TRUE(round_trip(constant) == constant);
  const Array<int, 2> diagonal(base.buffer(), first, {50, 1}, {51, 7});
  EXPECT_TRUE(round_trip(diagonal) == diagonal);
  const auto cube = counting<std::int16_t, 3>({10, 20, 30});
  EXPECT_TRUE(round_trip(cube.transposed()) == cube.transposed());
  const Array<std::int16_t, 3> swapped(cube.buffer(), cube.data(), {20, 10, 30}, {30, 600, 1});
  EXPECT_TRUE(round_trip(swapped) == swapped);
}

TEST(Arrays, ArraysOfConstElements) {
  const auto base = counting<float, 1>({2000});
  const Array<const float> fixed(base.buffer(), base.data(), {2000}, {1});
  const auto back = reread<Array<const float>>(fixed);
  EXPECT_EQ(back.size(), 2000U);
  EXPECT_EQ(back(77), base(77));
}

TEST(Arrays, ArraysAndVectorsAreTheSameOnDisk) {
  const auto array = counting<float, 1>({3000});
  const std::vector<float> vector(array.data(), array.data() + 3000);
  EXPECT_EQ((reread<std::vector<float>>(array)), vector);
  EXPECT_TRUE((reread<Array<float>>(vector)) == array);
  const auto grid = counting<float, 2>({100, 3});
  const auto rows = reread<std::vector<std::array<float, 3>>>(grid);
  EXPECT_EQ(rows.at(50)[1], grid(50, 1));
  EXPECT_TRUE((reread<Array<float, 2>>(rows)) == grid);
  const auto turned = counting<float, 2>({3, 100}).transposed();
  EXPECT_EQ((reread<std::vector<std::array<float, 3>>>(turned)).at(70)[2], turned(70, 2));
  const auto column = counting<float, 2>({100, 3}, Order::column_major);
  EXPECT_EQ((reread<std::vector<std::array<float, 3>>>(column)).at(70)[2], column(70, 2));
  EXPECT_EQ((reread<std::vector<int>>(std::array<int, 3>{1, 2, 3})), (std::vector<int>{1, 2, 3}));
}

}  // namespace
}  // namespace stele

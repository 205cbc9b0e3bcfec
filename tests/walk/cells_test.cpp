// Elements of arrays: records of numbers without padding are one array.

#include <complex>
#include <deque>
#include <map>
#include <optional>

#include "support/test_support.hpp"

namespace stele {
namespace {

using test::expect_same;
using test::round_trip;

struct Point {
  float x = 0, y = 0;
  bool operator==(const Point&) const = default;
};
enum class Flag : std::uint16_t { off, on = 0x1234 };
struct Rich {
  double time = 0;
  Point at;
  Flag flag = Flag::off;
  bool good = false;
  std::uint8_t code[5] = {};
  std::array<Point, 2> corners;
  std::complex<float> z;
  bool operator==(const Rich&) const = default;
};
static_assert(sizeof(Rich) == 8 + 8 + 2 + 1 + 5 + 16 + 8);
struct Padded {
  char c = 0;
  int i = 0;
  bool operator==(const Padded&) const = default;
};
struct Halves {
  float16 a;
  bfloat16 b;
  float8_e5m2 c;
  float8_e4m3fn d;
};

std::vector<Rich> rich(std::size_t count) {
  std::vector<Rich> all(count);
  for (std::size_t i = 0; i < count; ++i) {
    const auto f = static_cast<float>(i);
    all[i] = {static_cast<double>(i) / 3,
              {f, -f},
              i % 2 == 0 ? Flag::on : Flag::off,
              i % 3 == 0,
              {1, 2, 3, 4, static_cast<std::uint8_t>(i)},
              {{{f, 1}, {2, f}}},
              {f, 3}};
  }
  return all;
}

TEST(Cells, PlainRecordsAreOneArray) {
  static_assert(walk::is_plain_record<Point>() && walk::is_plain_record<Rich>() && !walk::is_plain_record<Padded>());
  expect_same(std::vector<Point>{{1, 2}, {3, 4}});
  expect_same(std::vector<Point>());
  expect_same(rich(3));
  expect_same(rich(1000));
  expect_same(rich(1)[0]);
  expect_same(std::vector<Padded>{{'a', 1}, {'b', 2}});
  expect_same(std::map<std::string, std::vector<Rich>>{{"a", rich(200)}});
  expect_same(std::vector<std::array<Point, 3>>(50));
  expect_same(std::array<Rich, 2>{rich(2)[0], rich(2)[1]});
  expect_same(std::deque<Point>{{1, 2}});
  expect_same(std::optional<Point>(Point{1, 2}));
  EXPECT_LT(to_bytes(rich(1000)).size(), 1000 * sizeof(Rich) + 2000);
  const auto back = round_trip(std::vector<Halves>(3, Halves{float16(1.5F), bfloat16(2.5F), {3}, {4}}));
  EXPECT_EQ(back.at(2).a, float16(1.5F));
  EXPECT_EQ(back.at(2).d.bits, 4);
}

TEST(Cells, ArraysOfRecords) {
  const auto items = rich(500);
  Array<Rich, 2> array({50, 10});
  std::copy(items.begin(), items.end(), array.mutable_data());
  EXPECT_TRUE(round_trip(array) == array);
  EXPECT_TRUE(round_trip(array.transposed()) == array.transposed());
  EXPECT_TRUE(round_trip(array.slice(3, 9)) == array.slice(3, 9));
}

}  // namespace
}  // namespace stele

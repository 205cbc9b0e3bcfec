#include "stele/filters/hyper_log_log.hpp"

#include <cmath>

#include "base/checksum.hpp"
#include "support/test_support.hpp"

namespace stele {
namespace {

using test::error_of;
using test::Folder;

TEST(HyperLogLog, ErrsAsItsStandardErrorSays) {
  // Many sketches of each size: their mean has no bias, and their deviation is that of the formula.
  for (const unsigned precision : {4U, 8U, 12U}) {
    for (const std::uint64_t keys : {1U, 10U, 200U, 3000U, 20'000U}) {
      const std::uint64_t sketches = keys > 1000 ? 60 : 300;
      double sum = 0;
      double squares = 0;
      for (std::uint64_t seed = 0; seed < sketches; ++seed) {
        HyperLogLog sketch(precision, seed);
        for (std::uint64_t i = 0; i < keys; ++i) {
          sketch.add(KeyHash(i));
        }
        const double error = sketch.estimate() / static_cast<double>(keys) - 1;
        sum += error;
        squares += error * error;
      }
      const auto n = static_cast<double>(sketches);
      const double expected = HyperLogLog(precision).standard_error();
      EXPECT_NEAR(sum / n, 0, 5 * expected / std::sqrt(n) + 0.003) << precision << ", " << keys;
      EXPECT_LT(std::sqrt(squares / n), 1.5 * expected + 0.003) << precision << ", " << keys;
    }
  }
}

TEST(HyperLogLog, CountsMillions) {
  HyperLogLog sketch(14);
  constexpr std::uint64_t keys = test::sanitized ? 300'000 : 3'000'000;
  for (std::uint64_t i = 0; i < keys; ++i) {
    sketch.add(KeyHash(i));
    sketch.add(KeyHash(i / 2));
  }
  EXPECT_NEAR(sketch.estimate() / static_cast<double>(keys), 1, 5 * sketch.standard_error());
}

TEST(HyperLogLog, CountsFewKeysAlmostExactly) {
  HyperLogLog sketch(18);
  EXPECT_EQ(sketch.estimate(), 0);
  for (int i = 1; i <= 100; ++i) {
    sketch.add("key " + std::to_string(i));
    EXPECT_NEAR(sketch.estimate(), i, 1.5);
  }
}

TEST(HyperLogLog, MergedSketchCountsTheUnion) {
  HyperLogLog all(10);
  HyperLogLog one(10);
  HyperLogLog two(10);
  for (int i = 0; i < 5000; ++i) {
    all.add(i);
    if (i < 3000) {
      one.add(i);
    }
    if (i > 2000) {
      two.add(i);
    }
  }
  one.merge(two);
  EXPECT_EQ(one, all);
  EXPECT_EQ(error_of([&] { one.merge(HyperLogLog(11)); }).code(), Errc::invalid_argument);
  EXPECT_EQ(error_of([&] { one.merge(HyperLogLog(10, 1)); }).code(), Errc::invalid_argument);
  HyperLogLog none;
  none.merge(HyperLogLog());
  EXPECT_EQ(none.estimate(), 0);
  one.clear();
  EXPECT_EQ(one.estimate(), 0);
}

TEST(HyperLogLog, RefusesWhatMakesNoSense) {
  EXPECT_EQ(error_of([] { HyperLogLog(3); }).code(), Errc::invalid_argument);
  EXPECT_EQ(error_of([] { HyperLogLog(19); }).code(), Errc::invalid_argument);
  HyperLogLog none;
  EXPECT_EQ(error_of([&] { none.add(1); }).code(), Errc::invalid_argument);
}

TEST(HyperLogLog, IsSavedLoadedAndMapped) {
  const Folder folder;
  HyperLogLog sketch(14, 7);
  for (int i = 0; i < 1000; ++i) {
    sketch.add(i);
  }
  test::expect_same(sketch);
  test::expect_same(HyperLogLog());
  test::expect_same(HyperLogLog(4));
  save(sketch, folder / "sketch.stele");
  auto mapped = load<HyperLogLog>(folder / "sketch.stele", {.map = MapMode::read_only});
  EXPECT_FALSE(mapped.writable());
  EXPECT_EQ(mapped.estimate(), sketch.estimate());
  const HyperLogLog copy = mapped;
  for (int i = 0; i < 100; ++i) {
    mapped.add(-1 - i);
  }
  EXPECT_GT(mapped.estimate(), copy.estimate() + 50);
  EXPECT_EQ(load<HyperLogLog>(folder / "sketch.stele"), sketch);
}

TEST(HyperLogLog, RegistersAreFrozen) {
  HyperLogLog sketch(9, 3);
  for (int i = 0; i < 1000; ++i) {
    sketch.add(i);
  }
  const auto archive = to_bytes(sketch);
  const auto registers = open(memory_source(archive)).load<Array<std::uint8_t>>("registers");
  EXPECT_EQ(xxh3_64(std::as_bytes(registers.span())), 1646333486598199626U);
}

struct Stored {
  std::uint32_t version = 1;
  std::uint32_t precision = 4;
  std::vector<std::uint8_t> registers = std::vector<std::uint8_t>(16);
  static void visit(auto& v, auto& self) {
    v.version(self.version);
    v("precision", self.precision)("registers", self.registers);
  }
};

TEST(HyperLogLog, RefusesDamagedFiles) {
  const auto code = [](const Stored& stored) {
    const auto bytes = to_bytes(stored);
    return error_of([&] { (void)from_bytes<HyperLogLog>(bytes); }).code();
  };
  EXPECT_EQ(code({.precision = 5}), Errc::damaged);
  EXPECT_EQ(code({.precision = 0}), Errc::damaged);
  EXPECT_EQ(code({.precision = 3, .registers = std::vector<std::uint8_t>(8)}), Errc::damaged);
  EXPECT_EQ(code({.precision = 200}), Errc::damaged);
  EXPECT_EQ(code({.version = 2}), Errc::unsupported);
  EXPECT_EQ(code({.version = 0}), Errc::type_mismatch);
  // ranks beyond the highest count as the highest
  const auto bytes = to_bytes(Stored{.registers = std::vector<std::uint8_t>(16, 255)});
  EXPECT_GT(from_bytes<HyperLogLog>(bytes).estimate(), 1e15);
}

}  // namespace
}  // namespace stele

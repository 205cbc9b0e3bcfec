#include "stele/filters/count_min.hpp"

#include <cmath>
#include <limits>
#include <unordered_map>

#include "base/bytes.hpp"
#include "base/checksum.hpp"
#include "support/test_support.hpp"

namespace stele {
namespace {

using test::error_of;
using test::Folder;

constexpr std::uint32_t highest = std::numeric_limits<std::uint32_t>::max();

/// Keys with skewed counts: key i about count / i times.
std::vector<std::uint64_t> skewed(std::size_t count, unsigned seed) {
  std::mt19937_64 random(seed);
  std::uniform_real_distribution<double> uniform(0, 1);
  std::vector<std::uint64_t> keys(count);
  for (std::uint64_t& key : keys) {
    key = static_cast<std::uint64_t>(std::pow(20'000, uniform(random)));
  }
  return keys;
}

struct Errors {
  std::size_t beyond_epsilon = 0;
  double mean = 0;
};

/// Checks that no estimate is too low, and returns by how much they are too high.
Errors check(const CountMin& sketch, const std::unordered_map<std::uint64_t, std::uint32_t>& exact, double epsilon) {
  Errors errors;
  for (const auto& [key, count] : exact) {
    const std::uint32_t estimate = sketch.estimate(KeyHash(key));
    EXPECT_GE(estimate, count) << key;
    errors.mean += static_cast<double>(estimate - count) / static_cast<double>(exact.size());
    errors.beyond_epsilon += estimate - count > epsilon * static_cast<double>(sketch.total()) ? 1 : 0;
  }
  return errors;
}

TEST(CountMin, ErrsWithinItsBound) {
  constexpr double epsilon = 0.002;
  constexpr double delta = 0.01;
  std::unordered_map<std::uint64_t, std::uint32_t> exact;
  CountMin plain(epsilon, delta);
  CountMin conservative(epsilon, delta, {.conservative = true});
  for (const std::uint64_t key : skewed(200'000, 1)) {
    ++exact[key];
    plain.add(KeyHash(key));
    conservative.add(KeyHash(key));
  }
  EXPECT_EQ(plain.total(), 200'000U);
  EXPECT_EQ(plain.width(), 1360U);  // e / 0.002, rounded up
  EXPECT_EQ(plain.depth(), 5U);     // ln(100), rounded up
  EXPECT_EQ(plain.byte_count(), 1360U * 5 * 4);
  const Errors errors = check(plain, exact, epsilon);
  EXPECT_LE(errors.beyond_epsilon, exact.size() / 100);
  const Errors fewer = check(conservative, exact, epsilon);
  EXPECT_LE(fewer.beyond_epsilon, errors.beyond_epsilon);
  EXPECT_LT(fewer.mean, 0.6 * errors.mean);
}

TEST(CountMin, AddsSeveralAtATime) {
  for (const bool conservative : {false, true}) {
    CountMin sketch(0.001, 0.001, {.conservative = conservative});
    sketch.add("a", 5);
    sketch.add("a");
    sketch.add("b", 0);
    EXPECT_EQ(sketch.estimate("a"), 6U);
    EXPECT_EQ(sketch.estimate("b"), 0U);
    EXPECT_EQ(sketch.total(), 6U);
    sketch.clear();
    EXPECT_EQ(sketch.estimate("a"), 0U);
    EXPECT_EQ(sketch.total(), 0U);
  }
}

TEST(CountMin, StopsAtTheHighestCount) {
  for (const bool conservative : {false, true}) {
    CountMin sketch(0.01, 0.01, {.conservative = conservative});
    sketch.add("a", highest - 1);
    sketch.add("a", 5);
    EXPECT_EQ(sketch.estimate("a"), highest);
    CountMin other = sketch;
    sketch.merge(other);
    EXPECT_EQ(sketch.estimate("a"), highest);
    EXPECT_EQ(sketch.total(), 2 * (std::uint64_t{highest} + 4));
  }
}

TEST(CountMin, MergedCountsAreThoseOfBoth) {
  CountMin all(0.01, 0.01, {.seed = 4});
  CountMin one(0.01, 0.01, {.seed = 4});
  CountMin two(0.01, 0.01, {.seed = 4});
  for (const std::uint64_t key : skewed(5000, 2)) {
    all.add(KeyHash(key));
    (key % 2 == 0 ? one : two).add(KeyHash(key));
  }
  one.merge(two);
  EXPECT_EQ(one, all);
  CountMin empty;
  empty.merge(CountMin());
  EXPECT_EQ(error_of([&] { one.merge(CountMin(0.02, 0.01, {.seed = 4})); }).code(), Errc::invalid_argument);
  EXPECT_EQ(error_of([&] { one.merge(CountMin(0.01, 0.01)); }).code(), Errc::invalid_argument);
  EXPECT_EQ(error_of([&] { one.merge(empty); }).code(), Errc::invalid_argument);
}

TEST(CountMin, MergedConservativeSketchesAreNeverTooLow) {
  std::unordered_map<std::uint64_t, std::uint32_t> exact;
  CountMin one(0.01, 0.01, {.conservative = true});
  CountMin two = one;
  std::size_t i = 0;
  for (const std::uint64_t key : skewed(20'000, 3)) {
    ++exact[key];
    (i++ % 2 == 0 ? one : two).add(KeyHash(key));
  }
  one.merge(two);
  (void)check(one, exact, 0.01);
}

TEST(CountMin, RefusesWhatMakesNoSense) {
  for (const double wrong : {0.0, 1.0, -0.1, std::nan("")}) {
    EXPECT_EQ(error_of([&] { CountMin(wrong, 0.1); }).code(), Errc::invalid_argument);
    EXPECT_EQ(error_of([&] { CountMin(0.1, wrong); }).code(), Errc::invalid_argument);
  }
  EXPECT_EQ(error_of([] { CountMin(1e-18, 0.1); }).code(), Errc::limit_exceeded);
  EXPECT_EQ(error_of([] { CountMin::of_size(0, 1); }).code(), Errc::invalid_argument);
  EXPECT_EQ(error_of([] { CountMin::of_size(8, 65); }).code(), Errc::invalid_argument);
  CountMin none;
  EXPECT_EQ(none.estimate("a"), 0U);
  EXPECT_EQ(error_of([&] { none.add("a"); }).code(), Errc::invalid_argument);
}

TEST(CountMin, IsSavedLoadedAndMapped) {
  const Folder folder;
  for (const bool conservative : {false, true}) {
    CountMin sketch(0.001, 0.01, {.conservative = conservative, .seed = 3});
    for (const std::uint64_t key : skewed(5000, 5)) {
      sketch.add(KeyHash(key));
    }
    test::expect_same(sketch);
    save(sketch, folder / "sketch.stele");
    auto mapped = load<CountMin>(folder / "sketch.stele", {.map = MapMode::read_only});
    EXPECT_FALSE(mapped.writable());
    EXPECT_EQ(mapped, sketch);
    mapped.add("new");
    EXPECT_EQ(mapped.total(), sketch.total() + 1);
    EXPECT_EQ(load<CountMin>(folder / "sketch.stele"), sketch);
  }
  test::expect_same(CountMin());
}

TEST(CountMin, CountersAreFrozen) {
  CountMin sketch = CountMin::of_size(100, 4, {.seed = 9});
  for (std::uint64_t i = 0; i < 500; ++i) {
    sketch.add(KeyHash(i * i));
  }
  const auto archive = to_bytes(sketch);
  const auto counts = open(memory_source(archive)).load<Array<std::uint32_t, 2>>("counts");
  std::vector<std::byte> bytes(4 * counts.size());
  for (std::size_t i = 0; i < counts.size(); ++i) {
    store_le(bytes.data() + 4 * i, counts.data()[i]);
  }
  EXPECT_EQ(xxh3_64(bytes), 16172130333203455157U);
}

struct Stored {
  std::uint32_t version = 1;
  Array<std::uint32_t, 2> counts;
  static void visit(auto& v, auto& self) {
    v.version(self.version);
    v("counts", self.counts);
  }
};

TEST(CountMin, RefusesDamagedFiles) {
  const auto code = [](const Stored& stored) {
    const auto bytes = to_bytes(stored);
    return error_of([&] { (void)from_bytes<CountMin>(bytes); }).code();
  };
  using Counts = Array<std::uint32_t, 2>;
  EXPECT_EQ(code({1, Counts({65, 3})}), Errc::damaged);
  EXPECT_EQ(code({1, Counts({3, 5}, Order::column_major)}), Errc::damaged);
  EXPECT_EQ(code({1, Counts({0, 5})}), Errc::damaged);
  EXPECT_EQ(code({2, Counts({3, 5})}), Errc::unsupported);
  EXPECT_EQ(code({0, Counts({3, 5})}), Errc::type_mismatch);
  const auto good = to_bytes(Stored{1, Counts({3, 5})});
  EXPECT_EQ(from_bytes<CountMin>(good).depth(), 3U);
}

}  // namespace
}  // namespace stele

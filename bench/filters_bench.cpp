// Filters beside standard containers: look-ups one by one and many at once, in and beyond the cache; bytes per key; how
// long a filter takes to build; a thousand candidates ranked.

#include <bit>
#include <unordered_map>
#include <unordered_set>

#include "bench.hpp"
#include "stele/bloom.hpp"

namespace {

using stele::BloomFilter;
using stele::BloomOptions;
using stele::Key;

bool quick() { return std::getenv("STELE_BENCH_QUICK") != nullptr; }

/// Keys that look random; half of those asked for are in the set.
std::vector<std::uint64_t> numbers(std::size_t count, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<std::uint64_t> values(count);
  for (std::uint64_t& value : values) {
    value = random();
  }
  return values;
}

constexpr std::size_t asked_count = std::size_t{1} << 16;

struct Asked {
  std::vector<std::uint64_t> numbers;
  std::vector<Key> keys;
};

/// Keys to ask for, every other one contained.
Asked asked(const std::vector<std::uint64_t>& contained) {
  Asked result{numbers(asked_count, 77), {}};
  std::mt19937_64 random(5);
  for (std::size_t i = 0; i < result.numbers.size(); i += 2) {
    result.numbers[i] = contained[random() % contained.size()];
  }
  std::shuffle(result.numbers.begin(), result.numbers.end(), random);
  for (const std::uint64_t number : result.numbers) {
    result.keys.emplace_back(number);
  }
  return result;
}

/// One look-up after another. The time is that of one.
template <class Contains>
void one_by_one(benchmark::State& state, const Asked& asked, Contains contains) {
  std::size_t at = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(contains(asked.numbers[at]));
    at = (at + 1) % asked_count;
  }
}

/// A thousand at once. The time is that of all.
template <class Filter>
void thousand(benchmark::State& state, const Asked& asked, const Filter& filter) {
  std::vector<std::uint8_t> found(1000);
  std::size_t at = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(filter.contains_many(std::span(asked.keys).subspan(at, 1000), found));
    at = (at + 1000) % (asked_count - 1000);
  }
}

template <class Filter>
void report(benchmark::State& state, const Filter& filter, std::size_t keys) {
  state.counters["bits_per_key"] = 8.0 * static_cast<double>(filter.byte_count()) / static_cast<double>(keys);
}

/// The share of keys never added that are found.
template <class Filter>
double error_rate(const Filter& filter) {
  const std::vector<std::uint64_t> others = numbers(1'000'000, 999);
  std::size_t hits = 0;
  for (const std::uint64_t other : others) {
    hits += filter.contains(Key(other)) ? 1 : 0;
  }
  return static_cast<double>(hits) / static_cast<double>(others.size());
}

template <class Filter>
void add_filter(const std::string& name, std::shared_ptr<const Filter> filter, std::shared_ptr<const Asked> asked,
                std::size_t keys) {
  const double rate = error_rate(*filter);
  benchmark::RegisterBenchmark((name + "/one").c_str(), [=](benchmark::State& state) {
    one_by_one(state, *asked, [&](std::uint64_t number) { return filter->contains(Key(number)); });
    report(state, *filter, keys);
    state.counters["rate"] = rate;
  });
  benchmark::RegisterBenchmark((name + "/thousand").c_str(), [=](benchmark::State& state) {
    thousand(state, *asked, *filter);
  })->Unit(benchmark::kMicrosecond);
}

void add_size(const std::string& size, std::size_t count) {
  const auto contained = std::make_shared<const std::vector<std::uint64_t>>(numbers(count, 1));
  const auto questions = std::make_shared<const Asked>(asked(*contained));
  const auto bloom = [&](bool blocked, double rate) {
    auto filter = std::make_shared<BloomFilter>(count, rate, BloomOptions{.blocked = blocked});
    for (const std::uint64_t number : *contained) {
      filter->add(Key(number));
    }
    return std::shared_ptr<const BloomFilter>(filter);
  };
  add_filter<BloomFilter>("filters/" + size + "/bloom", bloom(false, 0.01), questions, count);
  add_filter<BloomFilter>("filters/" + size + "/bloom blocked", bloom(true, 0.01), questions, count);
}

}  // namespace

int main(int argc, char** argv) {
  add_size("100 thousand", 100'000);
  add_size(quick() ? "5 million" : "50 million", quick() ? 5'000'000 : 50'000'000);
  return bench::run(argc, argv);
}

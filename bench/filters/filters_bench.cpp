// Filters beside standard containers: look-ups one by one and many at once, in and beyond the cache; bytes per key; how
// long a filter takes to build.

#include <malloc.h>

#include <thread>
#include <unordered_set>

#include "bench.hpp"
#include "stele/filters/binary_fuse.hpp"
#include "stele/filters/bloom.hpp"

namespace {

using stele::BinaryFuse;
using stele::BinaryFuse16;
using stele::BloomFilter;
using stele::BloomOptions;
using stele::KeyHash;

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
  std::vector<KeyHash> keys;
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
    hits += filter.contains(KeyHash(other)) ? 1 : 0;
  }
  return static_cast<double>(hits) / static_cast<double>(others.size());
}

template <class Filter>
void add_filter(const std::string& name, std::shared_ptr<const Filter> filter, std::shared_ptr<const Asked> asked,
                std::size_t keys) {
  const double rate = error_rate(*filter);
  benchmark::RegisterBenchmark((name + "/one").c_str(), [=](benchmark::State& state) {
    one_by_one(state, *asked, [&](std::uint64_t number) { return filter->contains(KeyHash(number)); });
    report(state, *filter, keys);
    state.counters["rate"] = rate;
  });
  benchmark::RegisterBenchmark((name + "/thousand").c_str(), [=](benchmark::State& state) {
    thousand(state, *asked, *filter);
  })->Unit(benchmark::kMicrosecond);
}

/// Building of a whole filter, once. The counter "per_key" has the nanoseconds for each key.
template <class Build>
void add_build(const std::string& name, std::size_t keys, Build build) {
  benchmark::RegisterBenchmark(name.c_str(),
                               [=](benchmark::State& state) {
                                 for (auto _ : state) {
                                   const double begin = bench::seconds(CLOCK_MONOTONIC);
                                   benchmark::DoNotOptimize(build());
                                   const double time = bench::seconds(CLOCK_MONOTONIC) - begin;
                                   state.SetIterationTime(time);
                                   state.counters["per_key"] = 1e9 * time / static_cast<double>(keys);
                                 }
                               })
      ->UseManualTime()
      ->Iterations(1)
      ->Unit(benchmark::kMillisecond);
}

/// On the heap, as the allocator counts.
std::size_t heap_bytes() {
  const struct mallinfo2 info = ::mallinfo2();
  return info.uordblks + info.hblkhd;
}

void add_size(const std::string& size, std::size_t count) {
  const auto contained = std::make_shared<const std::vector<std::uint64_t>>(numbers(count, 1));
  const auto questions = std::make_shared<const Asked>(asked(*contained));
  const auto bloom = [&](bool blocked, double rate) {
    auto filter = std::make_shared<BloomFilter>(count, rate, BloomOptions{.blocked = blocked});
    for (const std::uint64_t number : *contained) {
      filter->add(KeyHash(number));
    }
    return std::shared_ptr<const BloomFilter>(filter);
  };
  add_filter<BloomFilter>("filters/" + size + "/bloom", bloom(false, 0.01), questions, count);
  add_filter<BloomFilter>("filters/" + size + "/bloom blocked", bloom(true, 0.01), questions, count);
  add_filter<BloomFilter>("filters/" + size + "/bloom 0.4 %", bloom(false, 1.0 / 256), questions, count);
  add_filter<BloomFilter>("filters/" + size + "/bloom blocked 0.4 %", bloom(true, 1.0 / 256), questions, count);
  const auto keys = std::make_shared<std::vector<KeyHash>>(contained->begin(), contained->end());
  add_filter<BinaryFuse>("filters/" + size + "/binary fuse", std::make_shared<const BinaryFuse>(*keys), questions,
                         count);
  add_filter<BinaryFuse16>("filters/" + size + "/binary fuse 16", std::make_shared<const BinaryFuse16>(*keys),
                           questions, count);
  add_build("filters/" + size + "/bloom/build", count, [=] {
    BloomFilter filter(count, 0.01);
    filter.add_many(*keys);
    return filter.byte_count();
  });
  add_build("filters/" + size + "/bloom blocked/build", count, [=] {
    BloomFilter filter(count, 0.01, {.blocked = true});
    filter.add_many(*keys);
    return filter.byte_count();
  });
  if (count >= 1'000'000) {  // below, starting a thread is what takes the time
    add_build("filters/" + size + "/bloom blocked/build by two threads", count, [=] {
      BloomFilter filter(count, 0.01, {.blocked = true});
      const std::jthread helper([&] { filter.add_many_atomic(std::span(*keys).first(count / 2)); });
      filter.add_many_atomic(std::span(*keys).subspan(count / 2));
      return filter.byte_count();
    });
  }
  add_build("filters/" + size + "/binary fuse/build", count, [=] { return BinaryFuse(*keys).byte_count(); });

  struct Exact {
    std::unordered_set<std::uint64_t> set;
    std::size_t bytes = 0;
  };
  const auto exact = std::make_shared<Exact>();
  benchmark::RegisterBenchmark(("filters/" + size + "/std::unordered_set/one").c_str(), [=](benchmark::State& state) {
    if (exact->set.empty()) {
      const std::size_t before = heap_bytes();
      exact->set.insert(contained->begin(), contained->end());
      exact->bytes = heap_bytes() - before;
    }
    one_by_one(state, *questions, [&](std::uint64_t number) { return exact->set.contains(number); });
    state.counters["bits_per_key"] = 8.0 * static_cast<double>(exact->bytes) / static_cast<double>(count);
    state.counters["rate"] = 0;
  });
  add_build("filters/" + size + "/std::unordered_set/build", count, [=] {
    std::unordered_set<std::uint64_t> set;
    set.reserve(count);
    set.insert(contained->begin(), contained->end());
    return set.size();
  });
}

}  // namespace

int main(int argc, char** argv) {
  add_size("100 thousand", 100'000);
  add_size("1 million", 1'000'000);
  if (!quick()) {
    add_size("20 million", 20'000'000);
  }
  return bench::run(argc, argv);
}

// A feature store beyond its quality: a thousand candidates looked up for one user and ranked, and a stream of events
// taken in.

#include <functional>

#include "bench.hpp"
#include "stele/features/feature_store.hpp"

namespace {

using stele::FeatureStore;
using stele::KeyHash;

bool quick() { return std::getenv("STELE_BENCH_QUICK") != nullptr; }

/// A thousand items, each with a weight that counts if the user has its feature, put in order.
void add_ranking(const std::string& size, std::uint64_t pairs) {
  constexpr std::uint64_t features = 100'000;
  const std::uint64_t users = pairs / 50;
  const auto store = std::make_shared<FeatureStore>(stele::FeatureStoreOptions{.capacity = pairs});
  std::mt19937_64 random(3);
  for (std::uint64_t user = 0; user < users; ++user) {
    for (int i = 0; i < 50; ++i) {
      store->add(user, random() % features);
    }
  }
  benchmark::RegisterBenchmark(("ranking/" + size).c_str(), [=](benchmark::State& state) {
    std::vector<KeyHash> candidates;
    std::vector<float> weights;
    for (std::uint64_t i = 0; i < 1000; ++i) {
      candidates.emplace_back(i * 97 % features);
      weights.push_back(static_cast<float>(i * 31 % 1000) / 1000);
    }
    std::vector<std::uint8_t> found(1000);
    std::vector<std::pair<float, std::uint32_t>> ranked(1000);
    std::uint64_t user = 0;
    for (auto _ : state) {
      user = (user * 6364136223846793005U + 1442695040888963407U) % users;
      store->contains_many(user, candidates, found);
      for (std::uint32_t i = 0; i < 1000; ++i) {
        ranked[i] = {found[i] != 0 ? 1 + weights[i] : weights[i], i};
      }
      std::partial_sort(ranked.begin(), ranked.begin() + 20, ranked.end(), std::greater<>());
      benchmark::DoNotOptimize(ranked.data());
    }
    state.counters["mib"] = static_cast<double>(store->report().filter_bytes) / static_cast<double>(bench::mib);
  })->Unit(benchmark::kMicrosecond);
}

/// Events of a stream into a store.
void add_stream(unsigned threads) {
  const std::uint64_t events = quick() ? 1'000'000 : 20'000'000;
  bench::add(
      "stream/" + std::to_string(threads),
      [=] {
        FeatureStore store({.capacity = events});
        std::uint64_t next = 0;
        store.build(
            [&](stele::FeatureBatch& batch) {
              for (int i = 0; i < 4096 && next < events; ++i, ++next) {
                batch.add(next / 50, next * 0x9e3779b97f4a7c15U >> 47);
              }
            },
            threads);
        return store;
      },
      events);
}

}  // namespace

int main(int argc, char** argv) {
  add_ranking("in the cache", 100'000);
  add_ranking("in memory", quick() ? 5'000'000 : 100'000'000);
  add_stream(1);
  add_stream(2);
  return bench::run(argc, argv);
}

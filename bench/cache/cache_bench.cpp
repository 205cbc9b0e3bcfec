// The result cache in C++: what a hit costs, what hashing costs, and many items. rivals.py measures Python's and
// rivals'.

#include "bench.hpp"

#include <filesystem>

#include "stele/cache.hpp"

namespace {

const bool quick = std::getenv("STELE_BENCH_QUICK") != nullptr;
const int items = quick ? 50'000 : 1'000'000;
const std::size_t floats = quick ? 2'500'000 : 25'000'000;  // 100 MB

stele::Cache& cache() {
  static stele::Cache opened = [] {
    std::filesystem::remove_all(bench::file("cache"));
    return stele::Cache::open(bench::file("cache"));
  }();
  return opened;
}

double twice(int x) { return 2.0 * x; }

/// The same elements as the argument, as a result that can be mapped.
stele::Array<float> copied(const std::vector<float>& from) {
  auto array = stele::Array<float>::uninitialized({from.size()});
  std::copy(from.begin(), from.end(), array.mutable_data());
  return array;
}

}  // namespace

int main(int argc, char** argv) {
  static const std::vector<float> large(floats, 1.5F);
  bench::add(
      "cache/insert/stele, C++",
      [] {
        for (int i = 0; i < items; ++i) {
          cache().get_or_compute("twice", 1, i, twice);
        }
        return true;
      },
      static_cast<std::uint64_t>(items));
  bench::add(
      "cache/hit/stele, C++",
      [] {
        bool hits = true;
        for (int i = 0; i < items; ++i) {
          hits = cache().get_or_compute("twice", 1, i, twice).hit && hits;
        }
        bench::require(hits, "hit");
        return true;
      },
      static_cast<std::uint64_t>(items));
  bench::add(
      "cache/large argument/stele, C++", [] { cache().get_or_compute("copied", 1, large, copied); },
      [] { return cache().get_or_compute("copied", 1, large, copied).value.size(); });
  bench::add("cache/large result/stele, C++", [] {
    return cache().get_or_compute("copied", 1, stele::cache::digested(large, stele::hash(1)), copied).value.size();
  });
  bench::add("cache/large result/stele, C++, again", [] {
    return cache().get_or_compute("copied", 1, stele::cache::digested(large, stele::hash(1)), copied).value.size();
  });
  bench::add("cache/hash/stele, C++", [] { return stele::hash(large).bytes.size(); }, floats * sizeof(float));
  bench::add(
      "cache/prune/stele, C++", [] { return cache().prune({.items = static_cast<std::uint64_t>(items / 2)}); },
      static_cast<std::uint64_t>(items / 2));
  return bench::run(argc, argv);
}

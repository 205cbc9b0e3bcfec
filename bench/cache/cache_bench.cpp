// The result cache in C++: what a hit costs, what hashing costs, and many items. rivals.py measures Python's and
// rivals'.

#include "bench.hpp"

#include <filesystem>
#include <optional>

#include "stele/cache.hpp"

namespace {

const bool quick = std::getenv("STELE_BENCH_QUICK") != nullptr;
const int items = quick ? 50'000 : 1'000'000;
const std::size_t floats = quick ? 2'500'000 : 25'000'000;  // 100 MB

std::optional<stele::Cache> opened;

/// The cache, or an empty one.
stele::Cache& cache(bool anew = false) {
  if (anew || !opened) {
    opened.reset();
    std::filesystem::remove_all(bench::file("cache"));
    opened.emplace(stele::Cache::open(bench::file("cache")));
  }
  return *opened;
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
  const auto fill = [] {
    std::size_t hits = 0;
    for (int i = 0; i < items; ++i) {
      hits += cache().get_or_compute("twice", 1, i, twice).hit ? 1 : 0;
    }
    return hits;
  };
  const auto copy = [] { return cache().get_or_compute("copied", 1, large, copied).value.size(); };
  const auto known = [] {
    return cache().get_or_compute("copied", 1, stele::cache::digested(large, stele::Digest()), copied).value.size();
  };
  const auto half = static_cast<std::uint64_t>(items / 2);
  bench::add("cache/insert/stele, C++", [] { cache(true); }, fill, static_cast<std::uint64_t>(items));
  bench::add("cache/hit/stele, C++", [=] { fill(); }, fill, static_cast<std::uint64_t>(items));
  bench::add("cache/large argument/stele, C++", [=] { copy(); }, copy);
  bench::add("cache/large result/stele, C++", [=] { known(); }, known);
  bench::add("cache/hash/stele, C++", [] { return stele::hash(large).bytes.size(); }, floats * sizeof(float));
  bench::add("cache/prune/stele, C++", [=] { fill(); }, [=] { return cache().prune({.items = half}); }, half);
  return bench::run(argc, argv);
}

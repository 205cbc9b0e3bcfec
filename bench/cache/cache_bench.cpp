// The result cache in C++: what a hit costs, what hashing costs, many items, limits, several processes. rivals.py
// measures Python's and rivals'.

#include "bench.hpp"

#include <sys/wait.h>

#include <filesystem>
#include <optional>

#include "stele/cache.hpp"

namespace {

const bool quick = std::getenv("STELE_BENCH_QUICK") != nullptr;
const int items = quick ? 50'000 : 1'000'000;
const std::size_t floats = quick ? 2'500'000 : 25'000'000;  // 100 MB
const std::size_t hashed = floats * (quick ? 1 : 10);       // 1 GB
constexpr int large_calls = 10;
constexpr int mapped_calls = 1000;
constexpr int processes = 4;
const int shared_items = items / 20;

std::optional<stele::Cache> opened;

/// The cache, or an empty one.
stele::Cache& cache(bool anew = false, const stele::CacheOptions& options = {}) {
  if (anew || !opened) {
    opened.reset();
    std::filesystem::remove_all(bench::file("cache"));
    opened.emplace(stele::Cache::open(bench::file("cache"), options));
  }
  return *opened;
}

double twice(int x) { return 2.0 * x; }

/// Calls of `work` with the number of the process, in several processes at once.
template <class Work>
bool in_processes(Work work) {
  pid_t children[processes];
  for (int i = 0; i < processes; ++i) {
    children[i] = ::fork();
    if (children[i] == 0) {
      work(i);
      std::_Exit(0);
    }
  }
  bool good = true;
  for (const pid_t child : children) {
    int status = 0;
    good = ::waitpid(child, &status, 0) == child && status == 0 && good;
  }
  bench::require(good, "a process");
  return good;
}

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
  const auto copy = [] {
    for (int i = 0; i < large_calls; ++i) {
      bench::require(cache().get_or_compute("copied", 1, large, copied).value.size() == floats, "copied");
    }
    return true;
  };
  const auto known = [] {
    for (int i = 0; i < mapped_calls; ++i) {
      const auto found = cache().get_or_compute("copied", 1, stele::cache::digested(large, stele::Digest()), copied);
      bench::require(found.value.size() == floats, "copied");
    }
    return true;
  };
  const auto half = static_cast<std::uint64_t>(items / 2);
  const auto limited = [=] {
    cache(true, {.items_limit = half});
    for (int i = 0; i < items / 2; ++i) {
      cache().get_or_compute("twice", 1, -1 - i, twice);
    }
  };
  const auto evict = [] {
    for (int i = 0; i < items / 2; ++i) {
      cache().get_or_compute("twice", 1, i, twice);
    }
    return cache().stats().evicted;
  };
  /// Each process has calls of its own, or all have the same ones.
  const auto together = [](bool own) {
    return in_processes([=](int process) {
      stele::Cache mine = stele::Cache::open(bench::file("cache"));
      for (int i = 0; i < shared_items; ++i) {
        mine.get_or_compute("twice", 1, own ? process * shared_items + i : i, twice);
      }
    });
  };
  const auto all = static_cast<std::uint64_t>(processes) * static_cast<std::uint64_t>(shared_items);
  bench::add("cache/insert/stele, C++", [] { cache(true); }, fill, static_cast<std::uint64_t>(items));
  bench::add("cache/hit/stele, C++", [=] { fill(); }, fill, static_cast<std::uint64_t>(items));
  bench::add("cache/prune/stele, C++", [=] { fill(); }, [=] { return cache().prune({.items = half}); }, half);
  bench::add("cache/at a limit/stele, C++", limited, evict, half);
  bench::add("cache/insert together/stele, C++", [] { cache(true); }, [=] { return together(true); }, all);
  bench::add("cache/hit together/stele, C++", [] {}, [=] { return together(false); }, all);
  bench::add("cache/large argument/stele, C++", [=] { copy(); }, copy, large_calls);
  bench::add("cache/large result/stele, C++", [=] { known(); }, known, mapped_calls);
  static std::vector<float> more;
  bench::add(
      "cache/hash/stele, C++", [] { more.assign(hashed, 1.5F); }, [] { return stele::hash(more).bytes.size(); },
      hashed * sizeof(float));
  return bench::run(argc, argv);
}

// What a cache removes, and when.

#include <sys/stat.h>

#include <fstream>
#include <set>

#include "stele/cache.hpp"
#include "support/test_support.hpp"

namespace stele {
namespace {

using test::fresh;

std::uint64_t disk_bytes(const std::string& path) {
  std::uint64_t bytes = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(path)) {
    const std::string name = entry.path().lexically_relative(path).string();
    bytes += entry.is_regular_file() && name != "index" ? entry.file_size() : 0;
  }
  return bytes;
}

std::vector<std::uint8_t> noise(int seed, std::size_t size) {
  std::mt19937 random(static_cast<unsigned>(seed));
  std::vector<std::uint8_t> bytes(size);
  for (std::uint8_t& byte : bytes) {
    byte = static_cast<std::uint8_t>(random());
  }
  return bytes;
}

TEST(CacheLimits, LeastRecentlyUsedGoFirst) {
  Cache cache = Cache::open(fresh("cache"), {.items_limit = 100});
  const auto twice = [](int x) { return x * 2; };
  for (int i = 0; i < 100; ++i) {
    cache.get_or_compute("f", 1, i, twice);
    ::usleep(1100);  // uses are told apart by milliseconds
  }
  for (int i = 0; i < 100; i += 2) {
    EXPECT_TRUE(cache.get_or_compute("f", 1, i, twice).hit);
    ::usleep(1100);
  }
  for (int i = 100; i < 150; ++i) {
    cache.get_or_compute("f", 1, i, twice);
    ::usleep(1100);
    EXPECT_EQ(cache.stats().items, 100u);
  }
  for (int i = 0; i < 150; ++i) {
    EXPECT_EQ(cache.peek<int>("f", 1, i).has_value(), i % 2 == 0 || i >= 100) << i;
  }
  EXPECT_EQ(cache.stats().evicted, 50u);
}

TEST(CacheLimits, BytesBelowTheLimitAndOnDiskBelowTwice) {
  const std::string path = fresh("cache");
  constexpr std::uint64_t limit = 8 << 20;
  Cache cache = Cache::open(path, {.bytes_limit = limit});
  for (int i = 0; i < 4000; ++i) {
    const std::size_t size = i % 10 == 0 ? 100'000 : 1000 + static_cast<std::size_t>(i) % 9000;
    cache.get_or_compute("f", 1, i, [&](int seed) { return noise(seed, size); });
    ASSERT_LE(cache.stats().bytes, limit);
    if (i % 500 == 499) {
      EXPECT_GT(cache.stats().bytes, limit / 2);
      EXPECT_LE(disk_bytes(path), 2 * limit + (std::uint64_t{2} << 20));
    }
  }
  EXPECT_TRUE(cache.verify().good());
  for (int i = 0; i < 4000; ++i) {
    if (const auto found = cache.peek<std::vector<std::uint8_t>>("f", 1, i)) {
      ASSERT_EQ(found->value, noise(i, found->value.size()));
    }
  }
}

TEST(CacheLimits, OneLargeResultDoesNotDisplaceAllOthers) {
  std::vector<std::string> warnings;
  Cache cache = Cache::open(fresh("cache"), {.bytes_limit = 1 << 20,
                                             .on_failure = CacheFailure::warn,
                                             .warn = [&](const std::string& text) { warnings.push_back(text); }});
  for (int i = 0; i < 10; ++i) {
    cache.get_or_compute("small", 1, i, [](int seed) { return noise(seed, 50'000); });
  }
  const auto result = cache.get_or_compute("large", 1, [] { return noise(1, 800'000); });
  EXPECT_EQ(result.value.size(), 800'000u);
  EXPECT_EQ(result.entry.bytes, 0u);
  EXPECT_EQ(cache.stats().items, 10u);
  EXPECT_EQ(cache.stats().too_large, 1u);
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_NE(warnings[0].find("more than its share"), std::string::npos);
  EXPECT_FALSE(cache.get_or_compute("large", 1, [] { return noise(1, 800'000); }).hit);
}

TEST(CacheLimits, PinnedResultsStay) {
  Cache cache = Cache::open(fresh("cache"), {.items_limit = 10});
  const auto twice = [](int x) { return x * 2; };
  cache.get_or_compute(CacheCall{.name = "f", .version = 1, .pinned = true}, -1, twice);
  cache.get_or_compute("f", 1, -2, twice);
  EXPECT_TRUE(cache.pin(cache.key({.name = "f", .version = 1}, -2)));
  EXPECT_FALSE(cache.pin(cache.key({.name = "f", .version = 1}, -3)));
  for (int i = 0; i < 1000; ++i) {
    cache.get_or_compute("f", 1, i, twice);
    ASSERT_LE(cache.stats().items, 10u);
  }
  EXPECT_EQ(cache.peek<int>("f", 1, -1)->value, -2);
  EXPECT_TRUE(cache.peek<int>("f", 1, -2)->entry.pinned);
  EXPECT_TRUE(cache.pin(cache.key({.name = "f", .version = 1}, -2), false));
  for (int i = 1000; i < 1020; ++i) {
    cache.get_or_compute("f", 1, i, twice);
  }
  EXPECT_TRUE(cache.peek<int>("f", 1, -1));
  EXPECT_FALSE(cache.peek<int>("f", 1, -2));
}

TEST(CacheLimits, PruneGoesBelowWhatIsAskedFor) {
  const std::string path = fresh("cache");
  Cache cache = Cache::open(path);
  for (int i = 0; i < 3000; ++i) {
    cache.get_or_compute("f", 1, i, [](int seed) { return noise(seed, seed % 100 == 0 ? 60'000 : 500); });
  }
  EXPECT_EQ(cache.prune(), 0u);
  EXPECT_EQ(cache.prune({.items = 1000}), 2000u);
  EXPECT_EQ(cache.stats().items, 1000u);
  cache.prune({.bytes = 100'000});
  EXPECT_LE(cache.stats().bytes, 100'000u);
  EXPECT_GT(cache.stats().items, 0u);
  EXPECT_TRUE(cache.verify().good());
  ::sleep(2);
  EXPECT_GT(cache.prune({.age_s = 1}), 0u);
  EXPECT_EQ(cache.stats().items, 0u);
  EXPECT_EQ(cache.stats().bytes, 0u);
  // Nothing is left of segments that nobody appends to.
  Cache::open(path).clear();
  cache = Cache::open(path);
  cache.clear();
  std::size_t results = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(path + "/results")) {
    results += entry.is_regular_file() ? 1 : 0;
  }
  EXPECT_EQ(results, 0u);
}

TEST(CacheLimits, AgeCountsFromTheComputation) {
  const std::string path = fresh("cache");
  int calls = 0;
  const auto count = [&] { return ++calls; };
  Cache cache = Cache::open(path, {.age_limit_s = 5});
  cache.get_or_compute("f", 1, count);
  EXPECT_TRUE(cache.get_or_compute("f", 1, count).hit);
  ::usleep(5'200'000);
  EXPECT_FALSE(cache.get_or_compute("f", 1, count).hit);
  EXPECT_EQ(cache.stats().expired, 1u);
  EXPECT_TRUE(Cache::open(path).peek<int>("f", 1));
}

TEST(CacheLimits, ManyItemsAndTheirRemoval) {
  const std::string path = fresh("cache");
  Cache cache = Cache::open(path, {.items_limit = 20'000});
  const auto text = [](int x) { return std::to_string(x); };
  for (int i = 0; i < 60'000; ++i) {
    cache.get_or_compute("f", i % 7, i, text);
  }
  EXPECT_EQ(cache.stats().items, 20'000u);
  std::set<int> there;
  for (int i = 0; i < 60'000; ++i) {
    if (const auto found = cache.peek<std::string>("f", i % 7, i)) {
      ASSERT_EQ(found->value, std::to_string(i));
      there.insert(i);
    }
  }
  EXPECT_EQ(there.size(), 20'000u);
  EXPECT_GT(*there.begin(), 30'000);  // uses within a millisecond have no order
  EXPECT_EQ(cache.entries().size(), 20'000u);
  const std::uint64_t third = cache.clear("f", 3);
  EXPECT_EQ(cache.stats().items, 20'000u - third);
  EXPECT_NEAR(static_cast<double>(third), 20'000.0 / 7, 10);
}

/// What is left is copied to a new segment, not to one that holds little else.
TEST(CacheLimits, PruningFreesDiskSpaceAtOnce) {
  const std::string path = fresh("cache");
  {
    std::vector<Cache> writers;  // each has a segment of its own
    for (int i = 0; i < 8000; ++i) {
      if (i < 4) {
        writers.push_back(Cache::open(path));
      }
      writers[static_cast<std::size_t>(i) % 4].get_or_compute("f", 1, i, [](int seed) { return noise(seed, 2000); });
    }
  }
  Cache cache = Cache::open(path);
  const std::uint64_t before = disk_bytes(path);
  cache.prune({.items = 400});
  EXPECT_EQ(cache.stats().items, 400u);
  EXPECT_LT(disk_bytes(path), before / 10);
  EXPECT_TRUE(cache.verify().good());
}

/// At a limit the index is made anew from time to time. A former one would take space as long as it is mapped.
TEST(CacheLimits, FormerIndexesAreUnmapped) {
  const std::string path = fresh("cache");
  Cache cache = Cache::open(path, {.items_limit = 600});
  const auto mapped = [&] {
    std::ifstream maps("/proc/self/maps");
    int count = 0;
    for (std::string line; std::getline(maps, line);) {
      count += line.find(path + "/index") != std::string::npos ? 1 : 0;
    }
    return count;
  };
  ASSERT_EQ(mapped(), 1);
  for (int i = 0; i < 20'000; ++i) {
    cache.get_or_compute("f", 1, i, [](int x) { return x; });
  }
  EXPECT_EQ(mapped(), 1);
}

TEST(CacheLimits, PruningReportsProgressAndLetsOthersIn) {
  const std::string path = fresh("cache");
  Cache cache = Cache::open(path);
  Cache other = Cache::open(path);
  const auto identity = [](int x) { return x; };
  for (int i = 0; i < 25'000; ++i) {
    cache.get_or_compute("f", 1, i, identity);
  }
  int steps = 0;
  EXPECT_EQ(cache.prune({.items = 0},
                        [&](std::uint64_t done, std::uint64_t total) {
                          EXPECT_EQ(total, 25'000u);
                          return done == 0 || ++steps < 1;
                        }),
            10'000u);
  EXPECT_EQ(cache.stats().items, 15'000u);
  std::vector<std::uint64_t> reported;
  cache.prune({.items = 100}, [&](std::uint64_t done, std::uint64_t) {
    reported.push_back(done);
    EXPECT_FALSE(other.get_or_compute("g", 1, reported.size(), [](std::size_t x) { return x; }).hit);
    return true;
  });
  EXPECT_GE(reported.size(), 3u);
  EXPECT_TRUE(std::is_sorted(reported.begin(), reported.end()));
  EXPECT_GE(reported.back(), 14'900u);
  EXPECT_TRUE(cache.verify().good());
}

/// As if the clock had been an hour ahead until now: what comes next is not the oldest.
TEST(CacheLimits, NewResultsStayAfterTheClockWasSetBack) {
  const std::string path = fresh("cache");
  const auto identity = [](int x) { return x; };
  {
    Cache cache = Cache::open(path);
    for (int i = 0; i < 10; ++i) {
      cache.get_or_compute("f", 1, i, identity);
    }
  }
  {
    std::fstream index(path + "/index", std::ios::in | std::ios::out | std::ios::binary);
    const auto add_an_hour = [&](std::streamoff at, unsigned shift) {
      std::uint64_t time = 0;
      index.seekg(at);
      index.read(reinterpret_cast<char*>(&time), sizeof time);
      time += time == 0 ? 0 : std::uint64_t{3'600'000} << shift;
      index.seekp(at);
      index.write(reinterpret_cast<const char*>(&time), sizeof time);
    };
    add_an_hour(104, 0);  // the latest use
    for (std::streamoff slot = 0; slot < 1024; ++slot) {
      add_an_hour(4096 + slot * 64 + 48, 20);
    }
  }
  Cache cache = Cache::open(path, {.items_limit = 10});
  for (int i = 10; i < 13; ++i) {
    cache.get_or_compute("f", 1, i, identity);
  }
  for (const CacheEntry& entry : cache.entries()) {
    EXPECT_GT(entry.last_used, entry.created + 3000);
  }
  for (int i = 10; i < 13; ++i) {
    EXPECT_TRUE(cache.peek<int>("f", 1, i)) << i;
  }
}

}  // namespace
}  // namespace stele

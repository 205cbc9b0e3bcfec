// The cache as one program uses it: what counts for a key, what comes back, what happens on failure.

#include "stele/cache.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <map>
#include <set>
#include <thread>
#include <unordered_map>

#include "support/test_support.hpp"

namespace stele {
namespace {

using test::error_of;
using test::fresh;

struct Model {
  std::string name;
  std::vector<double> weights;
  std::map<std::string, int> counts;
  bool operator==(const Model&) const = default;
};

struct Bad {
  int x = 1;
  static void visit(auto&, auto&) { fail(Errc::unsupported, "cannot be stored"); }
};

std::vector<std::string> files_in(const std::string& path) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(path)) {
    if (entry.is_regular_file()) {
      names.push_back(entry.path().lexically_relative(path).string());
    }
  }
  return names;
}

std::size_t results_in(const std::string& path) {
  std::size_t count = 0;
  for (const std::string& name : files_in(path)) {
    count += name.starts_with("results/") ? 1 : 0;
  }
  return count;
}

TEST(Cache, ComputesOnceAndReturnsEqualResults) {
  const std::string path = fresh("cache");
  int calls = 0;
  const auto make = [&](const std::string& name, int size) {
    ++calls;
    return Model{name, std::vector<double>(static_cast<std::size_t>(size), 0.5), {{name, size}}};
  };
  for (int run = 0; run < 2; ++run) {
    Cache cache = Cache::open(path);
    for (const int size : {0, 3, 100'000}) {
      for (int i = 0; i < 3; ++i) {
        const CacheResult<Model> result = cache.get_or_compute("model", 1, std::string("a"), size, make);
        EXPECT_EQ(result.hit, run == 1 || i > 0);
        EXPECT_EQ(result.value, (Model{"a", std::vector<double>(static_cast<std::size_t>(size), 0.5), {{"a", size}}}));
        EXPECT_EQ(result.entry.name, "model");
        EXPECT_EQ(result.entry.version, "1");
        EXPECT_EQ(result.entry.file.empty(), size < 100'000);
        EXPECT_GT(result.entry.bytes, static_cast<std::uint64_t>(size) * 8);
      }
    }
  }
  EXPECT_EQ(calls, 3);
  const Cache cache = Cache::open(path);
  EXPECT_EQ(cache.stats().items, 3u);
  EXPECT_EQ(cache.stats().hits, 15u);
  EXPECT_EQ(cache.stats().misses, 3u);
  EXPECT_TRUE(cache.verify().good());
  EXPECT_EQ(cache.verify().items, 3u);
}

TEST(Cache, EqualArgumentsHaveOneKeyAndOthersDoNot) {
  const Cache cache = Cache::open(fresh("cache"));
  const CacheCall call{.name = "f", .version = 1};
  std::unordered_map<std::string, int> forwards;
  std::unordered_map<std::string, int> backwards;
  backwards.reserve(1000);
  for (int i = 0; i < 50; ++i) {
    forwards[std::to_string(i)] = i;
    backwards[std::to_string(49 - i)] = 49 - i;
  }
  EXPECT_EQ(cache.key(call, forwards), cache.key(call, backwards));
  EXPECT_EQ(cache.key(call, 5), cache.key(call, std::int64_t{5}));
  EXPECT_EQ(cache.key(call, std::string("x")), cache.key(call, std::string_view("x")));

  std::set<Digest> keys;
  keys.insert(cache.key(call));
  keys.insert(cache.key(call, 5));
  keys.insert(cache.key(call, 5.0));
  keys.insert(cache.key(call, 5, 5));
  keys.insert(cache.key(call, std::vector{5, 5}));
  keys.insert(cache.key(call, std::string("5")));
  keys.insert(cache.key({.name = "f", .version = 2}, 5));
  keys.insert(cache.key({.name = "g", .version = 1}, 5));
  keys.insert(cache.key({.name = "f1", .version = ""}, 5));
  EXPECT_EQ(keys.size(), 9u);
  // Known to other runs and builds.
  EXPECT_EQ(cache.key(call, 5).text(), Cache::open(fresh("other")).key({.name = "f", .version = "1"}, 5L).text());
  EXPECT_EQ(Digest::parse(cache.key(call, 5).text()), cache.key(call, 5));
}

TEST(Cache, ArgumentsThatDoNotCount) {
  Cache cache = Cache::open(fresh("cache"));
  const auto sum = [](int a, int threads, const std::string& name) {
    return std::to_string(a) + " " + std::to_string(threads) + " " + name;
  };
  const auto length = [](const std::string& name) { return name.size(); };
  const std::string first = "abc";
  const std::string second = "xyz";
  const auto call = [&](int a, int threads, const std::string& name) {
    return cache.get_or_compute("sum", 1, a, cache::ignored(threads), cache::key_by(name, length), sum).value;
  };
  EXPECT_EQ(call(1, 4, first), "1 4 abc");
  EXPECT_EQ(call(1, 8, second), "1 4 abc");
  EXPECT_EQ(call(1, 8, second + "!"), "1 8 xyz!");
  EXPECT_EQ(call(2, 8, second), "2 8 xyz");

  const std::vector<int> big(1000, 7);
  int calls = 0;
  const auto count = [&](const std::vector<int>& of) {
    ++calls;
    return of.size();
  };
  const Digest digest = hash(big);
  EXPECT_EQ(cache.get_or_compute("count", 1, cache::digested(big, digest), count).value, 1000u);
  EXPECT_TRUE(cache.get_or_compute("count", 1, cache::digested(big, digest), count).hit);
  EXPECT_EQ(calls, 1);
}

TEST(Cache, VersionsLiveSideBySide) {
  Cache cache = Cache::open(fresh("cache"));
  for (int round = 0; round < 2; ++round) {
    for (int version = 1; version <= 3; ++version) {
      const auto result = cache.get_or_compute("f", version, 10, [&](int x) { return x * version; });
      EXPECT_EQ(result.value, 10 * version);
      EXPECT_EQ(result.hit, round == 1);
    }
  }
  EXPECT_EQ(cache.clear("f", 2), 1u);
  EXPECT_EQ(cache.clear("f", 2), 0u);
  EXPECT_TRUE(cache.peek<int>("f", 1, 10));
  EXPECT_FALSE(cache.peek<int>("f", 2, 10));
  EXPECT_EQ(cache.peek<int>("f", 3, 10)->value, 30);
  cache.get_or_compute("g", 1, 10, [](int x) { return x; });
  EXPECT_EQ(cache.clear("f"), 2u);
  EXPECT_EQ(cache.clear("no such"), 0u);
  EXPECT_EQ(cache.stats().items, 1u);
  EXPECT_EQ(cache.clear(), 1u);
  EXPECT_EQ(cache.stats().items, 0u);
  EXPECT_EQ(cache.stats().bytes, 0u);
}

TEST(Cache, ExceptionsAreNotCached) {
  const std::string path = fresh("cache");
  Cache cache = Cache::open(path);
  int calls = 0;
  const auto fails = [&](int x) {
    if (++calls < 3) {
      throw std::runtime_error("not yet");
    }
    return x;
  };
  EXPECT_THROW(cache.get_or_compute("f", 1, 1, fails), std::runtime_error);
  EXPECT_THROW(cache.get_or_compute("f", 1, 1, fails), std::runtime_error);
  EXPECT_EQ(cache.stats().items, 0u);
  EXPECT_EQ(cache.get_or_compute("f", 1, 1, fails).value, 1);
  EXPECT_TRUE(cache.get_or_compute("f", 1, 1, fails).hit);
  EXPECT_EQ(calls, 3);
}

TEST(Cache, ForcePeekEraseAndHandles) {
  const std::string path = fresh("cache");
  Cache cache = Cache::open(path);
  int calls = 0;
  const auto count = [&](const std::string&) { return ++calls; };
  EXPECT_FALSE(cache.peek<int>("f", 1, std::string("x")));
  EXPECT_EQ(cache.force("f", 1, std::string("x"), count).value, 1);
  EXPECT_EQ(cache.force("f", 1, std::string("x"), count).value, 2);
  EXPECT_FALSE(cache.force("f", 1, std::string("x"), count).hit);
  EXPECT_EQ(cache.get_or_compute("f", 1, std::string("x"), count).value, 3);
  EXPECT_EQ(cache.stats().items, 1u);

  const CacheCall call{.name = "f", .version = 1};
  const Digest key = cache.key(call, std::string("x"));
  const CacheHandle handle{cache.folder(), key.text()};
  const auto bytes = to_bytes(handle);
  EXPECT_EQ(from_bytes<CacheHandle>(bytes).load<int>(), 3);
  EXPECT_EQ(cache.load<int>(key), 3);
  EXPECT_TRUE(cache.erase(key));
  EXPECT_FALSE(cache.erase(key));
  EXPECT_EQ(error_of([&] { cache.load<int>(key); }).code(), Errc::not_found);
  EXPECT_EQ(error_of([&] { handle.load<int>(); }).code(), Errc::not_found);
  const CacheHandle nowhere{fresh("nowhere"), key.text()};
  EXPECT_EQ(error_of([&] { nowhere.load<int>(); }).code(), Errc::not_found);
  EXPECT_FALSE(std::filesystem::exists(nowhere.folder));

  // Between a small result and one with a file of its own, and back.
  int size = 10;
  const auto sized = [&] { return std::vector<int>(static_cast<std::size_t>(size), size); };
  for (const int next : {10, 100'000, 200'000, 10}) {
    size = next;
    EXPECT_EQ(cache.force("sized", 1, sized).value.size(), static_cast<std::size_t>(size));
    EXPECT_EQ(cache.get_or_compute("sized", 1, sized).value, sized());
    EXPECT_EQ(results_in(path), size == 10 ? 0u : 1u);
  }
  EXPECT_TRUE(cache.verify().good());
}

TEST(Cache, ResultsOfAnotherTypeAreComputedAnew) {
  std::vector<std::string> warnings;
  Cache cache = Cache::open(fresh("cache"), {.on_failure = CacheFailure::warn,
                                             .warn = [&](const std::string& text) { warnings.push_back(text); }});
  cache.get_or_compute("f", 1, 1, [](int) { return std::string("text"); });
  const auto result = cache.get_or_compute("f", 1, 1, [](int) { return std::vector{1.5}; });
  EXPECT_FALSE(result.hit);
  EXPECT_EQ(result.value, std::vector{1.5});
  EXPECT_TRUE(cache.get_or_compute("f", 1, 1, [](int) { return std::vector{2.5}; }).hit);
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_NE(warnings[0].find("cannot be used"), std::string::npos) << warnings[0];
}

TEST(Cache, ValidityAndMetadata) {
  Cache cache = Cache::open(fresh("cache"));
  int calls = 0;
  const auto count = [&] { return ++calls; };
  CacheCall call{.name = "f", .version = 1, .metadata = {{"rows", 5}, {"source", "a.csv"}, {"share", 0.5}}};
  EXPECT_EQ(cache.get_or_compute(call, count).value, 1);
  bool valid = true;
  call.valid = [&](const CacheEntry& entry) {
    EXPECT_EQ(entry.metadata, (Metadata{{"rows", 5}, {"source", "a.csv"}, {"share", 0.5}}));
    return valid;
  };
  EXPECT_EQ(cache.get_or_compute(call, count).value, 1);
  valid = false;
  // What was valid for nobody is replaced, and not removed before.
  EXPECT_EQ(cache.get_or_compute(call, count).value, 2);
  valid = true;
  EXPECT_EQ(cache.get_or_compute(call, count).value, 2);
  EXPECT_EQ(cache.stats().items, 1u);
}

TEST(Cache, ResultsExpire) {
  const std::string path = fresh("cache");
  Cache cache = Cache::open(path);
  int calls = 0;
  const auto count = [&] { return std::vector<int>(20'000, ++calls); };
  const CacheCall call{.name = "f", .version = 1, .expires_after_s = 3};
  EXPECT_EQ(cache.get_or_compute(call, count).value[0], 1);
  EXPECT_EQ(cache.get_or_compute(call, count).value[0], 1);
  ::usleep(3'200'000);
  EXPECT_EQ(cache.get_or_compute(call, count).value[0], 2);
  EXPECT_EQ(cache.stats().expired, 1u);
  EXPECT_EQ(results_in(path), 1u);
  ::usleep(4'200'000);  // the index has whole seconds
  EXPECT_EQ(cache.prune(), 1u);
  EXPECT_EQ(results_in(path), 0u);
  EXPECT_EQ(cache.stats().items, 0u);
}

TEST(Cache, MappedResultsCannotChangeWhatIsCached) {
  const std::string path = fresh("cache");
  const auto make = [] {
    Array<float, 2> array({300, 200});
    array.mutable_at(7, 9) = 3;
    return array;
  };
  {
    Cache cache = Cache::open(path);
    cache.get_or_compute("f", 1, make);
    Array<float, 2> mapped = cache.get_or_compute("f", 1, make).value;
    EXPECT_FALSE(mapped.writable());
    EXPECT_EQ(mapped(7, 9), 3);
    EXPECT_EQ(error_of([&] { mapped.mutable_data(); }).code(), Errc::read_only);
    cache.clear();  // who has it mapped keeps it
    EXPECT_EQ(mapped(7, 9), 3);
    cache.get_or_compute("f", 1, make);
  }
  {
    Cache cache = Cache::open(path, {.map = MapMode::copy_on_write});
    Array<float, 2> mine = cache.get_or_compute("f", 1, make).value;
    mine.mutable_at(7, 9) = 100;
    EXPECT_EQ(cache.get_or_compute("f", 1, make).value(7, 9), 3);
  }
  EXPECT_EQ(error_of([&] { Cache::open(path, {.map = MapMode::read_write}); }).code(), Errc::invalid_argument);
  // A list of arrays maps each.
  Cache cache = Cache::open(path);
  const auto list = [&] { return std::vector{make(), make(), make()}; };
  cache.get_or_compute("list", 1, list);
  for (const Array<float, 2>& array : cache.get_or_compute("list", 1, list).value) {
    EXPECT_FALSE(array.writable());
    EXPECT_EQ(array(7, 9), 3);
  }
}

TEST(Cache, CompressedResults) {
  const std::string path = fresh("cache");
  Cache cache = Cache::open(path, {.codec = "gzip", .level = 6});
  for (const std::size_t size : {1u, 1000u, 8000u, 1'000'000u}) {
    const auto make = [&] { return std::vector<std::int32_t>(size, 5); };
    EXPECT_FALSE(cache.get_or_compute("f", size, make).hit);
    const auto found = cache.get_or_compute("f", size, make);
    EXPECT_TRUE(found.hit);
    EXPECT_EQ(found.value, make());
    if (size >= 8000) {
      EXPECT_LT(found.entry.bytes, size);
    }
  }
  EXPECT_EQ(error_of([&] { Cache::open(path, {.codec = "no such"}).get_or_compute("x", 1, [] { return 1; }); }).code(),
            Errc::unknown_codec);
}

TEST(Cache, FailuresToStoreFollowThePolicy) {
  const std::string path = fresh("cache");
  std::vector<std::string> warnings;
  const auto warn = [&](const std::string& text) { warnings.push_back(text); };
  const auto make = [] { return Bad{7}; };
  EXPECT_EQ(error_of([&] { Cache::open(path).get_or_compute("f", 1, make); }).code(), Errc::unsupported);
  Cache warning = Cache::open(path, {.on_failure = CacheFailure::warn, .warn = warn});
  EXPECT_EQ(warning.get_or_compute("f", 1, make).value.x, 7);
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_NE(warnings[0].find("is not stored: "), std::string::npos) << warnings[0];
  Cache ignoring = Cache::open(path, {.on_failure = CacheFailure::ignore, .warn = warn});
  EXPECT_EQ(ignoring.get_or_compute("f", 1, make).value.x, 7);
  EXPECT_EQ(warnings.size(), 1u);
  EXPECT_EQ(ignoring.stats().failed, 1u);
  EXPECT_EQ(ignoring.stats().items, 0u);
}

TEST(Cache, ReadOnly) {
  const std::string path = fresh("cache");
  EXPECT_EQ(error_of([&] { Cache::open(path, {.read_only = true}); }).code(), Errc::not_found);
  const auto make = [](int size) { return std::vector<int>(static_cast<std::size_t>(size), size); };
  {
    Cache cache = Cache::open(path);
    cache.get_or_compute("f", 1, 10, make);
    cache.get_or_compute("f", 1, 50'000, make);
  }
  Cache cache = Cache::open(path, {.on_failure = CacheFailure::ignore, .read_only = true});
  EXPECT_TRUE(cache.get_or_compute("f", 1, 10, make).hit);
  EXPECT_EQ(cache.get_or_compute("f", 1, 50'000, make).value, make(50'000));
  EXPECT_FALSE(cache.get_or_compute("f", 1, 11, make).hit);
  EXPECT_EQ(cache.get_or_compute("f", 1, 11, make).value, make(11));
  EXPECT_EQ(cache.stats().items, 2u);
  EXPECT_EQ(error_of([&] { cache.clear(); }).code(), Errc::read_only);
  EXPECT_TRUE(cache.verify().good());
}

TEST(Cache, RecursionAndNesting) {
  Cache cache = Cache::open(fresh("cache"));
  const std::function<std::uint64_t(std::uint64_t)> fibonacci = [&](std::uint64_t n) -> std::uint64_t {
    const auto value = [&](std::uint64_t of) { return cache.get_or_compute("fibonacci", 1, of, fibonacci).value; };
    return n < 2 ? n : value(n - 1) + value(n - 2);
  };
  EXPECT_EQ(fibonacci(80), 23416728348467685u);
  EXPECT_EQ(cache.stats().items, 80u);
  // A call inside of the same call does not wait for itself.
  int depth = 0;
  const std::function<int()> same = [&] { return ++depth < 3 ? cache.get_or_compute("same", 1, same).value + 1 : 0; };
  EXPECT_EQ(cache.get_or_compute("same", 1, same).value, 2);
  EXPECT_EQ(cache.get_or_compute("same", 1, same).value, 2);
}

TEST(Cache, ThreadsComputeEachResultOnce) {
  Cache cache = Cache::open(fresh("cache"), {.map = MapMode::none});
  std::array<std::atomic<int>, 50> calls{};
  std::atomic<int> wrong = 0;
  std::vector<std::jthread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 400; ++i) {
        const int n = (i * 7 + t) % 50;
        const auto result = cache.get_or_compute("f", 1, n, [&](int of) {
          ++calls[static_cast<std::size_t>(of)];
          ::usleep(500);
          return std::vector<int>(of % 5 == 0 ? 20'000 : 10, of);
        });
        wrong += result.value != std::vector<int>(n % 5 == 0 ? 20'000 : 10, n) ? 1 : 0;
      }
    });
  }
  threads.clear();
  for (const auto& count : calls) {
    EXPECT_EQ(count, 1);
  }
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(cache.stats().items, 50u);
  EXPECT_EQ(cache.stats().misses, 50u);
  EXPECT_EQ(cache.stats().hits, 8u * 400 - 50);
}

TEST(Cache, WaitingEndsInTime) {
  const std::string path = fresh("cache");
  Cache slow = Cache::open(path);
  std::atomic<bool> computing = false;
  std::jthread first([&] {
    slow.get_or_compute("f", 1, [&] {
      computing = true;
      ::usleep(5'000'000);
      return 1;
    });
  });
  while (!computing) {
    ::usleep(1000);
  }
  Cache hasty = Cache::open(path, {.wait_s = 0.2});
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(hasty.get_or_compute("f", 1, [] { return 1; }).hit, false);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(4000));
  first.join();
  EXPECT_TRUE(hasty.get_or_compute("f", 1, [] { return 1; }).hit);
}

TEST(Cache, PicksUpWhatOtherObjectsStored) {
  const std::string path = fresh("cache");
  Cache a = Cache::open(path);
  Cache b = Cache::open(path);
  const auto twice = [](int x) { return x * 2; };
  for (int i = 0; i < 3000; ++i) {  // the index grows meanwhile
    Cache& first = i % 2 == 0 ? a : b;
    Cache& second = i % 2 == 0 ? b : a;
    ASSERT_FALSE(first.get_or_compute("f", 1, i, twice).hit);
    const auto found = second.get_or_compute("f", 1, i, twice);
    ASSERT_TRUE(found.hit) << i;
    ASSERT_EQ(found.value, i * 2);
  }
  EXPECT_EQ(a.stats().items, 3000u);
  EXPECT_EQ(b.stats().items, 3000u);
  EXPECT_EQ(a.entries().size(), 3000u);
}

/// Between finding a result and opening its file another process may remove or replace it.
TEST(Cache, ResultsThatAreRemovedWhileTheyAreReadAreNotDamaged) {
  const std::string path = fresh("cache");
  std::vector<std::string> warnings;
  Cache reader = Cache::open(
      path, {.on_failure = CacheFailure::warn, .warn = [&](const std::string& text) { warnings.push_back(text); }});
  Cache writer = Cache::open(path);
  const CacheCall call{.name = "f", .version = 1};
  const auto store = [&](std::size_t size) {
    writer.force(call, cache::ignored(0), [&](int) { return std::vector<int>(size, 7); });
  };
  const Digest key = writer.key(call, cache::ignored(0));
  for (const bool replaced : {false, true}) {
    store(50'000);
    const std::optional<CacheFound> found = reader.find(key);
    ASSERT_TRUE(found);
    writer.erase(key);
    if (replaced) {
      store(3);
    }
    reader.reject(*found, error_of([&] { found->as<std::vector<int>>(); }));
    EXPECT_EQ(reader.stats().items, replaced ? 1u : 0u);
  }
  EXPECT_EQ(reader.stats().damaged, 0u);
  EXPECT_EQ(warnings, std::vector<std::string>{});
  EXPECT_EQ(reader.peek<std::vector<int>>(call, cache::ignored(0))->value, std::vector<int>(3, 7));
}

TEST(Cache, FilesForOtherProgramsAreNotOverwritten) {
  const std::string path = fresh("cache");
  std::filesystem::create_directory(path);
  const std::string mine = "!results\n# mine";
  test::put(path + "/.gitignore", std::as_bytes(std::span(mine)));
  test::put(path + "/CACHEDIR.TAG", {});  // a process was killed before it wrote it
  Cache::open(path).get_or_compute("f", 1, [] { return 1; });
  EXPECT_EQ(test::content(path + "/.gitignore").size(), mine.size());
  EXPECT_GT(test::content(path + "/CACHEDIR.TAG").size(), 43u);
}

TEST(Cache, AFolderThatIsRemovedMeanwhileHasNoResults) {
  const std::string path = fresh("cache");
  Cache cache = Cache::open(path);
  for (const int size : {1, 100'000}) {
    const auto make = [&] { return std::vector<int>(static_cast<std::size_t>(size), 1); };
    cache.get_or_compute("f", size, make);
    EXPECT_TRUE(cache.get_or_compute("f", size, make).hit);
    EXPECT_FALSE(cache.removed());
    std::filesystem::remove_all(path);
    EXPECT_TRUE(cache.removed());
    EXPECT_FALSE(cache.peek<std::vector<int>>("f", size));
    EXPECT_EQ(error_of([&] { cache.get_or_compute("f", size, make); }).code(), Errc::not_found);
    cache = Cache::open(path);
    EXPECT_FALSE(cache.get_or_compute("f", size, make).hit);
  }
}

/// The index grows and is made anew, files of results come and go, while others look.
TEST(Cache, ThreadsAtALimit) {
  Cache cache = Cache::open(fresh("cache"), {.map = MapMode::none, .items_limit = 900});
  std::atomic<int> wrong = 0;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        std::mt19937 random(static_cast<unsigned>(t));
        for (int i = 0; i < (test::sanitized ? 3000 : 10'000); ++i) {
          const int n = static_cast<int>(random() % 3000);
          const std::vector<int> expected(n % 100 == 0 ? 20'000 : n % 10, n);
          wrong += cache.get_or_compute("f", 1, n, [&](int) { return expected; }).value != expected ? 1 : 0;
        }
      });
    }
    threads.emplace_back([&] {
      for (int i = 0; i < 200; ++i) {
        for (const CacheEntry& entry : cache.entries()) {
          wrong += entry.name == "f" ? 0 : 1;
        }
        wrong += cache.stats().items > 901 ? 1 : 0;
        cache.erase(cache.key({.name = "f", .version = 1}, i));
        if (i % 50 == 0) {
          cache.prune({.items = 500});
        }
      }
    });
  }
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(cache.stats().damaged, 0u);
  EXPECT_TRUE(cache.verify().good());
}

TEST(Cache, StatsSeeWhatOtherObjectsStored) {
  const std::string path = fresh("cache");
  const Cache watching = Cache::open(path);
  Cache writing = Cache::open(path);
  for (int i = 0; i < 3000; ++i) {  // the index grows meanwhile
    writing.get_or_compute("f", 1, i, [](int x) { return x; });
  }
  EXPECT_EQ(watching.stats().items, 3000u);
  EXPECT_EQ(watching.stats().misses, 3000u);
}

TEST(Cache, AChildMustOpenItAnew) {
  const std::string path = fresh("cache");
  Cache cache = Cache::open(path);
  cache.get_or_compute("f", 1, [] { return 1; });
  const pid_t child = ::fork();
  if (child == 0) {
    const bool refused =
        error_of([&] { cache.get_or_compute("f", 1, [] { return 1; }); }).code() == Errc::invalid_argument;
    const bool works = Cache::open(path).get_or_compute("f", 1, [] { return 1; }).hit;
    std::_Exit(refused && works ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace stele

// Several processes, and what happens to those that are killed, to full disks and to damage.

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <map>
#include <set>
#include <thread>

#include "io/system.hpp"
#include "stele/cache.hpp"
#include "support/test_support.hpp"

namespace stele {
namespace {

using test::error_of;
using test::fresh;

std::vector<std::uint32_t> result_of(int n) {
  return std::vector<std::uint32_t>(n % 20 == 0 ? 12'000 : static_cast<std::size_t>(n) % 50,
                                    static_cast<std::uint32_t>(n) * 2654435761u);
}

pid_t start(const std::function<void()>& action) {
  const pid_t child = ::fork();
  if (child == 0) {
    try {
      action();
      std::_Exit(0);
    } catch (const std::exception& error) {
      std::fprintf(stderr, "%s\n", error.what());
    }
    std::_Exit(1);
  }
  return child;
}

int end_of(pid_t child) {
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/// A line for each computation: written at once, also by processes that are killed next.
void note(const std::string& log, const std::string& text) {
  const int fd = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0666);
  const std::string line = text + "\n";
  [[maybe_unused]] const ssize_t written = ::write(fd, line.data(), line.size());
  ::close(fd);
}

std::map<int, int> notes(const std::string& log) {
  std::map<int, int> counts;
  std::ifstream in(log);
  for (int n = 0; in >> n;) {
    ++counts[n];
  }
  return counts;
}

std::vector<std::string> leftovers(const std::string& path) {
  std::vector<std::string> found;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(path)) {
    const std::string name = entry.path().lexically_relative(path).string();
    if (entry.is_regular_file() && (name.starts_with("unfinished") || name.find("tmp") != std::string::npos ||
                                    name.find(".new") != std::string::npos)) {
      found.push_back(name);
    }
  }
  return found;
}

std::size_t files_of_results(const std::string& path) {
  std::size_t files = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(path + "/results")) {
    files += entry.is_regular_file() ? 1 : 0;
  }
  return files;
}

std::size_t entries_with_files(const Cache& cache) {
  const std::vector<CacheEntry> entries = cache.entries();
  return static_cast<std::size_t>(
      std::count_if(entries.begin(), entries.end(), [](const CacheEntry& entry) { return !entry.file.empty(); }));
}

TEST(CacheProcesses, EachResultIsComputedOnce) {
  const std::string path = fresh("cache");
  const std::string log = fresh("log");
  constexpr int results = 400;
  std::vector<pid_t> children;
  for (int p = 0; p < 6; ++p) {
    children.push_back(start([&, p] {
      Cache cache = Cache::open(path);
      for (int i = 0; i < 1500; ++i) {
        const int n = (i * 17 + p * 31) % results;
        const auto found = cache.get_or_compute("f", 1, n, [&](int of) {
          note(log, std::to_string(of));
          return result_of(of);
        });
        if (found.value != result_of(n)) {
          throw std::runtime_error("wrong value");
        }
      }
    }));
  }
  for (const pid_t child : children) {
    EXPECT_EQ(end_of(child), 0);
  }
  const std::map<int, int> counts = notes(log);
  EXPECT_EQ(counts.size(), static_cast<std::size_t>(results));
  for (const auto& [n, count] : counts) {
    EXPECT_EQ(count, 1) << n;
  }
  const Cache cache = Cache::open(path);
  EXPECT_EQ(cache.stats().items, static_cast<std::uint64_t>(results));
  EXPECT_EQ(cache.stats().hits + cache.stats().misses, 6u * 1500);
  EXPECT_TRUE(cache.verify().good());
  EXPECT_EQ(leftovers(path), std::vector<std::string>{});
}

/// Eight processes that are killed and replaced all the time. A result is computed again only where the process that
/// computed it was killed before it could go on.
TEST(CacheProcesses, EachResultIsComputedOnceButForThoseOfKilledProcesses) {
  constexpr int workers = 8;
  constexpr int calls = test::sanitized ? 1000 : 10'000;
  constexpr int results = calls / 2;
  constexpr std::size_t most_killed = 200;  // so that a slow machine gets on
  const std::string path = fresh("cache");
  const std::string log = fresh("log");
  auto* const done = static_cast<std::atomic<int>*>(
      ::mmap(nullptr, workers * sizeof(std::atomic<int>), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  ASSERT_NE(done, MAP_FAILED);
  const auto work = [&](int worker) {
    return start([&, worker] {
      Cache cache = Cache::open(path, {.wait_s = 100});
      for (int i = done[worker]; i < calls; done[worker] = ++i) {
        const int n = static_cast<int>((static_cast<unsigned>(i * workers + worker) * 2654435761u >> 8) % results);
        const auto found = cache.get_or_compute("f", 1, n, [&](int of) {
          note(log, std::to_string(of) + " " + std::to_string(::getpid()));
          return result_of(of);
        });
        if (found.value != result_of(n)) {
          throw std::runtime_error("wrong value");
        }
      }
    });
  };
  std::vector<pid_t> children;
  for (int worker = 0; worker < workers; ++worker) {
    children.push_back(work(worker));
  }
  std::mt19937 random(3);
  std::set<pid_t> killed;
  for (int alive = workers; alive > 0;) {
    ::usleep(static_cast<useconds_t>(random() % 4'000));
    const int worker = static_cast<int>(random() % workers);
    pid_t& child = children[static_cast<std::size_t>(worker)];
    if (child == 0) {
      continue;
    }
    if (killed.size() < most_killed) {
      ::kill(child, SIGKILL);
    }
    const int end = end_of(child);
    if (end == -SIGKILL) {
      killed.insert(child);
      child = work(worker);
    } else {
      EXPECT_EQ(end, 0);
      EXPECT_EQ(done[worker], calls);
      child = 0;
      --alive;
    }
  }
  ::munmap(done, workers * sizeof(std::atomic<int>));

  // Which process computed what, in the order in which they began.
  std::ifstream in(log);
  std::map<int, std::vector<pid_t>> computed;
  std::map<pid_t, int> last;
  for (std::pair<int, pid_t> line; in >> line.first >> line.second;) {
    computed[line.first].push_back(line.second);
    last[line.second] = line.first;
  }
  std::uint64_t repeated = 0;
  for (const auto& [n, by] : computed) {
    for (std::size_t i = 0; i + 1 < by.size(); ++i) {
      EXPECT_TRUE(killed.contains(by[i]) && last[by[i]] == n) << n;
    }
    repeated += by.size() - 1;
  }
  EXPECT_GT(killed.size(), 5u);
  RecordProperty("killed", static_cast<int>(killed.size()));
  RecordProperty("repeated", static_cast<int>(repeated));
  const Cache cache = Cache::open(path);
  EXPECT_EQ(computed.size(), cache.stats().items);
  EXPECT_GT(computed.size(), results * 3u / 4);
  EXPECT_EQ(cache.stats().damaged, 0u);
  const CacheReport report = cache.verify();
  EXPECT_TRUE(report.good()) << report.problems[0];
  EXPECT_EQ(report.items, cache.stats().items);
  EXPECT_EQ(report.bytes, cache.stats().bytes);
  EXPECT_EQ(leftovers(path), std::vector<std::string>{});
  EXPECT_EQ(files_of_results(path), entries_with_files(cache));
}

/// A process is killed after a larger index has got the name, and before others could know.
TEST(CacheProcesses, AnIndexThatAKilledProcessReplacedIsFollowed) {
  const std::string path = fresh("cache");
  Cache first = Cache::open(path);
  Cache second = Cache::open(path);
  first.get_or_compute("f", 1, -1, result_of);
  const pid_t child = start([&] {
    static const auto rename = system_calls().renameat;
    Cache cache = Cache::open(path);
    system_calls().renameat = [](int from_folder, const char* from, int to_folder, const char* to) {
      const int result = rename(from_folder, from, to_folder, to);
      if (std::string_view(to) == "index") {
        ::kill(::getpid(), SIGKILL);
      }
      return result;
    };
    for (int i = 0;; ++i) {
      cache.get_or_compute("f", 1, i, result_of);
    }
  });
  EXPECT_EQ(end_of(child), -SIGKILL);
  const std::uint64_t items = first.stats().items;
  EXPECT_GT(items, 500u);
  first.get_or_compute("f", 1, -2, result_of);
  Cache third = Cache::open(path);
  third.get_or_compute("f", 1, -3, result_of);
  for (Cache* const cache : {&first, &second, &third}) {
    EXPECT_EQ(cache->stats().items, items + 2);
    for (const int n : {-1, -2, -3}) {
      EXPECT_TRUE(cache->peek<std::vector<std::uint32_t>>("f", 1, n)) << n;
    }
  }
}

TEST(CacheProcesses, KilledAtAnyPointLeavesAUsableCache) {
  const std::string path = fresh("cache");
  std::mt19937 random(1);
  std::uint64_t before = 0;
  for (int round = 0; round < 60; ++round) {
    std::vector<pid_t> children;
    for (int p = 0; p < 3; ++p) {
      const auto seed = static_cast<unsigned>(random());
      children.push_back(start([&, seed] {
        std::mt19937 mine(seed);
        Cache cache = Cache::open(path, {.items_limit = 600, .wait_s = 20});
        for (;;) {
          const int n = static_cast<int>(mine() % 1200);
          const bool anew = mine() % 50 == 0;
          const auto found = anew ? cache.force("f", 1, n, result_of) : cache.get_or_compute("f", 1, n, result_of);
          if (found.value != result_of(n)) {
            throw std::runtime_error("wrong value");
          }
          if (mine() % 500 == 0) {
            cache.prune({.items = 300});
          }
        }
      }));
    }
    ::usleep(2000 + static_cast<useconds_t>(random() % 40'000));
    for (const pid_t child : children) {
      ::kill(child, SIGKILL);
      EXPECT_EQ(end_of(child), -SIGKILL);  // nobody found a wrong value
    }
    const Cache cache = Cache::open(path);
    ASSERT_EQ(leftovers(path), std::vector<std::string>{}) << round;
    const CacheReport report = cache.verify();
    ASSERT_TRUE(report.good()) << round << ": " << report.problems[0];
    ASSERT_EQ(report.items, cache.stats().items);
    ASSERT_EQ(report.bytes, cache.stats().bytes);
    ASSERT_LE(report.items, 601u);  // one that was killed had not yet removed what its last result displaced
    before = std::max(before, report.items);
    ASSERT_EQ(files_of_results(path), entries_with_files(cache)) << round;
  }
  EXPECT_GT(before, 100u);
}

TEST(CacheProcesses, AKilledHolderIsReplacedAtOnce) {
  const std::string path = fresh("cache");
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const pid_t child = start([&] {
    Cache::open(path).get_or_compute("f", 1, [&] {
      [[maybe_unused]] const ssize_t written = ::write(ends[1], "x", 1);
      ::pause();
      return 1;
    });
  });
  char byte = 0;
  ASSERT_EQ(::read(ends[0], &byte, 1), 1);
  std::jthread killer([&] {
    ::usleep(200'000);
    ::kill(child, SIGKILL);
    end_of(child);
  });
  Cache cache = Cache::open(path, {.wait_s = 60});
  const auto begin = std::chrono::steady_clock::now();
  const auto found = cache.get_or_compute("f", 1, [] { return 2; });
  EXPECT_FALSE(found.hit);
  EXPECT_EQ(found.value, 2);
  EXPECT_GT(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(100));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20));
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST(CacheProcesses, AFullDiskLosesNothing) {
  const std::string path = fresh("cache");
  std::vector<std::string> warnings;
  const pid_t child = start([&] {
    Cache cache = Cache::open(
        path, {.on_failure = CacheFailure::warn, .warn = [&](const std::string& text) { warnings.push_back(text); }});
    cache.get_or_compute("f", 1, 1, result_of);
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{200'000, 200'000};  // of each file: as a full disk, an error of write(2)
    ::setrlimit(RLIMIT_FSIZE, &limit);
    for (int i = 0; i < 6000; ++i) {
      if (cache.get_or_compute("f", 1, i, result_of).value != result_of(i)) {
        throw std::runtime_error("wrong value");
      }
    }
    const auto large = [](int size) { return std::vector<int>(static_cast<std::size_t>(size), 1); };
    if (cache.get_or_compute("large", 1, 1'000'000, large).value != large(1'000'000)) {
      throw std::runtime_error("wrong value");
    }
    if (warnings.size() < 10 || cache.stats().failed != warnings.size()) {
      throw std::runtime_error("silent failures");
    }
    for (const CacheReport report = cache.verify(); const std::string& problem : report.problems) {
      throw std::runtime_error(problem);
    }
  });
  EXPECT_EQ(end_of(child), 0);
  Cache cache = Cache::open(path);
  EXPECT_TRUE(cache.verify().good());
  EXPECT_GT(cache.stats().items, 100u);
  EXPECT_TRUE(cache.get_or_compute("f", 1, 1, result_of).hit);
  EXPECT_FALSE(cache.get_or_compute("f", 1, 100'000, result_of).hit);
  EXPECT_TRUE(cache.get_or_compute("f", 1, 100'000, result_of).hit);
  EXPECT_EQ(leftovers(path), std::vector<std::string>{});
}

/// Every file of a cache, damaged at some place: results are right or computed anew.
TEST(CacheProcesses, DamageIsAMiss) {
  const std::string original = fresh("original");
  {
    Cache cache = Cache::open(original);
    for (int i = 0; i < 200; ++i) {
      cache.get_or_compute("f", 1, i, result_of);
    }
  }
  std::mt19937 random(7);
  std::uint64_t damaged = 0;
  for (int round = 0; round < 150; ++round) {
    const std::string path = fresh("copy");
    std::filesystem::copy(original, path, std::filesystem::copy_options::recursive);
    std::vector<std::string> files;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(path)) {
      if (entry.is_regular_file() && entry.file_size() > 0) {
        files.push_back(entry.path().string());
      }
    }
    std::sort(files.begin(), files.end());
    const std::string& file = files[random() % files.size()];
    const auto size = std::filesystem::file_size(file);
    if (random() % 4 == 0 && file.find("index") == std::string::npos) {
      std::filesystem::resize_file(file, random() % size);
    } else {
      std::fstream bytes(file, std::ios::in | std::ios::out | std::ios::binary);
      for (int i = 0; i < 40; ++i) {
        const auto at =
            static_cast<std::streamoff>(random() % (i % 2 == 0 ? size : std::min<std::uintmax_t>(size, 64)));
        bytes.seekp(at);
        bytes.put(static_cast<char>(random()));
      }
    }
    try {
      Cache cache = Cache::open(path, {.verify = Verify::full});
      for (int i = 0; i < 200; ++i) {
        ASSERT_EQ(cache.get_or_compute("f", 1, i, result_of).value, result_of(i)) << file;
      }
      for (int i = 0; i < 200; ++i) {
        ASSERT_TRUE(cache.get_or_compute("f", 1, i, result_of).hit) << file << " " << i;
      }
      damaged += cache.stats().damaged;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Errc::unsupported) << file << ": " << error.what();  // another version of the index
    }
  }
  EXPECT_GT(damaged, 20u);
}

TEST(CacheProcesses, ALostIndexIsMadeAnewFromTheSegments) {
  const std::string path = fresh("cache");
  {
    Cache cache = Cache::open(path);
    for (int i = 0; i < 2000; ++i) {
      cache.get_or_compute("f", 1, i, result_of);
    }
    cache.force("f", 1, 5, [](int) { return std::vector<std::uint32_t>{1, 2, 3}; });
  }
  std::filesystem::remove(path + "/index");
  Cache cache = Cache::open(path);
  EXPECT_EQ(cache.stats().items, 2000u);
  for (int i = 0; i < 2000; ++i) {
    const auto found = cache.peek<std::vector<std::uint32_t>>("f", 1, i);
    ASSERT_TRUE(found) << i;
    EXPECT_EQ(found->value, i == 5 ? (std::vector<std::uint32_t>{1, 2, 3}) : result_of(i));
  }
  EXPECT_TRUE(cache.verify().good());
}

TEST(CacheProcesses, ManySegmentsTakeFewDescriptors) {
  rlimit former{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &former), 0);
  const rlimit limit{std::min<rlim_t>(4096, former.rlim_max), former.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0);
  const test::Finally restore([&] { ::setrlimit(RLIMIT_NOFILE, &former); });
  const std::string path = fresh("cache");
  constexpr int count = 400;
  {
    std::vector<Cache> writers;  // each appends to a segment of its own
    for (int i = 0; i < count; ++i) {
      writers.push_back(Cache::open(path));
      writers.back().get_or_compute("f", 1, i, [](int n) { return n; });
    }
  }
  const auto descriptors = [] {
    return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), std::filesystem::directory_iterator());
  };
  const auto before = descriptors();
  Cache cache = Cache::open(path);
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < count; ++i) {
      ASSERT_EQ(cache.peek<int>("f", 1, i)->value, i);
    }
  }
  EXPECT_LT(descriptors() - before, 300);
}

/// Each number in the head of the index, damaged: no opening hangs, and the cache works as before.
TEST(CacheProcesses, ADamagedHeadOfTheIndexEndsNothing) {
  for (const std::streamoff at : {40, 48, 56, 64, 72, 80, 88, 96, 104}) {
    const std::string path = fresh("cache");
    {
      Cache cache = Cache::open(path);
      for (int i = 0; i < 100; ++i) {
        cache.get_or_compute("f", 1, i, result_of);
      }
    }
    {
      std::fstream bytes(path + "/index", std::ios::in | std::ios::out | std::ios::binary);
      bytes.seekp(at);
      bytes.write("\xff\xfe\xfd\xfc\x7b\x7a\x79\x00", 8);
    }
    Cache cache = Cache::open(path, {.bytes_limit = 1 << 20, .items_limit = 500});
    for (int i = 0; i < 300; ++i) {
      ASSERT_EQ(cache.get_or_compute("f", 1, i, result_of).value, result_of(i)) << at;
    }
    EXPECT_TRUE(cache.get_or_compute("f", 1, 298, result_of).hit) << at;
    EXPECT_LE(cache.stats().items, 500u) << at;
    EXPECT_GT(cache.stats().items, 50u) << at;
    cache.clear();
    EXPECT_EQ(cache.stats().items, 0u) << at;
  }
}

/// The counts in the head of the index say that there is room, and there is none.
TEST(CacheProcesses, AnIndexWithoutAFreeSlotEndsNoSearch) {
  const std::string path = fresh("cache");
  Cache::open(path).get_or_compute("f", 1, 1, result_of);
  {
    constexpr std::streamoff head = 4096;
    std::fstream bytes(path + "/index", std::ios::in | std::ios::out | std::ios::binary);
    for (std::streamoff slot = 0; slot < 1024; ++slot) {
      bytes.seekp(head + slot * 64);
      bytes.put(1);  // used
      bytes.seekp(head + slot * 64 + 8);
      bytes.put(static_cast<char>(slot)).put(static_cast<char>(slot >> 8)).put(1);  // each of another key
    }
  }
  Cache cache = Cache::open(path);
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(cache.get_or_compute("f", 1, i, result_of).value, result_of(i));
    EXPECT_TRUE(cache.get_or_compute("f", 1, i, result_of).hit);
  }
  EXPECT_GE(cache.prune(), 0u);
}

}  // namespace
}  // namespace stele

// The store compared with std::map: random writes, batches, crashes, vacuums and recoveries, in one process and in
// several. STELE_STORE_SECONDS sets the seconds per test (default 10), STELE_STORE_SEED the random seed.

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <random>
#include <thread>

#include "stele/store.hpp"

namespace stele {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;
using Model = std::map<StoreKey, std::string>;

double seconds() {
  const char* text = std::getenv("STELE_STORE_SECONDS");
  return text == nullptr ? 10 : std::strtod(text, nullptr);
}
unsigned first_seed() {
  const char* text = std::getenv("STELE_STORE_SEED");
  return text == nullptr ? 1 : static_cast<unsigned>(std::strtoul(text, nullptr, 10));
}

class Chance {
 public:
  explicit Chance(unsigned seed) : engine_(seed) {}
  std::size_t below(std::size_t bound) { return static_cast<std::size_t>(engine_() % bound); }
  bool one_in(std::size_t n) { return below(n) == 0; }
  StoreKey key() {
    const std::size_t n = below(400);
    switch (below(4)) {
      case 0:
        return StoreKey(static_cast<int>(n) - 200);
      case 1:
        return StoreKey("user/" + std::to_string(n));
      case 2:
        return StoreKey(std::string(1 + n % 7, static_cast<char>('a' + n % 26)));
      default:
        return StoreKey("a/common/prefix/that/is/long/" + std::to_string(n % 50) + std::string(n, 'z'));
    }
  }
  std::string value() {
    std::size_t size = below(100);
    if (one_in(4)) {
      size = below(6000);
    }
    if (one_in(30)) {
      size = below(150'000);
    }
    std::string text(size, '\0');
    const auto start = static_cast<unsigned char>(engine_());
    for (std::size_t i = 0; i < size; ++i) {
      text[i] = static_cast<char>('a' + (start + i * i) % 26);
    }
    return text;
  }

 private:
  std::mt19937 engine_;
};

void expect_equal(const Store& store, const Model& model) {
  ASSERT_EQ(store.size(), model.size());
  auto expected = model.begin();
  for (const StoreItem& item : store.items()) {
    ASSERT_NE(expected, model.end());
    ASSERT_EQ(item.key, expected->first) << item.key.describe();
    ASSERT_TRUE(item.value.text() == expected->second)
        << item.key.describe() << ": " << item.value.text().size() << " bytes " << item.value.text().substr(0, 20)
        << ", not " << expected->second.size() << " bytes " << expected->second.substr(0, 20);
    ++expected;
  }
  ASSERT_EQ(expected, model.end());
}

TEST(StoreModel, BehavesAsAMap) {
  const Clock::time_point until =
      Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds()));
  unsigned seed = first_seed();
  do {
    SCOPED_TRACE("STELE_STORE_SEED=" + std::to_string(seed));
    Chance chance(seed++);
    const std::string path = "model";
    fs::remove_all(path);
    const StoreOrder by_length{"length",
                               [](const StoreKey&, const StoreValue& v) { return StoreOrderValue(v.text().size()); }};
    StoreOptions options;
    options.shard_bytes = std::uint64_t{64} << (10 + chance.below(5));
    options.codec = chance.one_in(3) ? "zstd" : chance.one_in(3) ? "lz4" : "plain";
    options.group_values = 1 + chance.below(500);
    if (chance.one_in(2)) {
      options.orders = {by_length};
    }
    std::optional<Store> store(Store::open(path, StoreMode::create, options));
    Model model;
    for (int step = 0; step < 3000 && !testing::Test::HasFatalFailure(); ++step) {
      const std::size_t what = chance.below(1000);
      if (what < 600) {
        const StoreKey key = chance.key();
        const std::string value = chance.value();
        store->put(key, value);
        model[key] = value;
      } else if (what < 750) {
        const StoreKey key = chance.key();
        ASSERT_EQ(store->erase(key), model.erase(key) > 0);
      } else if (what < 900) {
        const StoreKey key = chance.key();
        const auto found = model.find(key);
        ASSERT_EQ(store->find<std::string>(key),
                  found == model.end() ? std::nullopt : std::optional<std::string>(found->second));
      } else if (what < 950) {
        Model after = model;
        {
          StoreBatch batch = store->batch();
          for (std::size_t i = chance.below(50); i > 0; --i) {
            const StoreKey key = chance.key();
            if (chance.one_in(3)) {
              batch.erase(key);
              after.erase(key);
            } else {
              batch.put(key, after[key] = chance.value());
            }
          }
          if (chance.one_in(2)) {
            batch.commit();
            model = after;
          }
        }
      } else if (what < 960) {
        store->commit();
      } else if (what < 970) {
        const StoreKey from = chance.key();
        const bool reverse = chance.one_in(2);
        std::vector<StoreKey> keys;
        for (const StoreKey& key : store->keys({.from = from, .reverse = reverse})) {
          keys.push_back(key);
        }
        if (reverse) {
          std::reverse(keys.begin(), keys.end());
        }
        auto expected = model.lower_bound(from);
        for (const StoreKey& key : keys) {
          ASSERT_EQ(key, expected->first);
          ++expected;
        }
        ASSERT_EQ(expected, model.end());
      } else if (what < 980) {
        store->vacuum({.dead_share = static_cast<double>(chance.below(10)) / 20});
      } else if (what < 985) {
        store->close();
        store.emplace(Store::open(path, StoreMode::read_write, options));
      } else if (what < 988) {
        expect_equal(*store, model);
      } else if (what < 990) {
        store->close();
        if (chance.one_in(2)) {
          fs::remove(path + "/index.lmdb");
        }
        const StoreReport report = Store::recover(path);
        ASSERT_TRUE(report.good()) << report.problems[0];
        store.emplace(Store::open(path, StoreMode::read_write, options));
        expect_equal(*store, model);
      } else if (what < 992) {
        store->compact_to("model.store");
        expect_equal(Store::open("model.store", StoreMode::read_only), model);
      } else if (what < 994 && options.codec == "zstd" && model.size() > 200) {
        try {
          store->train_dictionary(1000, 4096);
        } catch (const Error& error) {
          ASSERT_EQ(error.code(), Errc::invalid_argument) << error.what();  // too little to learn from
        }
      } else if (what < 996) {
        const StoreReport report = store->check();
        ASSERT_TRUE(report.good()) << report.problems[0];
      } else if (!options.orders.empty()) {
        std::size_t before = 0;
        std::size_t count = 0;
        for (const StoreItem& item : store->by_order("length")) {
          ASSERT_GE(item.value.text().size(), before);
          before = item.value.text().size();
          ++count;
        }
        ASSERT_EQ(count, model.size());
      }
    }
    expect_equal(*store, model);
    const StoreReport report = store->check();
    ASSERT_TRUE(report.good()) << report.problems[0];
  } while (Clock::now() < until && !testing::Test::HasFatalFailure());
}

// --- Crashes ---------------------------------------------------------------------------------------------------------

/// The writes of commit `number`, always the same. One of them is the number itself.
void commit_of(unsigned seed, int number,
               const std::function<void(const StoreKey& key, std::optional<std::string>)>& write) {
  Chance chance(seed * 1'000'003 + static_cast<unsigned>(number));
  for (std::size_t i = chance.below(60); i > 0; --i) {
    const StoreKey key = chance.key();
    write(key, chance.one_in(4) ? std::nullopt : std::optional(chance.value()));
  }
  write("number", std::to_string(number));
}

/// Writes commit after commit, from `number` on, until it is killed; reports each that has returned.
[[noreturn]] void write_until_killed(const std::string& path, unsigned seed, int number, int tell) {
  try {
    Chance chance(seed);
    StoreOptions options;
    options.shard_bytes = 128 << 10;
    Store store = Store::open(path, StoreMode::create, options);
    for (;; ++number) {
      StoreBatch batch = store.batch();
      commit_of(seed, number, [&](const StoreKey& key, std::optional<std::string> value) {
        if (value) {
          batch.put(key, *value);
        } else {
          batch.erase(key);
        }
      });
      batch.commit();
      if (::write(tell, &number, sizeof number) != sizeof number) {
        break;
      }
      if (chance.one_in(5)) {
        store.vacuum({.dead_share = 0.2});
      }
    }
  } catch (const std::exception& error) {
    ::write(2, error.what(), std::strlen(error.what()));
  }
  std::_Exit(3);
}

TEST(StoreModel, SurvivesKill) {
  const Clock::time_point until =
      Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds()));
  const std::string path = "killed";
  fs::remove_all(path);
  const unsigned seed = first_seed();
  Chance chance(seed + 77);
  Model model;  // as of commit `number`
  int number = 0;
  const auto advance = [&](int to) {
    while (number < to) {
      commit_of(seed, ++number, [&](const StoreKey& key, std::optional<std::string> value) {
        if (value) {
          model[key] = *value;
        } else {
          model.erase(key);
        }
      });
    }
  };
  int crashes = 0;
  do {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    const pid_t child = ::fork();
    if (child == 0) {
      write_until_killed(path, seed, number + 1, ends[1]);
    }
    ::close(ends[1]);
    std::this_thread::sleep_for(std::chrono::microseconds(chance.below(40'000)));
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the writer ended by itself: " << WEXITSTATUS(status);
    int told = number;
    for (int next = 0; ::read(ends[0], &next, sizeof next) == sizeof next;) {
      told = next;
    }
    ::close(ends[0]);
    ++crashes;
    if (!fs::exists(path + "/index.lmdb")) {
      ASSERT_EQ(told, 0);
      continue;
    }
    if (chance.one_in(4)) {  // and then the index is lost as well
      fs::remove(path + "/index.lmdb");
      bool shards = false;
      for (const auto& file : fs::directory_iterator(path)) {
        shards = shards || file.path().extension() == ".shard";
      }
      if (shards) {
        const StoreReport report = Store::recover(path);
        ASSERT_EQ(report.lost_bytes, 0U) << report.problems[0];
      }
    }
    Store store = Store::open(path);
    const auto holds_whole_commits = [&] {
      const auto stored = store.find<std::string>("number");
      const int found = stored ? std::stoi(*stored) : 0;
      ASSERT_GE(found, std::max(told, number));
      ASSERT_LE(found, told + 1);
      advance(found);
      expect_equal(store, model);
    };
    holds_whole_commits();
    const StoreReport report = store.check();
    ASSERT_TRUE(report.good()) << report.problems[0];
    if (chance.one_in(3)) {
      store.vacuum({.dead_share = 0.1});
      holds_whole_commits();  // the first to write takes over a commit that was whole and not in the index
    }
  } while (Clock::now() < until && !testing::Test::HasFatalFailure());
  EXPECT_GT(crashes, 5);
  EXPECT_GT(number, 20);
}

// --- Readers with a writer -------------------------------------------------------------------------------------------

std::string versioned(int key, int version) {
  std::string text = std::to_string(key) + ':' + std::to_string(version) + ':';
  text.resize(100 + static_cast<std::size_t>(key * 37 % 3000), static_cast<char>('a' + version % 26));
  return text;
}

[[noreturn]] void read_until_told(const std::string& path, unsigned seed, int keys, pid_t parent) {
  try {
    const Store store = Store::open(path, StoreMode::read_only);
    Chance chance(seed);
    while (!fs::exists(path + "/stop")) {
      if (::getppid() != parent) {
        std::_Exit(15);
      }
      for (int i = 0; i < 300; ++i) {
        const int key = static_cast<int>(chance.below(static_cast<std::size_t>(keys)));
        const auto text = store.find<std::string>(key);
        if (!text) {
          std::_Exit(10);
        }
        const int version = std::stoi(text->substr(text->find(':') + 1));
        if (*text != versioned(key, version)) {
          std::_Exit(11);
        }
      }
      int count = 0;
      std::optional<int> seen;
      for (const StoreItem& item : store.items()) {  // one commit writes all
        const std::string text(item.value.text());
        const int version = std::stoi(text.substr(text.find(':') + 1));
        if (text != versioned(static_cast<int>(item.key.integer()), version) || (seen && *seen != version)) {
          std::_Exit(12);
        }
        seen = version;
        ++count;
      }
      if (count != keys) {
        std::_Exit(13);
      }
    }
    std::_Exit(0);
  } catch (const std::exception& error) {
    ::write(2, error.what(), std::strlen(error.what()));
  }
  std::_Exit(14);
}

TEST(StoreModel, EightReadersWithAWriterAndAVacuum) {
  const std::string path = "readers";
  fs::remove_all(path);
  constexpr int keys = 200;
  {
    Store store = Store::open(path, StoreMode::create, {.shard_bytes = 256 << 10});
    StoreBatch batch = store.batch();
    for (int key = 0; key < keys; ++key) {
      batch.put(key, versioned(key, 0));
    }
    batch.commit();
  }
  std::vector<pid_t> readers;
  const pid_t parent = ::getpid();
  for (unsigned i = 0; i < 8; ++i) {
    const pid_t child = ::fork();
    if (child == 0) {
      read_until_told(path, i, keys, parent);
    }
    readers.push_back(child);
  }
  {
    Store store = Store::open(path);
    std::atomic<bool> done{false};
    std::thread vacuum([&] {
      while (!done) {
        store.vacuum({.dead_share = 0.1});
        std::this_thread::sleep_for(std::chrono::milliseconds(3));
      }
    });
    const Clock::time_point until = Clock::now() + std::chrono::seconds(2);
    int version = 0;
    do {
      ++version;
      StoreBatch batch = store.batch();
      for (int key = 0; key < keys; ++key) {
        batch.put(key, versioned(key, version));
      }
      batch.commit();
    } while (Clock::now() < until);
    done = true;
    vacuum.join();
    EXPECT_GT(version, 10);
    const StoreReport report = store.check();
    EXPECT_TRUE(report.good()) << report.problems[0];
  }
  fs::create_directory(path + "/stop");
  for (const pid_t reader : readers) {
    int status = 0;
    ::waitpid(reader, &status, 0);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << WEXITSTATUS(status);
  }
}

}  // namespace
}  // namespace stele

// Vacuums: what they join and keep; ended early, killed, and with writers.

#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <map>
#include <random>
#include <thread>

#include "store/support.hpp"

namespace stele {
namespace {

namespace fs = std::filesystem;
using test::error_of;
using test::fresh;

TEST(StoreVacuum, AVacuumJoinsShardsThatAreSmall) {
  const std::string path = fresh("joined");
  constexpr std::uint64_t shard_bytes = 64 << 10;
  std::map<int, std::string> model;
  std::uint64_t bytes = 0;
  {
    Store store = Store::open(path, StoreMode::create, {.shard_bytes = shard_bytes});
    for (int i = 0; i < 3000; ++i) {
      const int key = i * 7919 % 313;
      store.put(key, model[key] = std::to_string(i) + std::string(static_cast<std::size_t>(i * 31 % 5000), 'x'));
      if (i % 11 == 10) {
        store.erase(key);
        model.erase(key);
      }
      store.commit();
    }
    const std::size_t before = store.stats().shards.size();
    EXPECT_GT(before, 60U);
    store.vacuum();
    const StoreStats stats = store.stats();
    for (const auto& [key, text] : model) {
      bytes += text.size();
    }
    EXPECT_LE(stats.shards.size(), 2 * bytes / shard_bytes + 2);
    EXPECT_LT(stats.shards.size(), before / 4);
    std::uint64_t files = 0;
    for (const auto& file : fs::directory_iterator(path)) {
      files += file.path().extension() == ".shard" ? 1 : 0;
    }
    EXPECT_EQ(files, stats.shards.size());
    const std::size_t joined = stats.shards.size();
    store.vacuum();  // nothing to do
    EXPECT_EQ(store.stats().shards.size(), joined);
    store.put(1000, model[1000] = "later");
  }
  expect_whole(path, model);
  fs::remove(path + "/index.lmdb");
  EXPECT_TRUE(Store::recover(path).good());
  expect_whole(path, model);  // and what was erased is not there
}

TEST(StoreVacuum, AVacuumKeepsTheOrderOfInsertion) {
  const std::string path = fresh("order");
  Store store = Store::open(path, StoreMode::create, {.shard_bytes = 64 << 10});
  for (int i = 0; i < 200; ++i) {
    store.put(i, std::string(3000, 'x'));
  }
  for (int i = 0; i < 200; i += 3) {
    store.put(i, "again");
  }
  store.commit();
  std::vector<std::int64_t> before;
  for (const StoreItem& item : store.by_insertion()) {
    before.push_back(item.key.integer());
  }
  store.vacuum({.dead_share = 0});
  std::vector<std::int64_t> after;
  for (const StoreItem& item : store.by_insertion()) {
    after.push_back(item.key.integer());
  }
  EXPECT_EQ(after, before);
}

TEST(StoreVacuum, WhatIsPutDuringAVacuumIsNotAppendedToAShardThatGoes) {
  const std::string path = fresh("vacuum_puts");
  std::map<int, std::string> model;
  {
    Store store = Store::open(path, StoreMode::create, {.shard_bytes = 128 << 10});
    for (int i = 0; i < 40; ++i) {
      store.put(i, model[i] = std::string(5000, static_cast<char>('a' + i % 26)));
    }
    for (const int i : {0, 38, 39}) {  // dead bytes in both shards
      store.put(i, model[i] = "short");
    }
    store.commit();
    ASSERT_EQ(store.stats().shards.size(), 2U);
    int next = 100;
    store.vacuum({.dead_share = 0, .progress = [&](std::uint64_t, std::uint64_t) {
                    store.put(next, model[next] = "put meanwhile");
                    ++next;
                    return true;
                  }});
    store.commit();
  }
  expect_whole(path, model);
  fs::remove(path + "/index.lmdb");
  EXPECT_TRUE(Store::recover(path).good());
  expect_whole(path, model);
}

TEST(StoreVacuum, AVacuumsProgressMayNotEndWriting) {
  Store store = Store::open(fresh("vacuum_calls"));
  const auto fill = [&] {
    for (int i = 0; i < 100; ++i) {
      store.put(i % 50, i);
    }
  };
  for (const std::function<void()>& call :
       std::vector<std::function<void()>>{[&] { store.vacuum(); }, [&] { store.release(); }, [&] { store.close(); }}) {
    fill();
    EXPECT_EQ(error_of([&] {
                store.vacuum({.dead_share = 0, .progress = [&](std::uint64_t, std::uint64_t) {
                                call();
                                return true;
                              }});
              }).code(),
              Errc::invalid_argument);
  }
  fill();
  store.vacuum({.dead_share = 0, .progress = [&](std::uint64_t, std::uint64_t) {
                  store.put("written", "meanwhile");
                  StoreBatch batch = store.batch();
                  batch.put("batch", 1);
                  batch.commit();
                  EXPECT_EQ(store.get<int>(7), 57);
                  return true;
                }});
  EXPECT_EQ(store.size(), 52U);
  EXPECT_TRUE(store.check().good());
  fill();
  EXPECT_THROW(store.vacuum({.dead_share = 0, .progress = [](std::uint64_t, std::uint64_t) -> bool { throw 1; }}), int);
  store.vacuum({.dead_share = 0});
  EXPECT_EQ(store.size(), 52U);
  EXPECT_TRUE(store.check().good());
}

TEST(StoreVacuum, ProgramsKilledInTheMiddleOfCareLoseNothing) {
  const std::string path = fresh("killed");
  const std::string codec = test::has_codec("zstd") ? "zstd" : "plain";
  std::map<int, std::string> model;
  const auto text = [](int key, int version) {
    return "a text that resembles the others, number " + std::to_string(key) + " version " + std::to_string(version) +
           std::string(static_cast<std::size_t>(key % 7) * 300, 'x');
  };
  StoreOptions options;
  options.shard_bytes = 64 << 10;
  options.codec = codec;
  std::mt19937 random(5);
  for (int round = 0; round < (test::sanitized ? 10 : 40); ++round) {
    {
      Store store = Store::open(path, StoreMode::create, options);
      for (int i = 0; i < 200; ++i) {
        const int key = static_cast<int>(random() % 500);
        store.put(key, model[key] = text(key, round));
      }
    }
    for (int crash = 0; crash < 2; ++crash) {  // and once more before anybody cleans up
      const pid_t child = ::fork();
      ASSERT_GE(child, 0);
      if (child == 0) {
        try {
          for (;;) {
            if (round % 3 == 0) {
              Store::recover(path);
            }
            Store store = Store::open(path, StoreMode::read_write, options);
            store.vacuum({.dead_share = 0.01});
            if (codec == "zstd" && model.size() > 100) {
              store.train_dictionary(500, 4000);
            }
            store.compact_to(path + ".compact");
          }
        } catch (const std::exception& error) {
          std::fprintf(stderr, "%s\n", error.what());
        }
        std::_Exit(1);
      }
      std::this_thread::sleep_for(std::chrono::microseconds(random() % 40'000));
      ::kill(child, SIGKILL);
      int status = 0;
      ::waitpid(child, &status, 0);
      ASSERT_TRUE(WIFSIGNALED(status));
    }
    if (round % 2 == 0) {
      fs::remove(path + "/index.lmdb");
      const StoreReport report = Store::recover(path);
      EXPECT_EQ(report.values, model.size()) << round;
    }
    expect_whole(path, model);
    if (fs::exists(path + ".compact")) {
      const Store compact = Store::open(path + ".compact", StoreMode::read_only);
      EXPECT_TRUE(compact.check().good());
    }
    ASSERT_FALSE(HasFailure()) << round;
  }
}

}  // namespace
}  // namespace stele

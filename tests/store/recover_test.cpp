// recover(), and errors of a store with missing or replaced shards and dictionaries.

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>

#include "io/system.hpp"
#include "store/support.hpp"

namespace stele {
namespace {

namespace fs = std::filesystem;
using test::error_of;
using test::fresh;

TEST(StoreRecover, RecoveryAfterAVacuumOfTheShardThatEndsACommitKeepsItsOtherParts) {
  const std::string path = fresh("part");
  std::map<int, std::string> model;
  {
    Store store = Store::open(path, StoreMode::create, {.shard_bytes = 128 << 10});
    for (int i = 0; i < 40; ++i) {  // one commit in two shards, the second with a value that is overwritten
      store.put(i, model[i] = std::string(5000, static_cast<char>('a' + i % 26)));
    }
    store.put(39, model[39] = "again");
    store.commit();
    ASSERT_EQ(store.stats().shards.size(), 2U);
    EXPECT_GT(store.vacuum({.dead_share = 0}), 0U);
  }
  fs::remove(path + "/index.lmdb");
  const StoreReport report = Store::recover(path);
  EXPECT_EQ(report.values, model.size());
  expect_whole(path, model);
}

/// How the system writes when a process is killed meanwhile: whole pages, and no more.
bool cut_off_writes = false;
ssize_t write_some_pages(int fd, const void* from, std::size_t count, off_t offset) {
  const std::size_t pages = (static_cast<std::size_t>(offset) + count) / 4096 * 4096;
  if (!cut_off_writes || pages <= static_cast<std::size_t>(offset)) {
    return ::pwrite(fd, from, count, offset);
  }
  [[maybe_unused]] const ssize_t written = ::pwrite(fd, from, pages - static_cast<std::size_t>(offset), offset);
  std::_Exit(7);
}

TEST(StoreRecover, RecordsThatAKilledVacuumCutOffAreNoLoss) {
  const std::string path = fresh("cut");
  std::map<int, std::string> model;
  {
    Store store = Store::open(path, StoreMode::create, {.shard_bytes = 64 << 10});
    for (int i = 0; i < 300; ++i) {
      store.put(i % 150, model[i % 150] = std::string(1000, static_cast<char>('a' + i % 26)));
      if (i % 10 == 9) {
        store.commit();
      }
    }
    store.commit();
    ASSERT_GT(store.stats().shards.size(), 4U);
  }
  std::size_t shards = 0;
  ASSERT_EQ(in_child([&] {
              Store store = Store::open(path, StoreMode::read_write, {.shard_bytes = 64 << 10});
              system_calls().pwrite = write_some_pages;
              cut_off_writes = true;
              store.vacuum({.dead_share = 0.1});
              return 0;
            }),
            7);
  for (const auto& entry : fs::directory_iterator(path)) {
    shards += entry.path().extension() == ".shard" && entry.file_size() % 4096 == 0 ? 1 : 0;
  }
  ASSERT_EQ(shards, 1U);  // the one that the vacuum had begun
  fs::remove(path + "/index.lmdb");
  const StoreReport report = Store::recover(path);
  EXPECT_TRUE(report.good()) << report.problems[0];
  EXPECT_EQ(report.lost_bytes, 0U);
  EXPECT_EQ(report.values, model.size());
  expect_whole(path, model);
}

TEST(StoreRecover, RecoveryAfterAVacuumThatEndedEarlyFindsTheLastValues) {
  const std::string path = fresh("ranks");
  std::map<int, std::string> model;
  {
    StoreOptions options;
    options.shard_bytes = std::uint64_t{256} << 20;
    Store store = Store::open(path, StoreMode::create, options);
    for (int i = 0; i < 80; ++i) {
      store.put(i, model[i] = std::string(1 << 20, static_cast<char>('a' + i % 26)));
    }
    store.put(0, model[0] = "short");
    store.commit();
    store.vacuum({.dead_share = 0, .progress = [](std::uint64_t, std::uint64_t) { return false; }});
    store.put(1000, model[1000] = "goes to the shard that the vacuum has begun");
    store.commit();
    store.vacuum({.dead_share = 0.1});  // the rest of the first one
    store.put(79, model[79] = "the last value");
    store.erase(78);
    model.erase(78);
    store.commit();
  }
  fs::remove(path + "/index.lmdb");
  EXPECT_TRUE(Store::recover(path).good());
  expect_whole(path, model);
}

TEST(StoreRecover, RecoveryPassesOverFoldersAndOtherFilesWithNamesOfShards) {
  const std::string path = fresh("names");
  std::map<int, std::string> model;
  {
    Store store = Store::open(path);
    store.put(1, model[1] = "one");
  }
  fs::create_directory(path + "/00000007.shard");
  std::ofstream(path + "/00000008.shard") << "short";
  std::ofstream(path + "/4294967295.shard") << std::string(1000, 'x');
  std::ofstream(path + "/dictionary-9.zdict.tmp") << "left of a program that was killed";
  fs::remove(path + "/index.lmdb");
  const StoreReport report = Store::recover(path);
  EXPECT_FALSE(report.good());
  EXPECT_LT(report.lost_bytes, 10'000U);
  EXPECT_EQ(report.values, 1U);
  expect_whole(path, model);
  {
    Store store = Store::open(path);
    store.put(2, model[2] = "two");
  }
  expect_whole(path, model);
}

TEST(StoreRecover, RecoveryTakesNoDictionaryThatIsNotThere) {
  if (!test::has_codec("zstd")) {
    GTEST_SKIP();
  }
  const std::string path = fresh("no_dictionary");
  std::map<int, std::string> model;
  {
    Store store = Store::open(path, StoreMode::create, {.codec = "zstd"});
    store.put(1, model[1] = std::string(1000, 'x'));
  }
  for (const char* name :
       {"/dictionary-3.zdict.part", "/dictionary-x.zdict", "/dictionary-18446744073709551615.zdict"}) {
    std::ofstream(path + name) << "none";
  }
  fs::remove(path + "/index.lmdb");
  Store::recover(path);
  {
    Store store = Store::open(path);
    store.put(2, model[2] = std::string(1000, 'y'));
  }
  expect_whole(path, model);
}

TEST(StoreRecover, ShardsThatRecoveryCouldNotUseAreNotRemovedByTheNextWriter) {
  const std::string path = fresh("not_removed");
  {
    Store store = Store::open(path, StoreMode::create, {.shard_bytes = 64 << 10});
    for (int i = 0; i < 40; ++i) {
      store.put(i, std::string(9000, 'x'));
    }
  }
  const std::string shard = path + "/00000002.shard";
  const std::uint64_t size = fs::file_size(shard);
  {
    std::fstream file(shard, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(40);
    file.put('!');
  }
  fs::remove(path + "/index.lmdb");
  EXPECT_FALSE(Store::recover(path).good());
  Store store = Store::open(path);
  store.put(1000, "next");
  store.close();
  ASSERT_TRUE(fs::exists(shard));
  EXPECT_EQ(fs::file_size(shard), size);
}

TEST(StoreRecover, AMissingShardIsDamageAndNoMissingKey) {
  const std::string path = fresh("missing_shard");
  {
    Store(Store::open(path)).put("a", 1);
  }
  fs::remove(path + "/00000001.shard");
  const Store store = Store::open(path, StoreMode::read_only);
  EXPECT_EQ(error_of([&] { static_cast<void>(store.get<int>("a")); }).code(), Errc::damaged);
  EXPECT_EQ(error_of([&] { static_cast<void>(store.items()); }).code(), Errc::damaged);
}

TEST(StoreRecover, AMissingDictionaryIsDamageAndNoMissingKey) {
  if (!test::has_codec("zstd")) {
    GTEST_SKIP();
  }
  const std::string path = fresh("missing_dictionary");
  {
    Store store = Store::open(path, StoreMode::create, {.codec = "zstd"});
    for (int i = 0; i < 500; ++i) {
      store.put(i, "a value like the others, but for its number " + std::to_string(i));
    }
    store.train_dictionary();
    store.put("a", "a value like the others, but for its number 9999");
  }
  fs::remove(path + "/dictionary-1.zdict");
  const Store store = Store::open(path, StoreMode::read_only);
  EXPECT_EQ(error_of([&] { static_cast<void>(store.get<std::string>("a")); }).code(), Errc::damaged);
  EXPECT_EQ(store.get<std::string>(77), "a value like the others, but for its number 77");
}

TEST(StoreRecover, ALinkInThePlaceOfAShardIsNotCut) {
  const std::string path = fresh("link");
  {
    Store(Store::open(path)).put(1, "one");
  }
  const std::string shard = path + "/00000001.shard";
  const std::string mine(10'000, 'm');
  std::ofstream("link_target") << mine;
  fs::remove(shard);
  fs::create_symlink(fs::absolute("link_target"), shard);
  try {
    Store store = Store::open(path);
    store.put(2, "two");
    store.close();
  } catch (const Error&) {
  }
  EXPECT_EQ(fs::file_size("link_target"), mine.size());
  EXPECT_EQ(test::content("link_target").size(), mine.size());
}

}  // namespace
}  // namespace stele

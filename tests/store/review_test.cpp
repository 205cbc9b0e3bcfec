// The store in difficult situations: writes undone while they are read, vacuums that stop early, forks, calls of the
// store from its own callbacks.

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <thread>

#include "stele/store.hpp"
#include "support/test_support.hpp"

namespace stele {
namespace {

namespace fs = std::filesystem;
using test::error_of;
using test::fresh;

constexpr int fine = 0;
constexpr int wrong = 1;

/// Runs `action` in a child; its result, or -1 where a signal ended it.
int in_child(const std::function<int()>& action) {
  const pid_t child = ::fork();
  if (child == 0) {
    int result = 99;
    try {
      result = action();
    } catch (const std::exception& error) {
      std::fprintf(stderr, "%s\n", error.what());
    }
    std::_Exit(result);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void expect_whole(const std::string& path, const std::map<int, std::string>& model) {
  const Store store = Store::open(path, StoreMode::read_only);
  for (const auto& [key, text] : model) {
    const auto found = store.find<std::string>(key);
    ASSERT_TRUE(found) << key;
    EXPECT_TRUE(*found == text) << key << ": " << found->substr(0, 20);
  }
  EXPECT_EQ(store.size(), model.size());
  const StoreReport report = store.verify();
  EXPECT_TRUE(report.good()) << report.problems[0];
  std::size_t count = 0;
  for (const StoreItem& item : store.by_insertion()) {
    EXPECT_TRUE(model.contains(static_cast<int>(item.key.integer())));
    ++count;
  }
  EXPECT_EQ(count, model.size());
}

// --- Recovery --------------------------------------------------------------------------------------------------------

TEST(StoreReview, RecoveryAfterAVacuumOfTheShardThatEndsACommitKeepsItsOtherParts) {
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

TEST(StoreReview, RecoveryAfterAVacuumThatEndedEarlyFindsTheLastValues) {
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

TEST(StoreReview, RecoveryPassesOverFoldersAndOtherFilesWithNamesOfShards) {
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

TEST(StoreReview, RecoveryTakesNoDictionaryThatIsNotThere) {
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

TEST(StoreReview, ShardsThatRecoveryCouldNotUseAreNotRemovedByTheNextWriter) {
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

// --- Vacuums ---------------------------------------------------------------------------------------------------------

TEST(StoreReview, AVacuumJoinsShardsThatAreSmall) {
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

TEST(StoreReview, AVacuumKeepsTheOrderOfInsertion) {
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

// --- What waits to be committed --------------------------------------------------------------------------------------

TEST(StoreReview, KeysThatWaitInAnyOrderLeadToTheLastValue) {
  const std::string path = fresh("waiting");
  Store store = Store::open(path);
  std::map<int, std::string> model;
  std::mt19937 random(9);
  for (int round = 0; round < 30; ++round) {
    const bool ascending = round % 3 == 0;
    for (int i = 0; i < 400; ++i) {
      const int key = ascending ? round * 40 + i : static_cast<int>(random() % 2000);
      if (i % 7 == 6) {
        EXPECT_EQ(store.erase(key), model.erase(key) > 0);
      } else {
        store.put(key, model[key] = std::to_string(round) + '/' + std::to_string(i));
      }
      if (i % 13 == 0) {
        const auto wanted = model.find(key);
        EXPECT_EQ(store.find<std::string>(key), wanted == model.end() ? std::nullopt : std::optional(wanted->second));
        EXPECT_FALSE(store.contains(5000 + i));
      }
    }
    store.commit();
  }
  store.close();
  expect_whole(path, model);
}

// --- What is looked at while it is undone ----------------------------------------------------------------------------

TEST(StoreReview, AValueOfABatchThatIsUndoneCanStillBeLookedAt) {
  const std::string path = fresh("undone_view");
  EXPECT_EQ(in_child([&] {
              Store store = Store::open(path);
              store.put("kept", 1);
              store.commit();
              std::optional<StoreValue> value;
              {
                StoreBatch batch = store.batch();
                batch.put("text", std::string(300'000, 'x'));
                value = store.view("text");
              }
              const bool same = value->text() == std::string(300'000, 'x');
              store.put("other", std::string(300'000, 'y'));
              store.commit();
              return same && value->text() == std::string(300'000, 'x') ? fine : wrong;
            }),
            fine);
}

TEST(StoreReview, ReadersBesideBatchesThatAreUndone) {
  const std::string path = fresh("undone_readers");
  EXPECT_EQ(in_child([&] {
              Store store = Store::open(path);
              store.put("kept", std::string(5000, 'k'));
              store.commit();
              std::atomic<bool> done{false};
              std::atomic<int> bad{0};
              std::vector<std::thread> readers;
              for (int i = 0; i < 2; ++i) {
                readers.emplace_back([&] {
                  while (!done) {
                    try {
                      const auto found = store.find<std::string>("text");
                      bad += found && *found != std::string(100'000, 'x') ? 1 : 0;
                      bad += store.get<std::string>("kept").size() == 5000 ? 0 : 1;
                    } catch (const Error& error) {
                      std::fprintf(stderr, "%s\n", error.what());
                      ++bad;
                    }
                  }
                });
              }
              for (int i = 0; i < 300; ++i) {
                StoreBatch batch = store.batch();
                batch.put("text", std::string(100'000, 'x'));
                std::this_thread::sleep_for(std::chrono::microseconds(200));
              }
              done = true;
              for (std::thread& reader : readers) {
                reader.join();
              }
              return bad == 0 ? fine : wrong;
            }),
            fine);
}

// --- Lives of stores and batches -------------------------------------------------------------------------------------

TEST(StoreReview, AStoreThatIsAssignedToCommitsFirst) {
  const std::string path = fresh("assigned");
  Store store = Store::open(path);
  store.put("a", 1);
  store = Store::open(fresh("assigned_other"));
  EXPECT_EQ(Store::open(path, StoreMode::read_only).get<int>("a"), 1);
}

TEST(StoreReview, ABatchOfAStoreThatWasMovedEndsWithoutHarm) {
  Store store = Store::open(fresh("moved"));
  {
    StoreBatch batch = store.batch();
    batch.put("a", 1);
    const Store moved = std::move(store);
    EXPECT_EQ(error_of([&] { batch.put("b", 2); }).code(), Errc::invalid_argument);
  }
}

TEST(StoreReview, AnOpenBatchIsNotTornByRelease) {
  const std::string path = fresh("released");
  Store store = Store::open(path);
  {
    StoreBatch batch = store.batch();
    batch.put("a", 1);
    EXPECT_EQ(error_of([&] { store.release(); }).code(), Errc::invalid_argument);
    batch.put("b", 2);
    batch.commit();
  }
  EXPECT_TRUE(store.contains("a"));
  EXPECT_TRUE(store.contains("b"));
  StoreBatch batch = store.batch();
  batch.put("c", 3);
  store.close();
  EXPECT_EQ(error_of([&] { batch.put("d", 4); }).code(), Errc::invalid_argument);
  EXPECT_EQ(error_of([&] { batch.commit(); }).code(), Errc::invalid_argument);
  EXPECT_EQ(Store::open(path, StoreMode::read_only).size(), 2U);
}

TEST(StoreReview, APutBesideCloseIsKeptOrRefused) {
  const std::string path = fresh("closing");
  for (int round = 0; round < 200; ++round) {
    fs::remove_all(path);
    Store store = Store::open(path);
    store.put("first", 0);
    std::atomic<int> kept{0};
    std::thread other([&] {
      try {
        for (int i = 0;; ++i) {
          store.put(i, i);
          kept = i + 1;
        }
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), Errc::invalid_argument);
      }
    });
    store.close();
    other.join();
    ASSERT_EQ(Store::open(path).size(), static_cast<std::uint64_t>(kept) + 1);
  }
}

TEST(StoreReview, AfterAnUndoneBatchOfManyShardsTheStoreIsUsedOn) {
  const std::string path = fresh("undone_shards");
  std::map<int, std::string> model;
  {
    Store store = Store::open(path, StoreMode::create, {.durability = Durability::commit, .shard_bytes = 64 << 10});
    store.put(1, model[1] = "kept");
    store.commit();
    {
      StoreBatch batch = store.batch();
      for (int i = 0; i < 50; ++i) {
        batch.put(i, std::string(9000, 'x'));
      }
    }
    store.put(2, model[2] = "after");
    store.commit();
    store.flush();
  }
  expect_whole(path, model);
  fs::remove(path + "/index.lmdb");
  EXPECT_TRUE(Store::recover(path).good());
  expect_whole(path, model);
}

TEST(StoreReview, APutThatWasRefusedIsNotFoundByRecovery) {
  const std::string path = fresh("refused");
  std::map<int, std::string> model;
  {
    StoreOptions options;
    options.orders = {{"length", [](const Key&, const StoreValue& value) { return OrderValue(value.text().size()); }}};
    Store store = Store::open(path, StoreMode::create, options);
    store.put(1, model[1] = "first");
  }
  {
    Store store = Store::open(path);
    EXPECT_EQ(error_of([&] { store.put(1, "second"); }).code(), Errc::invalid_argument);
    EXPECT_EQ(error_of([&] { store.erase(1); }).code(), Errc::invalid_argument);
    store.drop_order("length");
    store.put(2, model[2] = "other");
  }
  expect_whole(path, model);
  fs::remove(path + "/index.lmdb");
  EXPECT_TRUE(Store::recover(path).good());
  expect_whole(path, model);
}

TEST(StoreReview, WhatIsPutDuringAVacuumIsNotAppendedToAShardThatGoes) {
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

// --- Children --------------------------------------------------------------------------------------------------------

TEST(StoreReview, AChildDoesNotKeepTheLockThatItsParentGaveUp) {
  const std::string path = fresh("fork_lock");
  Store store = Store::open(path);
  store.put("a", 1);
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(ends[1]);
    char byte;
    [[maybe_unused]] const auto got = ::read(ends[0], &byte, 1);
    std::_Exit(0);
  }
  ::close(ends[0]);
  store.close();
  EXPECT_NO_THROW(Store::open(path).put("b", 2));
  ::close(ends[1]);
  int status = 0;
  ::waitpid(child, &status, 0);
}

TEST(StoreReview, AChildThatLeavesItsCopyOfAStoreHarmsNothing) {
  const std::string path = fresh("fork_leave");
  std::map<int, std::string> model;
  auto store = std::make_unique<Store>(Store::open(path));
  for (int i = 0; i < 1000; ++i) {
    store->put(i, model[i] = std::to_string(i));
  }
  store->commit();
  store->put(1000, model[1000] = "not committed");
  auto range = std::make_unique<StoreItems>(store->items());
  auto it = range->begin();
  EXPECT_EQ(in_child([&] {
              range.reset();
              store.reset();
              return fine;
            }),
            fine);
  EXPECT_EQ(error_of([&] { Store::open(path).put("x", 1); }).code(), Errc::busy);
  for (int round = 0; round < 20; ++round) {  // pages that the range reads would be used again if it had lost its hold
    for (int i = 0; i < 1000; i += 3) {
      store->put(i, "round " + std::to_string(round));
    }
    store->commit();
  }
  std::size_t count = 0;
  for (; it != range->end(); ++it, ++count) {
    ASSERT_EQ(it->value.text(), model[static_cast<int>(it->key.integer())]);
  }
  EXPECT_EQ(count, model.size());
  range.reset();
  for (int i = 0; i < 1000; ++i) {
    if (i % 3 == 0) {
      model[i] = "round 19";
    }
    ASSERT_EQ(store->get<std::string>(i), model[i]);
  }
  store.reset();
  expect_whole(path, model);
}

TEST(StoreReview, AChildIsToldToOpenTheStoreAnewAndCan) {
  const std::string path = fresh("fork_use");
  Store store = Store::open(path);
  store.put("a", 1);
  store.commit();
  store.put("b", std::string(2000, 'b'));  // in the buffer
  EXPECT_EQ(in_child([&] {
              const auto refused = [](auto&& action) {
                try {
                  action();
                } catch (const Error& error) {
                  return std::string_view(error.what()).find("after fork()") != std::string_view::npos;
                }
                return false;
              };
              const bool all = refused([&] { static_cast<void>(store.get<int>("a")); }) &&
                               refused([&] { static_cast<void>(store.view("b")); }) &&
                               refused([&] { store.put("c", std::string(1 << 20, 'c')); }) &&
                               refused([&] { store.commit(); }) && refused([&] { store.close(); }) &&
                               refused([&] { static_cast<void>(store.contains("x")); }) &&
                               refused([&] { static_cast<void>(store.items()); });
              const Store anew = Store::open(path, StoreMode::read_only);
              return all && anew.get<int>("a") == 1 && !anew.contains("b") ? fine : wrong;
            }),
            fine);
  EXPECT_EQ(store.get<std::string>("b"), std::string(2000, 'b'));
  store.close();
  EXPECT_EQ(Store::open(path).size(), 2U);
}

// --- Calls of the store from what it calls ---------------------------------------------------------------------------

TEST(StoreReview, FunctionsOfOrdersMayNotWrite) {
  const std::string path = fresh("order_calls");
  Store* used = nullptr;
  std::function<void()> call;
  StoreOptions options;
  options.orders = {{"length", [&](const Key&, const StoreValue& value) {
                       if (call) {
                         call();
                       }
                       return OrderValue(value.bytes().size());
                     }}};
  Store store = Store::open(path, StoreMode::create, options);
  used = &store;
  store.put("before", "1");
  store.commit();
  const std::vector<std::function<void()>> calls = {
      [&] { used->put("x", "1"); },
      [&] { used->put("x", std::vector<int>(100'000)); },
      [&] { used->erase("before"); },
      [&] { used->commit(); },
      [&] { static_cast<void>(used->size()); },
      [&] { used->batch(); },
      [&] { used->vacuum(); },
      [&] { used->release(); },
      [&] { used->close(); },
      [&] { used->drop_order("length"); },
  };
  for (std::size_t i = 0; i < calls.size(); ++i) {
    call = calls[i];
    store.put("a", "22");
    EXPECT_EQ(error_of([&] { store.commit(); }).code(), Errc::invalid_argument) << i;
    call = nullptr;
    store.put("a", "333");
    store.commit();
    EXPECT_EQ(store.get<std::string>("a"), "333");
  }
  call = [&] { EXPECT_EQ(used->get<std::string>("before"), "1"); };  // reading is well
  store.put("a", "22");
  store.commit();
  call = nullptr;
  EXPECT_EQ(store.size(), 2U);
  EXPECT_TRUE(store.verify().good());
}

struct Meddler {
  std::vector<int> numbers;
  std::function<void()> call;
  static void visit(auto& v, auto& self) {
    v("numbers", self.numbers);
    if constexpr (requires { self.call(); }) {
      if (self.call) {
        self.call();
      }
    }
    std::vector<int> more(self.numbers);
    v("more", more);
  }
};

TEST(StoreReview, ATypeMayNotWriteToTheStoreWhileItIsPut) {
  const std::string path = fresh("visit_calls");
  Store store = Store::open(path);
  store.put("kept", "1");
  store.commit();
  for (const std::size_t size : {10, 4000, 10'000, 200'000, 2'000'000}) {
    Meddler value;
    value.numbers.resize(size);
    for (const std::function<void()>& call : std::vector<std::function<void()>>{
             [&] { store.put("x", "1"); }, [&] { store.put("x", std::vector<int>(50'000)); },
             [&] { store.erase("kept"); }, [&] { store.close(); }, [&] { store.release(); },
             [&] { throw std::runtime_error("of the type"); }}) {
      value.call = call;
      EXPECT_THROW(store.put("value", value), std::exception) << size;
      EXPECT_FALSE(store.contains("value"));
      store.put("between", size);
    }
    value.call = nullptr;
    store.put("value", value);
    EXPECT_EQ(store.get<Meddler>("value").numbers.size(), size);
    EXPECT_TRUE(store.erase("value"));
  }
  store.commit();
  EXPECT_EQ(store.size(), 2U);
  std::size_t count = 0;
  for (const StoreItem& item : store.by_insertion()) {
    EXPECT_TRUE(item.key == Key("kept") || item.key == Key("between"));
    ++count;
  }
  EXPECT_EQ(count, 2U);
  EXPECT_TRUE(store.verify().good());
  store.close();
  fs::remove(path + "/index.lmdb");
  const StoreReport report = Store::recover(path);
  EXPECT_TRUE(report.good());
  EXPECT_EQ(report.values, 2U);
}

TEST(StoreReview, AVacuumsProgressMayNotEndWriting) {
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
  EXPECT_TRUE(store.verify().good());
  fill();
  EXPECT_THROW(store.vacuum({.dead_share = 0, .progress = [](std::uint64_t, std::uint64_t) -> bool { throw 1; }}), int);
  store.vacuum({.dead_share = 0});
  EXPECT_EQ(store.size(), 52U);
  EXPECT_TRUE(store.verify().good());
}

TEST(StoreReview, WhatUpdateCallsMayNotWaitForOthers) {
  Store store = Store::open(fresh("update_calls"));
  store.put("n", 1);
  for (const std::function<void()>& call : std::vector<std::function<void()>>{
           [&] { store.batch(); }, [&] { store.vacuum(); }, [&] { store.release(); }, [&] { store.close(); }}) {
    EXPECT_EQ(error_of([&] { store.update<int>("n", [&](int&) { call(); }); }).code(), Errc::invalid_argument);
  }
  EXPECT_THROW(store.update<int>("n",
                                 [](int& n) {
                                   n = 5;
                                   throw 1;
                                 }),
               int);
  EXPECT_EQ(store.get<int>("n"), 1);
  EXPECT_TRUE(store.update<int>("n", [&](int& n) {  // and may read and write
    store.put("m", n);
    store.update<int>("m", [](int& m) { ++m; });
    store.commit();
    n = store.get<int>("m") + 1;
  }));
  EXPECT_EQ(store.get<int>("n"), 3);
  store.release();
}

// --- Many threads ----------------------------------------------------------------------------------------------------

TEST(StoreReview, ThreadsThatDoEverythingAtOnce) {
  const std::string path = fresh("threads");
  StoreOptions options;
  options.shard_bytes = 128 << 10;
  options.group_values = 20;
  Store store = Store::open(path, StoreMode::create, options);
  std::atomic<int> bad{0};
  std::atomic<bool> done{false};
  // thread t owns the keys t, t + 10, t + 20 …; a value begins with its key
  const auto text = [](int key, std::size_t size) {
    std::string all = std::to_string(key) + '/';
    all.resize(std::max(all.size(), size), 'x');
    return all;
  };
  const auto is_of = [](const Key& key, std::string_view value) {
    return value.substr(0, value.find('/')) == std::to_string(key.integer());
  };
  const auto guarded = [&](auto action) {
    return std::thread([&, action] {
      try {
        action();
      } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
        ++bad;
      }
    });
  };
  std::vector<std::thread> writers;
  for (int t = 0; t < 2; ++t) {
    writers.push_back(guarded([&, t] {
      for (int i = 0; i < 300; ++i) {
        const int key = t + 10 * (i % 40);
        const std::size_t size = i % 17 == 0 ? 90'000 : static_cast<std::size_t>(i * 37 % 4000);
        store.put(key, text(key, size));
        bad += store.get<std::string>(key) == text(key, size) ? 0 : 1;
        if (i % 7 == 0) {
          store.erase(key);
          bad += store.contains(key) ? 1 : 0;
        }
      }
    }));
  }
  writers.push_back(guarded([&] {
    for (int i = 0; i < 40; ++i) {
      StoreBatch batch = store.batch();
      for (int n = 0; n < 20; ++n) {
        batch.put(2 + 10 * n, text(2 + 10 * n, 500));
      }
      batch.commit();  // one that is undone takes with it what others wrote meanwhile
    }
  }));
  std::vector<std::thread> others;
  others.push_back(guarded([&] {
    while (!done) {
      store.vacuum({.dead_share = 0.1});
      store.release();
    }
  }));
  for (int t = 0; t < 2; ++t) {
    others.push_back(guarded([&] {
      const Store reader = Store::open(path, StoreMode::read_only);
      while (!done) {
        for (const Store* from : {static_cast<const Store*>(&store), &reader}) {
          for (const StoreItem& item : from->items()) {
            bad += is_of(item.key, item.value.text()) ? 0 : 1;
          }
          for (const StoreItem& item : from->sample(10, 3)) {
            bad += is_of(item.key, item.value.text()) ? 0 : 1;
          }
          for (int key = 0; key < 400; ++key) {
            const auto found = from->find<std::string>(key);
            bad += found && !is_of(key, *found) ? 1 : 0;
          }
        }
      }
    }));
  }
  for (std::thread& thread : writers) {
    thread.join();
  }
  done = true;
  for (std::thread& thread : others) {
    thread.join();
  }
  EXPECT_EQ(bad, 0);
  EXPECT_TRUE(store.verify().good());
  store.close();
  const std::uint64_t size = Store::open(path, StoreMode::read_only).size();
  fs::remove(path + "/index.lmdb");
  EXPECT_EQ(Store::recover(path).values, size);
}

TEST(StoreReview, StoresThatAreMadeAtTheSameTimeAreOne) {
  for (int round = 0; round < 20; ++round) {
    const std::string path = fresh("made_together");
    std::vector<std::thread> threads;
    std::atomic<int> made{0};
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        Store store = Store::open(path, StoreMode::create, {.wait_ms = t == 0 ? 10'000U : 0U});
        made += store.size() == 0 ? 1 : 0;
      });
    }
    for (std::thread& thread : threads) {
      thread.join();
    }
    EXPECT_EQ(made, 4);
  }
}

// --- What is missing -------------------------------------------------------------------------------------------------

TEST(StoreReview, AMissingShardIsDamageAndNoMissingKey) {
  const std::string path = fresh("missing_shard");
  {
    Store(Store::open(path)).put("a", 1);
  }
  fs::remove(path + "/00000001.shard");
  const Store store = Store::open(path, StoreMode::read_only);
  EXPECT_EQ(error_of([&] { static_cast<void>(store.get<int>("a")); }).code(), Errc::damaged);
  EXPECT_EQ(error_of([&] { static_cast<void>(store.items()); }).code(), Errc::damaged);
}

TEST(StoreReview, AMissingDictionaryIsDamageAndNoMissingKey) {
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

// --- Killed in the middle of care ------------------------------------------------------------------------------------

TEST(StoreReview, ProgramsKilledInTheMiddleOfCareLoseNothing) {
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
      EXPECT_TRUE(compact.verify().good());
    }
    ASSERT_FALSE(HasFailure()) << round;
  }
}

// --- Folders made to harm --------------------------------------------------------------------------------------------

TEST(StoreReview, ALinkInThePlaceOfAShardIsNotCut) {
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

// Batches and pending writes: rolled back while they are read, in stores that are moved, assigned, closed.

#include <unistd.h>

#include <atomic>
#include <chrono>
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

TEST(StoreBatches, PendingKeysInAnyOrderGiveTheLastValue) {
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

TEST(StoreBatches, AValueOfARolledBackBatchCanStillBeRead) {
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

TEST(StoreBatches, ReadersDuringRolledBackBatches) {
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

TEST(StoreBatches, AStoreThatIsAssignedToCommitsFirst) {
  const std::string path = fresh("assigned");
  Store store = Store::open(path);
  store.put("a", 1);
  store = Store::open(fresh("assigned_other"));
  EXPECT_EQ(Store::open(path, StoreMode::read_only).get<int>("a"), 1);
}

TEST(StoreBatches, ABatchOfAStoreThatWasMovedEndsWithoutHarm) {
  Store store = Store::open(fresh("moved"));
  {
    StoreBatch batch = store.batch();
    batch.put("a", 1);
    const Store moved = std::move(store);
    EXPECT_EQ(error_of([&] { batch.put("b", 2); }).code(), Errc::invalid_argument);
  }
}

TEST(StoreBatches, AnOpenBatchIsNotTornByRelease) {
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

TEST(StoreBatches, APutDuringCloseIsKeptOrRefused) {
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

TEST(StoreBatches, AfterAnUndoneBatchOfManyShardsTheStoreIsUsedOn) {
  const std::string path = fresh("undone_shards");
  std::map<int, std::string> model;
  {
    Store store =
        Store::open(path, StoreMode::create, {.durability = StoreDurability::commit, .shard_bytes = 64 << 10});
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

TEST(StoreBatches, APutThatWasRefusedIsNotFoundByRecovery) {
  const std::string path = fresh("refused");
  std::map<int, std::string> model;
  {
    StoreOptions options;
    options.orders = {
        {"length", [](const StoreKey&, const StoreValue& value) { return StoreOrderValue(value.text().size()); }}};
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

}  // namespace
}  // namespace stele

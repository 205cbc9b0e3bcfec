// Many threads at once, and calls of the store from its own callbacks.

#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <thread>

#include "store/support.hpp"

namespace stele {
namespace {

namespace fs = std::filesystem;
using test::error_of;
using test::fresh;

TEST(StoreThreads, FunctionsOfOrdersMayNotWrite) {
  const std::string path = fresh("order_calls");
  Store* used = nullptr;
  std::function<void()> call;
  StoreOptions options;
  options.orders = {{"length", [&](const StoreKey&, const StoreValue& value) {
                       if (call) {
                         call();
                       }
                       return StoreOrderValue(value.bytes().size());
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
  call = [&] { EXPECT_EQ(used->get<std::string>("before"), "1"); };  // reading is allowed
  store.put("a", "22");
  store.commit();
  call = nullptr;
  EXPECT_EQ(store.size(), 2U);
  EXPECT_TRUE(store.check().good());
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

TEST(StoreThreads, ATypeMayNotWriteToTheStoreWhileItIsPut) {
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
    EXPECT_TRUE(item.key == StoreKey("kept") || item.key == StoreKey("between"));
    ++count;
  }
  EXPECT_EQ(count, 2U);
  EXPECT_TRUE(store.check().good());
  store.close();
  fs::remove(path + "/index.lmdb");
  const StoreReport report = Store::recover(path);
  EXPECT_TRUE(report.good());
  EXPECT_EQ(report.values, 2U);
}

TEST(StoreThreads, WhatUpdateCallsMayNotWaitForOthers) {
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

TEST(StoreThreads, ThreadsThatDoEverythingAtOnce) {
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
  const auto is_of = [](const StoreKey& key, std::string_view value) {
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
      batch.commit();  // rolling back also drops what others wrote meanwhile
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
  EXPECT_TRUE(store.check().good());
  store.close();
  const std::uint64_t size = Store::open(path, StoreMode::read_only).size();
  fs::remove(path + "/index.lmdb");
  EXPECT_EQ(Store::recover(path).values, size);
}

TEST(StoreThreads, StoresThatAreMadeAtTheSameTimeAreOne) {
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

}  // namespace
}  // namespace stele

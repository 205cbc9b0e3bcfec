#include "stele/store.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <thread>

#include "support/test_support.hpp"

namespace stele {
namespace {

namespace fs = std::filesystem;
using test::fresh;

struct Embedding {
  std::string word;
  Array<float> vector;
  int count = 0;
  friend bool operator==(const Embedding&, const Embedding&) = default;
};

Embedding embedding(std::string word, std::uint64_t size) {
  Embedding e{std::move(word), Array<float>({size}), 7};
  for (std::uint64_t i = 0; i < size; ++i) {
    e.vector.mutable_at(i) = static_cast<float>(i) / 3;
  }
  return e;
}

TEST(Store, KeepsWhatIsPut) {
  const std::string path = fresh("basic");
  {
    Store store = Store::open(path);
    store.put("text", "hello");
    store.put("string", std::string("wörld"));
    store.put("bytes", std::vector<std::byte>{std::byte{0}, std::byte{255}});
    store.put("number", 42);
    store.put("vector", std::vector<int>{1, 2, 3});
    store.put("map", std::map<std::string, double>{{"a", 1.5}});
    store.put("small", embedding("small", 16));
    store.put("large", embedding("large", 5000));
    store.put("huge", embedding("huge", 200'000));
    store.put("empty", "");
    store.put("long", std::string(300'000, 'x'));
    EXPECT_EQ(store.get<std::string>("text"), "hello");  // not committed yet
    EXPECT_EQ(store.get<Embedding>("huge"), embedding("huge", 200'000));
    store.close();
  }
  const Store store = Store::open(path, StoreMode::read_only);
  EXPECT_EQ(store.size(), 11U);
  EXPECT_EQ(store.get<std::string>("text"), "hello");
  EXPECT_EQ(store.get<std::string>("string"), "wörld");
  EXPECT_EQ(store.get<std::vector<std::byte>>("bytes"), (std::vector<std::byte>{std::byte{0}, std::byte{255}}));
  EXPECT_EQ(store.get<int>("number"), 42);
  EXPECT_EQ(store.get<std::vector<int>>("vector"), (std::vector<int>{1, 2, 3}));
  EXPECT_EQ((store.get<std::map<std::string, double>>("map")), (std::map<std::string, double>{{"a", 1.5}}));
  EXPECT_EQ(store.get<Embedding>("small"), embedding("small", 16));
  EXPECT_EQ(store.get<Embedding>("large"), embedding("large", 5000));
  EXPECT_EQ(store.get<Embedding>("huge"), embedding("huge", 200'000));
  EXPECT_EQ(store.get<std::string>("empty"), "");
  EXPECT_EQ(store.get<std::string>("long"), std::string(300'000, 'x'));
  EXPECT_FALSE(store.find<int>("missing"));
  EXPECT_FALSE(store.contains("missing"));
  EXPECT_TRUE(store.contains("text"));
  EXPECT_ERROR(store.get<int>("missing"), Errc::not_found, "the store has no key \"missing\"");
  EXPECT_ERROR(store.get<int>("text"), Errc::type_mismatch, "");
  const StoreReport report = store.check();
  EXPECT_TRUE(report.good()) << report.problems[0];
  EXPECT_EQ(report.values, 11U);
  EXPECT_NO_THROW(store.verify());
}

TEST(Store, ArraysAreViewsOfTheMapping) {
  const std::string path = fresh("views");
  Store store = Store::open(path);
  store.put("a", embedding("a", 5000));
  store.put("raw", std::string(10'000, 'r'));
  store.commit();
  auto a = store.get<Embedding>("a");
  EXPECT_FALSE(a.vector.writable());
  const auto value = store.view("raw");
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(value->bytes().data()) % 64, 0U);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(a.vector.data()) % 64, 0U);
  store.put("a", "other");
  store.put("raw", 1);
  store.vacuum({.dead_share = 0});
  store.close();
  EXPECT_EQ(a, embedding("a", 5000));  // the mapping lives on
  EXPECT_EQ(value->text(), std::string(10'000, 'r'));
}

TEST(Store, BatchesAreAllOrNothing) {
  const std::string path = fresh("batches");
  Store store = Store::open(path);
  store.put("kept", 1);
  {
    StoreBatch batch = store.batch();
    batch.put("lost", std::string(100'000, 'l'));
    batch.put("kept", 2);
    batch.erase("kept");
    EXPECT_FALSE(store.contains("kept"));
    EXPECT_ERROR(store.commit(), Errc::invalid_argument, "a batch is open");
  }
  EXPECT_EQ(store.get<int>("kept"), 1);
  EXPECT_FALSE(store.contains("lost"));
  Store reader = Store::open(path, StoreMode::read_only);
  {
    StoreBatch batch = store.batch();
    for (int i = 0; i < 1000; ++i) {
      batch.put(i, i);
    }
    EXPECT_EQ(reader.size(), 1U);
    EXPECT_FALSE(reader.contains(5));
    batch.commit();
  }
  EXPECT_EQ(reader.size(), 1001U);
  EXPECT_EQ(reader.get<int>(999), 999);
}

TEST(Store, EraseAndUpdate) {
  const std::string path = fresh("erase");
  Store store = Store::open(path);
  store.put("n", 1);
  EXPECT_TRUE(store.update<int>("n", [](int& n) { n += 10; }));
  EXPECT_EQ(store.get<int>("n"), 11);
  EXPECT_FALSE(store.update<int>("m", [](int&) { FAIL(); }));
  EXPECT_TRUE(store.erase("n"));
  EXPECT_FALSE(store.erase("n"));
  EXPECT_EQ(store.size(), 0U);
  store.put("n", 3);
  store.commit();
  EXPECT_TRUE(store.erase("n"));
  store.close();
  EXPECT_EQ(Store::open(path, StoreMode::read_only).size(), 0U);
}

TEST(Store, OneWriterManyReaders) {
  const std::string path = fresh("writers");
  Store first = Store::open(path);
  Store second = Store::open(path);  // opening locks nothing
  first.put("a", 1);
  EXPECT_ERROR(second.put("b", 2), Errc::busy, "another writer has the store");
  EXPECT_FALSE(second.contains("a"));
  first.commit();
  EXPECT_EQ(second.get<int>("a"), 1);
  first.release();
  second.put("b", 2);
  EXPECT_ERROR(first.put("c", 3), Errc::busy, "");
  second.close();
  first.put("c", 3);
  EXPECT_EQ(first.get<int>("b"), 2);
  Store waiting = Store::open(path, StoreMode::read_write, {.wait_ms = 10'000});
  std::thread other([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    first.close();
  });
  waiting.put("d", 4);
  other.join();
  EXPECT_EQ(waiting.size(), 4U);
  EXPECT_ERROR(Store::open(path, StoreMode::read_only).put("x", 1), Errc::read_only, "opened read_only");
  EXPECT_ERROR(Store::open("no such store", StoreMode::read_write), Errc::not_found, "there is no store");
  EXPECT_ERROR(first.get<int>("a"), Errc::invalid_argument, "the store is closed");
}

TEST(Store, ShardsHaveALimit) {
  const std::string path = fresh("shards");
  Store store = Store::open(path, StoreMode::create, {.shard_bytes = 1 << 20});
  for (int i = 0; i < 100; ++i) {
    store.put(i, std::string(40'000, static_cast<char>('a' + i % 26)));
  }
  store.put("larger", std::string(3'000'000, 'L'));
  store.put("objects", embedding("larger", 1'000'000));
  store.put("after", 1);
  store.commit();
  const StoreStats stats = store.stats();
  EXPECT_GE(stats.shards.size(), 6U);
  std::size_t beyond = 0;
  for (const StoreShardStats& shard : stats.shards) {
    beyond += shard.file_bytes > (1 << 20) ? 1 : 0;
    EXPECT_EQ(shard.file_bytes, fs::file_size(path + "/0000000" + std::to_string(shard.number) + ".shard"));
  }
  EXPECT_EQ(beyond, 2U);  // each has one value larger than the limit
  EXPECT_EQ(store.get<std::string>("larger"), std::string(3'000'000, 'L'));
  EXPECT_EQ(store.get<Embedding>("objects"), embedding("larger", 1'000'000));
  EXPECT_EQ(store.get<std::string>(99), std::string(40'000, static_cast<char>('a' + 99 % 26)));
  EXPECT_TRUE(store.check().good());
}

TEST(Store, GetMany) {
  const std::string path = fresh("many");
  Store store = Store::open(path);
  for (int i = 0; i < 1000; ++i) {
    store.put(i, i * i);
  }
  std::vector<StoreKey> keys;
  for (int i = 2000; i > -10; i -= 7) {
    keys.push_back(i);
  }
  const auto values = store.get_many<int>(keys);
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const std::int64_t key = keys[i].integer();
    EXPECT_EQ(values[i], key >= 0 && key < 1000 ? std::optional<int>(key * key) : std::nullopt);
  }
}

TEST(Store, CodecsAndDictionaries) {
  for (const Codecs all; const auto& codec : all.all()) {
    const std::string path = fresh("codec_" + std::string(codec->name()));
    StoreOptions options;
    options.codec = codec->name();
    Store store = Store::open(path, StoreMode::create, options);
    for (int i = 0; i < 200; ++i) {
      store.put(i, "{\"user\": " + std::to_string(i) + ", \"country\": \"Iceland\", \"segment\": \"returning\"}");
    }
    store.put("zeros", std::string(1'000'000, '0'));
    store.put("object", embedding("o", 100'000));
    store.put("small", embedding("s", 1500));
    store.put("noise", std::vector<std::uint64_t>{1, 2, 3});
    store.commit();
    const std::uint64_t before = store.stats().live_bytes;
    EXPECT_LT(before, 700'000U);
    if (codec->name() == "zstd") {
      store.train_dictionary();
      for (int i = 0; i < 200; ++i) {
        store.put(i, store.get<std::string>(i));
      }
      store.commit();
      EXPECT_LT(store.stats().live_bytes, before);
    } else {
      EXPECT_ERROR(store.train_dictionary(), Errc::unsupported, "zstd");
    }
    store.close();
    const Store reader = Store::open(path, StoreMode::read_only);
    EXPECT_EQ(reader.stats().codec, codec->name());
    for (int i = 0; i < 200; ++i) {
      EXPECT_EQ(reader.get<std::string>(i),
                "{\"user\": " + std::to_string(i) + ", \"country\": \"Iceland\", \"segment\": \"returning\"}");
    }
    EXPECT_EQ(reader.get<std::string>("zeros"), std::string(1'000'000, '0'));
    EXPECT_EQ(reader.get<Embedding>("object"), embedding("o", 100'000));
    EXPECT_EQ(reader.get<Embedding>("small"), embedding("s", 1500));
    EXPECT_TRUE(reader.check().good());
    reader.compact_to(path + ".store");
    const Store compact = Store::open(path + ".store", StoreMode::read_only);
    EXPECT_EQ(compact.get<std::string>(77), reader.get<std::string>(77));
    EXPECT_EQ(compact.get<Embedding>("object"), embedding("o", 100'000));
    EXPECT_TRUE(compact.check().good());
  }
}

TEST(Store, VacuumGivesSpaceBack) {
  const std::string path = fresh("vacuum");
  Store store = Store::open(path, StoreMode::create, {.shard_bytes = 1 << 20});
  std::map<int, std::string> model;
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 500; ++i) {
      if ((i + round) % 3 != 0) {
        model[i] = std::string(5000 + static_cast<std::size_t>(i), static_cast<char>('a' + round));
        store.put(i, model[i]);
      } else if (model.erase(i) > 0) {
        store.erase(i);
      }
    }
  }
  store.commit();
  const std::uint64_t dead = store.stats().dead_bytes;
  EXPECT_GT(dead, 1'000'000U);
  const Store reader = Store::open(path, StoreMode::read_only);
  StoreItems items = reader.items();
  std::uint64_t calls = 0;
  const std::uint64_t gone =
      store.vacuum({.dead_share = 0.01, .progress = [&](std::uint64_t done, std::uint64_t total) {
                      EXPECT_LE(done, total);
                      ++calls;
                      return true;
                    }});
  EXPECT_GT(calls, 0U);
  EXPECT_GT(gone, dead * 9 / 10);
  EXPECT_LT(store.stats().dead_bytes, dead / 10);
  const auto check = [&](StoreItems range) {
    auto expected = model.begin();
    for (const StoreItem& item : range) {
      ASSERT_NE(expected, model.end());
      EXPECT_EQ(item.key.integer(), expected->first);
      EXPECT_EQ(item.value.text(), expected->second);
      ++expected;
    }
    EXPECT_EQ(expected, model.end());
  };
  check(std::move(items));  // begun before the vacuum
  check(reader.items());
  EXPECT_TRUE(store.check().good());
  for (const auto& [key, text] : model) {
    store.erase(key);
  }
  store.vacuum({.dead_share = 0});
  EXPECT_EQ(store.stats().live_bytes, 0U);
  EXPECT_LT(store.stats().dead_bytes + 1, 10'000U);
  std::uint64_t files = 0;
  for (const auto& file : fs::directory_iterator(path)) {
    files += file.path().extension() == ".shard" ? file.file_size() : 0;
  }
  EXPECT_LT(files, 100'000U);
}

TEST(Store, RecoversItsIndex) {
  const std::string path = fresh("recover");
  std::map<int, std::string> model;
  {
    Store store = Store::open(path, StoreMode::create, {.shard_bytes = 1 << 20});
    for (int round = 0; round < 3; ++round) {
      for (int i = 0; i < 300; ++i) {
        model[i] = std::to_string(i) + std::string(2000, static_cast<char>('a' + round));
        store.put(i, model[i]);
      }
      for (int i = round; i < 300; i += 10) {
        model.erase(i);
        store.erase(i);
      }
      store.commit();
      store.vacuum({.dead_share = 0.1});
    }
    store.put("large", std::string(200'000, 'x'));
  }
  EXPECT_ERROR(Store::recover("no such folder"), Errc::not_found, "");
  for (const bool gone : {true, false}) {
    if (gone) {
      fs::remove(path + "/index.lmdb");
      EXPECT_ERROR(Store::open(path), Errc::damaged, "recover");
    } else {
      std::ofstream(path + "/index.lmdb", std::ios::trunc) << "garbage";
      EXPECT_ERROR(Store::open(path), Errc::damaged, "");
    }
    const StoreReport report = Store::recover(path);
    EXPECT_TRUE(report.good()) << report.problems[0];
    EXPECT_EQ(report.values, model.size() + 1);
    const Store store = Store::open(path, StoreMode::read_only);
    EXPECT_EQ(store.size(), model.size() + 1);
    for (const auto& [key, text] : model) {
      EXPECT_EQ(store.get<std::string>(key), text);
    }
    EXPECT_EQ(store.get<std::string>("large"), std::string(200'000, 'x'));
    const StoreReport verified = store.check();
    EXPECT_TRUE(verified.good()) << verified.problems[0];
  }
}

TEST(Store, CompactFile) {
  const std::string path = fresh("compact");
  Store store = Store::open(path);
  for (int i = 0; i < 10'000; ++i) {
    store.put(i, "value " + std::to_string(i));
  }
  for (int i = 0; i < 10'000; i += 2) {
    store.erase(i);
  }
  store.put("array", embedding("array", 50'000));
  fs::remove("compact.stele");
  store.compact_to("compact.stele");
  const Store compact = Store::open("compact.stele", StoreMode::read_only);
  EXPECT_EQ(compact.size(), 5001U);
  EXPECT_FALSE(compact.contains(2));
  EXPECT_EQ(compact.get<std::string>(4321), "value 4321");
  EXPECT_EQ(compact.get<Embedding>("array"), embedding("array", 50'000));
  EXPECT_FALSE(compact.get<Embedding>("array").vector.writable());
  std::size_t count = 0;
  for (const StoreItem& item : compact.items({.from = 100, .to = 200})) {
    EXPECT_EQ(item.value.text(), "value " + std::to_string(item.key.integer()));
    ++count;
  }
  EXPECT_EQ(count, 50U);
  count = 0;
  for (const StoreKey& key : compact.keys({.reverse = true})) {
    count += key.kind() == StoreKey::Kind::integer ? 1 : 0;
  }
  EXPECT_EQ(count, 5000U);
  EXPECT_TRUE(compact.check().good());
  EXPECT_ERROR(Store::open("compact.stele"), Errc::read_only, "only read");
  EXPECT_ERROR(Store(Store::open("compact.stele", StoreMode::read_only)).put("a", 1), Errc::read_only, "");
  compact.compact_to("compact2.stele");
  EXPECT_EQ(Store::open("compact2.stele", StoreMode::read_only).size(), 5001U);
}

struct Doubled {
  static std::string write(const double& value) { return std::to_string(value * 2); }
  static double read(Bytes bytes) {
    return std::stod(std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size())) / 2;
  }
};

TEST(Store, OwnSerialiser) {
  Store store = Store::open(fresh("serialiser"));
  SerialisedStore<double, Doubled> doubles(store);
  doubles.put("x", 1.5);
  EXPECT_EQ(store.get<std::string>("x"), "3.000000");
  EXPECT_EQ(doubles.get("x"), 1.5);
  EXPECT_ERROR(doubles.get("y"), Errc::not_found, "");
}

TEST(Store, StoreDurability) {
  for (const StoreDurability durability : {StoreDurability::none, StoreDurability::commit, StoreDurability::put}) {
    const std::string path = fresh("durability");
    Store store = Store::open(path, StoreMode::create, {.durability = durability});
    store.put("a", 1);
    const Store reader = Store::open(path, StoreMode::read_only);
    EXPECT_EQ(reader.contains("a"), durability == StoreDurability::put);
    store.flush();
    EXPECT_EQ(reader.get<int>("a"), 1);
  }
}

}  // namespace
}  // namespace stele

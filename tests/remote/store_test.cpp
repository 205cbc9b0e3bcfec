// A store in one file in an object store or at a web server: how many requests reading takes, faults, replacement.

#include "stele/store.hpp"
#include <functional>
#include <map>

#include "remote/support.hpp"

namespace stele {
namespace {

constexpr const char* url = "s3://bucket/words.store";

class RemoteStore : public Remote {
 protected:
  static constexpr int values = 40'000;
  static std::string key(int i) { return "user/" + std::to_string(1'000'000 + i); }
  static std::string value(int i) { return std::to_string(i) + std::string(900, static_cast<char>('a' + i % 26)); }
  /// A store of 40 MB; its values are of one piece of the index for about each 5000.
  void SetUp() override {
    Remote::SetUp();
    put(0);
  }
  void put(int shift) {
    static std::map<int, std::string> files;  // made once
    std::string& file = files[shift];
    if (file.empty()) {
      file = made([&](Store& store) {
        for (int i = 0; i < values; ++i) {
          store.put(key(i), value(i + shift));
        }
        Array<float> vector({300'000});
        std::fill_n(vector.mutable_data(), vector.size(), 1.5F);
        store.put("vector", vector);
      });
    }
    server_.put("/bucket/words.store", file);
    server_.forget();
  }
  /// A store in one file.
  static std::string made(const std::function<void(Store& store)>& fill) {
    const test::Folder folder;
    Store store = Store::open(folder / "store");
    fill(store);
    store.compact_to(folder / "one");
    const test::Data file = test::content(folder / "one");
    return {reinterpret_cast<const char*>(file.data()), file.size()};
  }
  static Store remote(const std::string& place = url) { return Store::open(place, StoreMode::read_only); }
};

TEST_F(RemoteStore, TakesFewRequests) {
  const Store store = remote();
  EXPECT_LE(server_.count(), 3U) << ranges();
  EXPECT_LE(server_.bytes_sent(), 1'200'000U);
  server_.forget();
  EXPECT_EQ(store.get<std::string>(key(12'345)), value(12'345));
  EXPECT_LE(server_.count(), 2U) << ranges();
  EXPECT_LE(server_.bytes_sent(), 200'000U);
  server_.forget();
  EXPECT_EQ(store.get<std::string>(key(12'900)), value(12'900));
  EXPECT_LE(server_.count(), 1U) << ranges();
  server_.forget();
  const auto vector = store.get<Array<float>>("vector");
  EXPECT_FALSE(vector.writable());
  EXPECT_EQ(vector(299'999), 1.5F);
  EXPECT_LE(server_.count(), 2U) << ranges();
}

TEST_F(RemoteStore, IsWalkedThroughInFewRequests) {
  const Store store = remote();
  server_.forget();
  int next = 0;
  for (const StoreItem& item : store.items({.to = "v"})) {
    ASSERT_EQ(item.value.text(), value(next++));
  }
  EXPECT_EQ(next, values);
  EXPECT_LE(server_.count(), 40U / 5 + 12) << ranges();  // parts of 5 MiB
  EXPECT_LE(server_.bytes_sent(), 42'000'000U);
  server_.forget();
  std::vector<StoreKey> keys;
  for (int i = 0; i < 200; ++i) {
    keys.emplace_back(key((i * 7919) % values));
  }
  const auto found = store.get_many<std::string>(keys);
  for (int i = 0; i < 200; ++i) {
    EXPECT_EQ(found[static_cast<std::size_t>(i)], value((i * 7919) % values));
  }
}

TEST_F(RemoteStore, OfLongValuesIsWalkedThroughInFewRequestsToo) {
  const auto long_value = [](int i) { return std::string(2'000'000, static_cast<char>('a' + i)); };
  server_.put("/bucket/long.store", made([&](Store& store) {
                for (int i = 0; i < 24; ++i) {
                  store.put(i, long_value(i));
                }
              }));
  const Store read = remote("s3://bucket/long.store");
  server_.forget();
  int next = 0;
  for (const StoreItem& item : read.items()) {
    ASSERT_EQ(item.value.text(), long_value(next++));
  }
  EXPECT_EQ(next, 24);
  EXPECT_LE(server_.count(), 48U / 5 + 8) << ranges();
  EXPECT_LE(server_.bytes_sent(), 49'000'000U);
}

TEST_F(RemoteStore, IsReadOverHttp) {
  const Store store = remote(server_.endpoint() + "/bucket/words.store");
  EXPECT_EQ(store.size(), static_cast<std::uint64_t>(values) + 1);
  EXPECT_EQ(store.get<std::string>(key(1)), value(1));
  EXPECT_TRUE(store.check().good());
}

TEST_F(RemoteStore, ThatIsReplacedMeanwhileIsAnError) {
  const Store store = remote();
  EXPECT_EQ(store.get<std::string>(key(1)), value(1));
  put(1);
  EXPECT_ERROR(store.get<std::string>(key(30'000)), Errc::changed, "changed");
  EXPECT_EQ(remote().get<std::string>(key(30'000)), value(30'001));
  server_.objects.clear();
  EXPECT_ERROR(store.find<std::string>(key(20'000)), Errc::changed, "gone");
  EXPECT_ERROR(remote(), Errc::not_found, "words.store");
}

TEST_F(RemoteStore, FaultsGiveTheValueOrAnError) {
  for (int kind = 0; kind < 3; ++kind) {
    for (const unsigned every : {2U, 3U, 1U}) {
      unsigned count = 0;
      server_.set_fault([&](const Server::Asked&, Server::Reply& reply) {
        if (++count % every != 0) {
          return false;
        }
        if (kind == 0) {
          reply = {500, "<Error><Code>InternalError</Code></Error>", {}};
          return true;
        }
        reply.silent = kind == 1;
        reply.cut = kind == 1 ? std::string::npos : 1000;
        return false;
      });
      std::optional<Store> store;
      try {
        store.emplace(remote());
        for (int i = 0; i < values; i += 9973) {
          EXPECT_EQ(store->get<std::string>(key(i)), value(i));
        }
        int next = 0;
        for (const StoreItem& item : store->items({.to = key(9000)})) {
          ASSERT_EQ(item.value.text(), value(next++));
        }
        EXPECT_EQ(next, 9000);
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), Errc::io) << error.what();
        EXPECT_EQ(every, 1U) << error.what();
      }
      server_.set_fault({});
      if (store) {  // a failure does not stay
        EXPECT_EQ(store->get<std::string>(key(11'111)), value(11'111));
      }
    }
  }
}

}  // namespace
}  // namespace stele

// A store in one file that is read by its URL: the same as the mapped file, in few reads of few bytes.

#include <sys/stat.h>

#include <atomic>
#include <mutex>
#include <random>
#include <thread>

#include "stele/storage.hpp"
#include "stele/value.hpp"
#include "store/support.hpp"

namespace stele {
namespace {

using test::content;
using test::Data;
using test::Folder;

/// Objects in memory, by their URLs; each read of one counts as a request.
struct Objects {
  std::mutex mutex;  // guards the objects
  std::map<std::string, std::shared_ptr<const Data>> all;
  std::atomic<std::size_t> requests{0};
  std::atomic<std::uint64_t> bytes{0};
  std::atomic<std::size_t> announced{0};
  std::atomic<bool> random{true};
  std::atomic<std::uint64_t> changes{0};

  std::shared_ptr<const Data> find(const std::string& url) {
    const std::lock_guard lock(mutex);
    const auto found = all.find(url);
    return found == all.end() ? nullptr : found->second;
  }
  void put(const std::string& url, Data data) {
    const std::lock_guard lock(mutex);
    all[url] = std::make_shared<const Data>(std::move(data));
    ++changes;
  }
  void remove(const std::string& url) {
    const std::lock_guard lock(mutex);
    all.erase(url);
    ++changes;
  }
  void forget() { requests = bytes = announced = 0; }
};
Objects& objects() {
  static Objects one;
  return one;
}

class ObjectSource final : public Source {
 public:
  ObjectSource(std::string url, std::shared_ptr<const Data> data) : url_(std::move(url)), data_(std::move(data)) {}
  std::size_t read(MutableBytes into) override {
    const std::size_t count = std::min(into.size(), data_->size() - at_);
    read_at(at_, into.first(count));
    at_ += count;
    return count;
  }
  std::optional<std::uint64_t> size() const override { return data_->size(); }
  bool random_access() const noexcept override { return objects().random; }
  void seek(std::uint64_t offset) override { at_ = static_cast<std::size_t>(offset); }
  void read_at(std::uint64_t offset, MutableBytes into) const override {
    ++objects().requests;
    objects().bytes += into.size();
    if (objects().changes != changes_) {  // otherwise without a lock, for a child of fork()
      const std::shared_ptr<const Data> now = objects().find(url_);
      if (now != data_) {
        fail(now == nullptr ? Errc::not_found : Errc::changed, url_ + " is another", {.file = url_});
      }
    }
    if (offset > data_->size() || into.size() > data_->size() - offset) {
      fail(Errc::truncated, url_ + " is shorter", {.file = url_});
    }
    std::copy_n(data_->begin() + static_cast<std::ptrdiff_t>(offset), into.size(), into.begin());
  }
  void will_read(std::uint64_t, std::uint64_t) const override { ++objects().announced; }
  std::string name() const override { return url_; }

 private:
  const std::string url_;
  const std::shared_ptr<const Data> data_;
  const std::uint64_t changes_ = objects().changes;
  std::size_t at_ = 0;
};

class ObjectStorage final : public Storage {
 public:
  explicit ObjectStorage(std::string name) : name_(std::move(name)) {}
  const std::string& name() const noexcept override { return name_; }
  std::vector<StoredObject> list(std::string_view) const override { return {}; }
  std::optional<StoredObject> find(std::string_view) const override { return std::nullopt; }
  void read(std::string_view, std::span<const ByteRange>, std::string_view) const override {}
  std::unique_ptr<Source> source(std::string_view key) const override {
    const std::string url = path_of(key);
    std::shared_ptr<const Data> data = objects().find(url);
    if (data == nullptr) {
      fail(Errc::not_found, "there is no object " + url, {.file = url});
    }
    return std::make_unique<ObjectSource>(url, std::move(data));
  }
  std::unique_ptr<Sink> sink(std::string_view) override { fail(Errc::unsupported, "to be read"); }
  std::optional<std::string> put(std::string_view, Bytes, const PutCondition&) override { return std::nullopt; }
  void remove(std::string_view) override {}

 private:
  std::string name_;
};

constexpr const char* url = "objects://bucket/one.store";

class StoreUrl : public testing::Test {
 protected:
  void SetUp() override {
    register_storage("objects", [](const std::string& place) -> std::unique_ptr<Storage> {
      return std::make_unique<ObjectStorage>(place);
    });
    objects().random = true;
    objects().forget();
  }
  /// Puts a store in one file at `url`. Its file stays in the folder.
  void compact(const Store& store) {
    store.compact_to(file());
    objects().put(url, read(file()));
    objects().forget();
  }
  std::string file() const { return folder_ / "one.store"; }
  static Data read(const std::string& path) {
    const std::unique_ptr<Source> source = file_source(path);
    Data data(static_cast<std::size_t>(*source->size()));
    source->read_at(0, data);
    return data;
  }
  static Store remote(Verify verify = Verify::automatic) {
    return Store::open(url, StoreMode::read_only, {.verify = verify});
  }
  const Folder folder_;
};

std::string bytes_of(const StoreValue& value) {
  if (value.is_text() || value.is_bytes()) {
    return (value.is_text() ? "t" : "b") + std::string(value.text());
  }
  const std::vector<std::byte> all = to_bytes(value.as<Value>());
  return {reinterpret_cast<const char*>(all.data()), all.size()};
}

/// Everything that a store gives in some order.
std::string all_of(StoreItems items) {
  std::string text;
  for (const StoreItem& item : items) {
    text += item.key.describe() + '=' + bytes_of(item.value) + ' ' + std::to_string(item.value.stored_bytes()) + '\n';
  }
  return text;
}

std::string noise(std::size_t size, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::string text(size + 8, ' ');
  for (std::size_t i = 0; i < size; i += 8) {
    const std::uint64_t next = random();
    std::memcpy(text.data() + i, &next, 8);
  }
  text.resize(size);
  return text;
}

std::vector<std::byte> raw(const std::string& text) {
  const Bytes bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

struct Sample {
  std::string name;
  std::vector<int> numbers;
  Array<float> embedding;
};

/// The root of a store without its arrays of bytes.
struct Lacking {
  std::uint64_t store_format = 1;
  std::vector<std::uint64_t> block_ends = {0};
  std::vector<std::uint64_t> low_ends = {0};
};

/// A store with keys and values of all kinds; some are erased.
void fill(Store& store, unsigned seed, std::size_t values) {
  std::mt19937 random(seed);
  for (std::size_t i = 0; i < values; ++i) {
    StoreKey key;
    const auto number = static_cast<std::int64_t>(random() % 100'000);
    switch (random() % 4) {
      case 0:
        key = number - 50'000;
        break;
      case 1:
        key = "key/" + std::to_string(number);
        break;
      case 2:
        key = StoreKey(Bytes(raw(noise(1 + random() % 40, random()))));
        break;
      default:
        key = std::uint64_t{random()} << 33;
    }
    switch (random() % 7) {
      case 0:
        store.put(key, std::string(random() % 300, 'x'));
        break;
      case 1:
        store.put(key, raw(noise(random() % 9000, random())));
        break;
      case 2:
        store.put(key, static_cast<int>(random()));
        break;
      case 3:
        store.put(key, Sample{"small", {1, 2, 3}, Array<float>({10})});
        break;
      case 4:
        store.put(key, Sample{"large", std::vector<int>(random() % 3000, 7), Array<float>({5000 + random() % 9000})});
        break;
      case 5:
        store.put(key, noise(random() % 100'000, random()));
        break;
      default:
        if (random() % 8 == 0) {
          store.put(key, Array<float>({500'000}));
        }
        store.erase(key);
    }
  }
  store.put("long", noise(3'000'000, seed));
}

void expect_same(const Store& mapped, const Store& remote) {
  EXPECT_EQ(remote.size(), mapped.size());
  EXPECT_EQ(remote.stats().live_bytes, mapped.stats().live_bytes);
  EXPECT_EQ(remote.stats().index_bytes, mapped.stats().index_bytes);
  EXPECT_EQ(remote.stats().shards.at(0).file_bytes, mapped.stats().shards.at(0).file_bytes);
  EXPECT_TRUE(all_of(remote.items()) == all_of(mapped.items()));
  EXPECT_TRUE(all_of(remote.items({.reverse = true})) == all_of(mapped.items({.reverse = true})));
  EXPECT_TRUE(all_of(remote.items({.prefix = "key/1"})) == all_of(mapped.items({.prefix = "key/1"})));
  EXPECT_TRUE(all_of(remote.items({.from = -9000, .to = "key/2"})) ==
              all_of(mapped.items({.from = -9000, .to = "key/2"})));
  EXPECT_TRUE(all_of(remote.by_size(true)) == all_of(mapped.by_size(true)));
  EXPECT_TRUE(all_of(remote.by_insertion()) == all_of(mapped.by_insertion()));
  EXPECT_TRUE(all_of(remote.shuffled(3)) == all_of(mapped.shuffled(3)));
  EXPECT_TRUE(all_of(remote.sample(20, 4)) == all_of(mapped.sample(20, 4)));
  std::vector<StoreKey> keys;
  for (const StoreKey& key : mapped.keys()) {
    ASSERT_TRUE(bytes_of(*remote.view(key)) == bytes_of(*mapped.view(key))) << key.describe();
    keys.push_back(key);
    keys.push_back(StoreKey(key.describe() + "?"));
  }
  std::shuffle(keys.begin(), keys.end(), std::mt19937(1));
  std::map<std::size_t, std::string> found;
  remote.view_many(keys, [&](std::size_t i, const StoreValue& value) { found[i] = bytes_of(value); });
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const auto there = mapped.view(keys[i]);
    ASSERT_EQ(found.contains(i), there.has_value()) << keys[i].describe();
    ASSERT_TRUE(!there || found[i] == bytes_of(*there)) << keys[i].describe();
    EXPECT_EQ(remote.contains(keys[i]), there.has_value());
  }
  const StoreReport report = remote.check();
  EXPECT_TRUE(report.good()) << report.problems[0];
  EXPECT_EQ(report.values, mapped.size());
}

TEST_F(StoreUrl, GivesTheValuesOfTheMappedFile) {
  for (const std::string codec : {"plain", "zstd", "lz4"}) {
    for (unsigned seed = 1; seed <= 2; ++seed) {
      Store store = Store::open(folder_ / codec + std::to_string(seed), StoreMode::create, {.codec = codec});
      fill(store, seed, seed == 1 ? 40 : 150);
      if (codec == "zstd" && seed == 2) {
        store.train_dictionary();
        fill(store, seed + 10, 100);
      }
      compact(store);
      for (const Verify verify : {Verify::automatic, Verify::full, Verify::none}) {
        expect_same(Store::open(file(), StoreMode::read_only, {.verify = verify}), remote(verify));
      }
      const Store again = remote();
      again.compact_to(folder_ / "again.store");
      EXPECT_TRUE(read(folder_ / "again.store") == read(file()));
    }
  }
}

TEST_F(StoreUrl, MayBeEmptyOrHaveOneValue) {
  Store store = Store::open(folder_ / "store");
  compact(store);
  expect_same(Store::open(file(), StoreMode::read_only), remote());
  EXPECT_EQ(remote().find<int>("a"), std::nullopt);
  store.put("a", 1);
  compact(store);
  expect_same(Store::open(file(), StoreMode::read_only), remote());
  EXPECT_EQ(remote().get<int>("a"), 1);
}

TEST_F(StoreUrl, OfAFileIsMapped) {
  Store store = Store::open(folder_ / "store");
  store.put("a", Array<float>({5000}));
  compact(store);
  const Store read = Store::open("file://" + file(), StoreMode::read_only);
  EXPECT_EQ(read.get<Array<float>>("a").size(), 5000U);
  EXPECT_EQ(objects().requests, 0U);
}

/// 60,000 values of 1 kB.
class LargeStoreUrl : public StoreUrl {
 protected:
  static constexpr int values = 60'000;
  static std::string key(int i) {
    char text[20];
    std::snprintf(text, sizeof text, "user/%08d", i * 7);
    return text;
  }
  static std::string value(int i) { return std::to_string(i) + std::string(1000, static_cast<char>('a' + i % 26)); }
  void SetUp() override {
    StoreUrl::SetUp();
    static Data made;  // once
    if (made.empty()) {
      Store store = Store::open(folder_ / "large");
      for (int i = 0; i < values; ++i) {
        store.put(key(i), value(i));
      }
      compact(store);
      made = *objects().find(url);
    }
    test::put(file(), made);
    objects().put(url, made);
    objects().forget();
    size_ = made.size();
  }
  void TearDown() override { objects().remove(url); }
  std::uint64_t size_ = 0;
};

TEST_F(LargeStoreUrl, IsReadInFewReadsOfFewBytes) {
  const Store store = remote();
  EXPECT_LE(objects().requests, 3U);
  EXPECT_LE(objects().bytes, 1'200'000U);

  objects().forget();
  EXPECT_EQ(store.get<std::string>(key(27'777)), value(27'777));
  EXPECT_EQ(objects().requests, 2U);
  EXPECT_LE(objects().bytes, 3U * 65'536);
  EXPECT_EQ(store.get<std::string>(key(27'778)), value(27'778));  // beside it
  EXPECT_EQ(objects().requests, 2U);
  EXPECT_EQ(store.get<std::string>(key(28'700)), value(28'700));  // of the same piece of the index
  EXPECT_EQ(objects().requests, 3U);
  objects().forget();
  EXPECT_FALSE(store.contains("user/00194440"));
  EXPECT_LE(objects().requests, 1U);

  std::mt19937 random(1);
  for (int round = 0; round < 100; ++round) {
    objects().forget();
    const int i = static_cast<int>(random() % values);
    ASSERT_EQ(store.get<std::string>(key(i)), value(i));
    ASSERT_LE(objects().requests, 2U);
    ASSERT_LE(objects().bytes, 4U * 65'536);
  }
}

TEST_F(LargeStoreUrl, IsWalkedThroughInLongReads) {
  const auto long_reads = size_ / (std::size_t{8} << 20);
  for (const bool reverse : {false, true}) {
    const Store store = remote();
    objects().forget();
    int next = reverse ? values - 1 : 0;
    for (const StoreItem& item : store.items({.reverse = reverse})) {
      ASSERT_EQ(item.key.text(), key(next));
      ASSERT_EQ(item.value.text(), value(next));
      next += reverse ? -1 : 1;
    }
    EXPECT_EQ(next, reverse ? -1 : values);
    EXPECT_LE(objects().requests, long_reads + 20) << reverse;
    EXPECT_LE(objects().bytes, size_ + 1'000'000);
    EXPECT_EQ(objects().announced > 0, !reverse);
  }
  const Store store = remote();
  objects().forget();
  int count = 0;
  for (const StoreKey& key : store.keys()) {
    count += key.kind() == StoreKey::Kind::text ? 1 : 0;
  }
  EXPECT_EQ(count, values);
  EXPECT_LE(objects().bytes, store.stats().index_bytes + 65'536);  // no value was read
  objects().forget();
  count = 0;
  for (const StoreItem& item : store.items({.from = key(1000)})) {
    count += static_cast<int>(item.value.text().size() > 1000);
    if (count == 100) {
      break;
    }
  }
  EXPECT_LE(objects().bytes, 600'000U);  // what begins is not read to its end
  objects().forget();
  EXPECT_TRUE(store.check().good());
  EXPECT_LE(objects().requests, long_reads + 30);
}

TEST_F(LargeStoreUrl, GivesManyValuesAtOnce) {
  const Store store = remote();
  std::vector<StoreKey> keys;
  std::mt19937 random(2);
  for (int i = 0; i < 300; ++i) {
    keys.emplace_back(key(static_cast<int>(random() % values)));
  }
  objects().forget();
  const auto found = store.get_many<std::string>(keys);
  for (std::size_t i = 0; i < keys.size(); ++i) {
    EXPECT_EQ(value(std::stoi(std::string(keys[i].text().substr(5))) / 7), found[i]);
  }
  EXPECT_LE(objects().requests, 330U);  // those of the index are shared
  EXPECT_LE(objects().bytes, 330U * 2 * 65'536);
  keys.clear();
  for (int i = 5000; i < 6000; ++i) {
    keys.emplace_back(key(i));
  }
  objects().forget();
  EXPECT_EQ(store.get_many<std::string>(keys).size(), 1000U);
  EXPECT_LE(objects().requests, 10U);
}

TEST_F(LargeStoreUrl, IsReadByManyThreads) {
  const Store store = remote();
  std::atomic<int> good{0};
  {
    std::vector<std::jthread> threads;
    for (unsigned t = 0; t < 8; ++t) {
      threads.emplace_back([&, t] {
        std::mt19937 random(t);
        bool all = true;
        for (int round = 0; round < 100; ++round) {
          const int i = static_cast<int>(random() % values);
          all = all && store.get<std::string>(key(i)) == value(i);
        }
        const int first = static_cast<int>(t) * 6000;
        int next = first;
        for (const StoreItem& item : store.items({.from = key(first), .to = key(first + 4000)})) {
          all = all && item.value.text() == value(next++);
        }
        good += all && next == first + 4000 ? 1 : 0;
      });
    }
  }
  EXPECT_EQ(good, 8);
}

TEST_F(LargeStoreUrl, AChildOfForkReadsOn) {
  const Store store = remote();
  EXPECT_EQ(store.get<std::string>(key(5)), value(5));
  std::atomic<bool> over{false};
  std::jthread other([&] {  // may hold the lock when the child is made
    for (int i = 0; !over; i = (i + 997) % values) {
      static_cast<void>(store.get<std::string>(key(i)));
    }
  });
  for (int round = 0; round < 10; ++round) {
    EXPECT_EQ(in_child([&] {
                for (int i = round; i < values; i += 9'973) {
                  if (store.get<std::string>(key(i)) != value(i)) {
                    return wrong;
                  }
                }
                return fine;
              }),
              fine);
  }
  over = true;
}

TEST_F(LargeStoreUrl, ThatIsReplacedMeanwhileIsAnError) {
  const Store store = remote();
  EXPECT_EQ(store.get<std::string>(key(5)), value(5));
  objects().put(url, read(file()));
  EXPECT_ERROR(store.get<std::string>(key(55'000)), Errc::changed, "another");
  EXPECT_EQ(remote().get<std::string>(key(55'000)), value(55'000));
  // Gone is not the same as a key that is not there.
  objects().remove(url);
  EXPECT_ERROR(store.find<std::string>(key(40'000)), Errc::changed, "gone");
  EXPECT_ERROR(all_of(store.items()), Errc::changed, "gone");
}

TEST_F(StoreUrl, ArraysStayWhenEverythingElseIsGone) {
  Array<float> held;
  {
    Store store = Store::open(folder_ / "store");
    for (int i = 0; i < 10; ++i) {
      Array<float> array({400'000});
      std::fill_n(array.mutable_data(), array.size(), static_cast<float>(i));
      store.put(i, Sample{"x", {}, array});
    }
    compact(store);
    Store read = remote();
    const Sample one = read.get<Sample>(3);
    EXPECT_FALSE(one.embedding.writable());  // what was fetched, not a copy of it
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(one.embedding.data()) % 64, 0U);
    held = one.embedding;
    objects().remove(url);
  }
  EXPECT_TRUE(std::all_of(held.data(), held.data() + held.size(), [](float x) { return x == 3; }));
}

TEST_F(StoreUrl, OfLongValuesTakesOneReadEach) {
  Store store = Store::open(folder_ / "store");
  for (int i = 0; i < 10; ++i) {
    store.put(i, noise(2'000'000, static_cast<std::uint64_t>(i)));
  }
  compact(store);
  const Store read = remote();
  objects().forget();
  EXPECT_EQ(read.get<std::string>(7), noise(2'000'000, 7));
  EXPECT_LE(objects().requests, 2U);
  EXPECT_LE(objects().bytes, 2'000'000U + 3 * 65'536);
  objects().forget();
  std::uint64_t bytes = 0;
  for (const StoreItem& item : read.shuffled(1)) {
    bytes += item.value.text().size();
  }
  EXPECT_EQ(bytes, 20'000'000U);
  EXPECT_LE(objects().bytes, 21'000'000U);  // none was read twice
}

TEST_F(StoreUrl, IsNotWritten) {
  Store store = Store::open(folder_ / "store");
  store.put("a", 1);
  compact(store);
  EXPECT_ERROR(Store::open(url), Errc::unsupported, "local folder");
  EXPECT_ERROR(Store::open(url, StoreMode::read_write), Errc::unsupported, "compact_to");
  EXPECT_ERROR(Store::recover(url), Errc::unsupported, "");
  EXPECT_ERROR(store.compact_to("objects://bucket/two.store"), Errc::unsupported, "local file");
  Store read = remote();
  EXPECT_ERROR(read.put("b", 1), Errc::read_only, "read_only");
  EXPECT_ERROR(read.erase("a"), Errc::read_only, "read_only");
  EXPECT_ERROR(read.batch(), Errc::read_only, "read_only");
  EXPECT_ERROR(read.vacuum(), Errc::read_only, "read_only");
  EXPECT_ERROR(read.by_order("length"), Errc::not_found, "order");
  read.close();
  EXPECT_ERROR(read.find<int>("a"), Errc::invalid_argument, "closed");
}

TEST_F(StoreUrl, OfWhatIsNoStoreIsAnError) {
  Store store = Store::open(folder_ / "store");
  fill(store, 1, 50);
  compact(store);
  EXPECT_ERROR(Store::open("objects://bucket/none.store", StoreMode::read_only), Errc::not_found, "none.store");
  EXPECT_ERROR(Store::open("objects://bucket/", StoreMode::read_only), Errc::invalid_argument, "");
  EXPECT_ERROR(Store::open("nowhere://bucket/one.store", StoreMode::read_only), Errc::unsupported, "nowhere");
  const auto is_none = [&](const Data& data) {
    objects().put(url, data);
    objects().forget();
    EXPECT_ERROR(remote(), Errc::not_an_archive, "compact_to");
    EXPECT_LE(objects().bytes, 700'000U) << data.size();
  };
  is_none({});
  is_none(Data(5'000'000, std::byte{'x'}));
  is_none(to_bytes(std::vector<int>(2'000'000, 1)));
  is_none(to_bytes(Sample{}));
  is_none(to_bytes(Lacking{}));
  Data compressed;
  const std::unique_ptr<Sink> sink = memory_sink(compressed);
  save(*sink, open(file()).load<Value>(), {.codec = "gzip"});
  is_none(compressed);
  objects().random = false;
  objects().put(url, read(file()));
  EXPECT_ERROR(remote(), Errc::unsupported, "in order");
}

TEST_F(StoreUrl, ThatWasWrittenToAPipeIsRefusedInWords) {
  Store store = Store::open(folder_ / "store");
  store.put("a", noise(3'000'000, 1));
  const std::string pipe = folder_ / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  Data data;
  {
    const std::jthread reader([&] { data = content(pipe); });
    store.compact_to(pipe);
  }
  test::put(file(), data);
  objects().put(url, data);
  EXPECT_ERROR(Store::open(file(), StoreMode::read_only), Errc::unsupported, "stele convert");
  EXPECT_ERROR(remote(), Errc::unsupported, "stele convert");
}

/// What reading a store gives, as its hash, or the Error's code.
std::string verdict(const std::string& path) {
  std::string text;
  const auto note = [&](auto&& read) {
    try {
      text += std::to_string(std::hash<std::string>()(read()));
    } catch (const Error& error) {
      text += "<" + std::string(to_string(error.code())) + ">";
    }
    text += '|';
  };
  note([&]() -> std::string {
    const Store store = Store::open(path, StoreMode::read_only);
    note([&] { return all_of(store.items()); });
    note([&] { return all_of(store.items({.reverse = true})); });
    note([&] { return bytes_of(*store.view("b")); });
    note([&] { return std::to_string(store.contains(7)) + std::to_string(store.size()); });
    note([&] { return std::to_string(store.check().problem_count); });
    return "read";
  });
  return text;
}

TEST_F(StoreUrl, DamageHasTheVerdictOfTheMappedFile) {
  Store small = Store::open(folder_ / "small", StoreMode::create, {.codec = "zstd"});
  small.put("a", std::string(100, 'x'));
  small.put("b", 2);
  small.put(7, raw(noise(30, 1)));
  Store large = Store::open(folder_ / "large");
  fill(large, 5, 300);
  large.put("b", noise(1'500'000, 1));
  for (const Store* store : {&small, &large}) {
    compact(*store);
    const Data whole = read(file());
    const std::string good = verdict(url);
    EXPECT_TRUE(good.find('<') == std::string::npos) << good.substr(0, 200);
    const bool is_small = whole.size() < 10'000;
    std::mt19937 random(1);
    const std::size_t rounds = is_small ? whole.size() : 150;
    std::size_t noticed = 0;
    for (std::size_t round = 0; round < rounds; ++round) {
      Data other = whole;
      if (is_small) {
        other[round] ^= std::byte{static_cast<unsigned char>(1U << (round % 8))};
      } else if (round % 3 == 0) {
        other.resize(random() % whole.size());
      } else {  // the beginning and the end have most of the structure
        const std::size_t area = round % 3 == 1 ? whole.size() : 6000;
        other[whole.size() - 1 - random() % area] ^= std::byte{0x40};
      }
      test::put(file(), other);
      objects().put(url, other);
      const std::string mapped = verdict(file());
      ASSERT_TRUE(verdict(url) == mapped) << round << ": " << mapped.substr(0, 300) << "\n"
                                          << verdict(url).substr(0, 300);
      noticed += mapped != good ? 1 : 0;
    }
    EXPECT_GT(noticed, rounds / 2);
    for (std::size_t size = 0; is_small && size < whole.size(); size += 3) {
      const Data other(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
      test::put(file(), other);
      objects().put(url, other);
      ASSERT_EQ(verdict(url), verdict(file())) << size;
    }
  }
}

}  // namespace
}  // namespace stele

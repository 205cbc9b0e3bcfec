// A cache with a remote: what machines share, and that nothing of it is ever needed.

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <map>
#include <mutex>
#include <thread>

#include "io/read.hpp"
#include "services/cache/remote/parcel.hpp"
#include "stele/cache.hpp"
#include "stele/storage.hpp"
#include "support/test_support.hpp"

namespace stele {
namespace {

namespace fs = std::filesystem;
using test::content;
using test::Data;
using test::error_of;
using test::fresh;
using Clock = std::chrono::steady_clock;

double since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

/// The result of a number: small, or with a file of its own from 1000 on.
std::vector<double> result_of(int n) {
  return std::vector<double>(n < 1000 ? 3 : static_cast<std::size_t>(n) * 20, n + 0.5);
}

/// Objects in memory, that fail as the test says.
struct Memory {
  enum class Fault : std::uint8_t { none, fails, denies, hangs, other_bytes, short_object };
  std::mutex mutex;
  std::map<std::string, Data, std::less<>> objects;
  std::atomic<Fault> reads = Fault::none;
  std::atomic<Fault> writes = Fault::none;
  bool conditions = true;
  std::string refused;           // key of an object that cannot be written
  std::atomic<int> asked = 0;    // calls of source()
  std::atomic<int> looked = 0;   // of find() and list()
  std::atomic<int> written = 0;  // of put() and sink()
  std::atomic<int> removed = 0;
  std::atomic<int> slow_ms = 0;  // each call

  int requests() const { return asked + looked + written + removed; }
  void act(Fault fault) const {
    std::this_thread::sleep_for(std::chrono::milliseconds(slow_ms.load()));
    if (fault == Fault::fails || fault == Fault::hangs) {
      std::this_thread::sleep_for(std::chrono::milliseconds(fault == Fault::hangs ? 300 : 0));
      fail(Errc::io, "the network is down");
    }
    if (fault == Fault::denies) {
      fail(Errc::denied, "access denied");
    }
  }
};
Memory* memory = nullptr;

class MemoryStorage final : public Storage {
 public:
  explicit MemoryStorage(std::string name) : name_(std::move(name)) {}
  const std::string& name() const noexcept override { return name_; }
  std::vector<StoredObject> list(std::string_view) const override {
    ++memory->looked;
    return {};
  }
  std::optional<StoredObject> find(std::string_view key) const override {
    ++memory->looked;
    memory->act(memory->reads);
    const std::lock_guard lock(memory->mutex);
    const auto found = memory->objects.find(key);
    return found == memory->objects.end() ? std::nullopt
                                          : std::optional(StoredObject{std::string(key), found->second.size()});
  }
  void read(std::string_view, std::span<const ByteRange>, std::string_view) const override {
    fail(Errc::unsupported, "not used by a cache");
  }
  std::unique_ptr<Source> source(std::string_view key) const override {
    ++memory->asked;
    const Memory::Fault fault = memory->reads;
    memory->act(fault);
    const std::lock_guard lock(memory->mutex);
    const auto found = memory->objects.find(key);
    if (found == memory->objects.end()) {
      fail(Errc::not_found, "there is no such object");
    }
    Data bytes = found->second;
    if (fault == Memory::Fault::other_bytes) {
      bytes[bytes.size() / 2] ^= std::byte{0x10};
    } else if (fault == Memory::Fault::short_object) {
      bytes.resize(bytes.size() / 2);
    }
    return std::make_unique<Trickle>(std::move(bytes));
  }
  std::unique_ptr<Sink> sink(std::string_view key) override {
    ++memory->written;
    memory->act(memory->writes);
    return std::make_unique<Upload>(std::string(key));
  }
  std::optional<std::string> put(std::string_view key, Bytes bytes, const PutCondition& when) override {
    ++memory->written;
    memory->act(memory->writes);
    const std::lock_guard lock(memory->mutex);
    if (key == memory->refused) {
      fail(Errc::io, "the server answered 400");
    }
    if (when.kind != PutCondition::Kind::always && !memory->conditions) {
      fail(Errc::unsupported, "no conditional writes");
    }
    if (when.kind == PutCondition::Kind::absent && memory->objects.contains(key)) {
      return std::nullopt;
    }
    memory->objects[std::string(key)] = Data(bytes.begin(), bytes.end());
    return "etag";
  }
  void remove(std::string_view key) override {
    ++memory->removed;
    const std::lock_guard lock(memory->mutex);
    memory->objects.erase(std::string(key));
  }

 private:
  /// Gives a few bytes at a time, and does not know its size.
  class Trickle final : public Source {
   public:
    explicit Trickle(Data bytes) : bytes_(std::move(bytes)), source_(bytes_, 1009) {}
    std::size_t read(MutableBytes into) override { return source_.read(into); }

   private:
    const Data bytes_;
    test::TrickleSource source_;
  };
  class Upload final : public Sink {
   public:
    explicit Upload(std::string key) : key_(std::move(key)) {}
    void write(Bytes bytes) override { bytes_.insert(bytes_.end(), bytes.begin(), bytes.end()); }
    void close() override {
      const std::lock_guard lock(memory->mutex);
      memory->objects[key_] = std::move(bytes_);
    }

   private:
    const std::string key_;
    Data bytes_;
  };
  const std::string name_;
};

class CacheRemote : public testing::Test {
 protected:
  CacheRemote() {
    memory = &memory_;
    register_storage("memory-of-the-test", [](const std::string& url) -> std::unique_ptr<Storage> {
      return std::make_unique<MemoryStorage>(url);
    });
  }
  CacheOptions options() {
    CacheOptions made;
    made.remote = "memory-of-the-test://results";
    made.on_failure = CacheFailure::warn;
    made.warn = [this](const std::string& message) {
      const std::lock_guard lock(mutex_);
      warnings_.push_back(message);
    };
    return made;
  }
  CacheOptions with_folder() {
    CacheOptions made = options();
    made.remote = there_;
    return made;
  }
  /// The result of n, which counts computations.
  CacheResult<std::vector<double>> result(Cache& cache, int n) {
    return cache.get_or_compute("f", 1, n, [&](int of) {
      ++computed_;
      return result_of(of);
    });
  }
  void expect_right(Cache& cache, int n, bool hit) {
    const CacheResult<std::vector<double>> found = result(cache, n);
    EXPECT_EQ(found.value, result_of(n)) << n;
    EXPECT_EQ(found.hit, hit) << n;
  }
  std::vector<std::string> warnings() {
    const std::lock_guard lock(mutex_);
    return std::exchange(warnings_, {});
  }

  Memory memory_;
  const std::string a_ = fresh("machine_a");
  const std::string b_ = fresh("machine_b");
  const std::string there_ = fresh("remote");
  std::atomic<int> computed_ = 0;
  std::mutex mutex_;
  std::vector<std::string> warnings_;
};

TEST_F(CacheRemote, TwoMachinesComputeEachResultOnce) {
  for (const char* codec : {"plain", "gzip"}) {
    SCOPED_TRACE(codec);
    fs::remove_all(a_);
    fs::remove_all(b_);
    fs::remove_all(there_);
    computed_ = 0;
    CacheOptions given = with_folder();
    given.codec = codec;
    CacheCall call{.name = "f", .version = "2", .expires_after_s = 1000, .metadata = {{"by", "me"}, {"n", 3}}};
    std::map<int, CacheEntry> entries;
    {
      Cache a = Cache::open(a_, given);
      for (const int n : {1, 2, 2000, 60'000}) {  // in segments, files, and files beyond what one request writes
        const auto found = a.get_or_compute(call, n, [&](int of) {
          ++computed_;
          return result_of(of);
        });
        entries[n] = found.entry;
      }
      EXPECT_TRUE(a.flush());
      EXPECT_EQ(a.stats().remote_misses, 4u);
      EXPECT_EQ(a.stats().remote_stored, 4u);
    }
    Cache b = Cache::open(b_, given);
    for (const auto& [n, entry] : entries) {
      const auto found =
          b.get_or_compute(call, n, [](int) -> std::vector<double> { throw std::logic_error("computed"); });
      EXPECT_EQ(found.value, result_of(n));
      EXPECT_TRUE(found.hit);
      EXPECT_EQ(found.entry.name, "f");
      EXPECT_EQ(found.entry.version, "2");
      EXPECT_EQ(found.entry.created, entry.created);
      EXPECT_EQ(found.entry.duration, entry.duration);
      EXPECT_EQ(found.entry.expires, entry.expires);
      EXPECT_EQ(found.entry.metadata, entry.metadata);
      EXPECT_EQ(found.entry.file.empty(), entry.file.empty());
    }
    EXPECT_EQ(computed_, 4);
    EXPECT_EQ(b.stats().remote_hits, 4u);
    EXPECT_EQ(b.stats().hits, 4u);
    EXPECT_EQ(b.stats().misses, 0u);
    EXPECT_EQ(b.stats().stored, 0u);
    EXPECT_EQ(b.stats().items, 4u);
    EXPECT_TRUE(b.verify().good());
    EXPECT_TRUE(warnings().empty());
  }
}

TEST_F(CacheRemote, RequestsAreFew) {
  Cache a = Cache::open(a_, options());
  EXPECT_EQ(memory_.requests(), 0);
  expect_right(a, 1, false);
  expect_right(a, 2000, false);
  EXPECT_TRUE(a.flush());
  EXPECT_EQ(memory_.asked, 2);
  EXPECT_EQ(memory_.written, 2);
  expect_right(a, 1, true);
  expect_right(a, 2000, true);
  EXPECT_EQ(memory_.requests(), 4) << "what is here needs no request";
  Cache b = Cache::open(b_, options());
  expect_right(b, 1, true);
  expect_right(b, 2000, true);
  expect_right(b, 2000, true);
  EXPECT_TRUE(b.flush());
  EXPECT_EQ(memory_.requests(), 6);
  EXPECT_EQ((b.peek<std::vector<double>>("f", 1, 1)->value), result_of(1));
  EXPECT_FALSE((b.peek<std::vector<double>>("f", 1, 3)));
  EXPECT_EQ(memory_.requests(), 7);
}

TEST_F(CacheRemote, HandlesAndPeeksAskToo) {
  Digest key;
  {
    Cache a = Cache::open(a_, options());
    expect_right(a, 1, false);
    key = a.key({.name = "f", .version = 1}, 1);
  }
  Cache b = Cache::open(b_, options());
  EXPECT_FALSE(b.find(key, false));
  EXPECT_EQ((b.peek<std::vector<double>>("f", 1, 1)->value), result_of(1));
  Cache c = Cache::open(fresh("machine_c"), options());
  EXPECT_EQ(c.load<std::vector<double>>(key), result_of(1));
  EXPECT_EQ(c.stats().hits, 1u);
}

TEST_F(CacheRemote, OfManyThreadsOneAsks) {
  {
    Cache a = Cache::open(a_, options());
    expect_right(a, 2000, false);
  }
  memory_.asked = 0;
  memory_.slow_ms = 50;
  Cache b = Cache::open(b_, options());
  Cache other = Cache::open(b_, options());  // as another process has it
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&, i] {
      Cache& one = i % 2 == 0 ? b : other;
      if (i < 4) {
        expect_right(one, 2000, true);
      } else {  // this one does not wait for who computes
        EXPECT_EQ((one.peek<std::vector<double>>("f", 1, 2000)->value), result_of(2000));
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(memory_.asked, 1);
}

TEST_F(CacheRemote, WithoutAnswersTheCacheIsALocalOne) {
  for (const Memory::Fault fault : {Memory::Fault::fails, Memory::Fault::denies, Memory::Fault::hangs}) {
    SCOPED_TRACE(static_cast<int>(fault));
    fs::remove_all(a_);
    memory_.reads = memory_.writes = fault;
    const int before = memory_.requests();
    const auto begin = Clock::now();
    {
      Cache a = Cache::open(a_, options());
      for (int n = 0; n < 50; ++n) {
        expect_right(a, n, false);
        expect_right(a, n, true);
      }
      EXPECT_FALSE(a.flush());
      EXPECT_EQ(a.stats().misses, 50u);
      EXPECT_GE(a.stats().remote_failed, 2u);
      EXPECT_EQ(a.stats().failed, 0u);
    }
    EXPECT_LT(since(begin), 3) << "each outage costs one request for each way, not one for each call";
    EXPECT_LE(memory_.requests() - before, 7);  // a look, and two writes at once, in flush() and in the end
    const std::vector<std::string> said = warnings();
    EXPECT_EQ(said.size(), 3u) << testing::PrintToString(said);  // reading, writing, and what is left in the end
  }
}

TEST_F(CacheRemote, WhatCouldNotBeWrittenIsWrittenLater) {
  memory_.writes = Memory::Fault::fails;
  Cache a = Cache::open(a_, options());
  expect_right(a, 1, false);
  expect_right(a, 2, false);
  EXPECT_FALSE(a.flush());
  EXPECT_TRUE(memory_.objects.empty());
  EXPECT_EQ(warnings().size(), 1u);
  memory_.writes = Memory::Fault::none;
  EXPECT_TRUE(a.flush());
  EXPECT_EQ(memory_.objects.size(), 2u);
  EXPECT_EQ(a.stats().remote_stored, 2u);
  EXPECT_TRUE(warnings().empty());
}

TEST_F(CacheRemote, AResultThatTheRemoteRefusesDoesNotKeepOthersFromIt) {
  Cache a = Cache::open(a_, options());
  memory_.refused = parcel_name(a.key({.name = "f", .version = 1}, 0));
  for (int n = 0; n < 5; ++n) {
    expect_right(a, n, false);
  }
  EXPECT_FALSE(a.flush());
  EXPECT_EQ(memory_.objects.size(), 4u);
  EXPECT_FALSE(memory_.objects.contains(memory_.refused));
  bool last = false;
  for (int n = 5; n < 15; ++n) {  // it is given up after some tries
    expect_right(a, n, false);
    last = a.flush();
  }
  EXPECT_TRUE(last);
  EXPECT_EQ(memory_.objects.size(), 14u);
  EXPECT_GE(warnings().size(), 1u);
}

TEST_F(CacheRemote, WhatAKilledProcessLeftIsPushed) {
  const pid_t child = ::fork();
  if (child == 0) {
    CacheOptions given = with_folder();
    given.remote.clear();  // it is killed before its thread has begun
    Cache a = Cache::open(a_, given);
    result(a, 1);
    result(a, 2000);
    ::kill(::getpid(), SIGKILL);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  ASSERT_TRUE(WIFSIGNALED(status));
  Cache a = Cache::open(a_, with_folder());
  expect_right(a, 1, true);
  EXPECT_TRUE(a.flush());
  EXPECT_FALSE(fs::exists(there_ + "/results"));
  std::uint64_t last = 0;
  EXPECT_EQ(a.push([&](std::uint64_t done, std::uint64_t) {
    last = done;
    return true;
  }),
            2u);
  EXPECT_EQ(last, 2u);
  EXPECT_EQ(a.push(), 0u) << "it is there";
  Cache b = Cache::open(b_, with_folder());
  expect_right(b, 1, true);
  expect_right(b, 2000, true);
}

TEST_F(CacheRemote, KilledWhileItWritesItLeavesNoHalfObject) {
  for (int after_us = 0; after_us < 20'000; after_us += 4'000) {
    fs::remove_all(a_);
    fs::remove_all(b_);
    fs::remove_all(there_);
    const pid_t child = ::fork();
    if (child == 0) {
      Cache a = Cache::open(a_, with_folder());
      for (int n = 0; n < 1'000'000; ++n) {
        result(a, n % 2 == 0 ? n : 1000 + n);
      }
      std::_Exit(0);
    }
    std::this_thread::sleep_for(std::chrono::microseconds(30'000 + after_us));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    Cache b = Cache::open(b_, with_folder());
    for (int n = 0; n < 40; ++n) {
      const int of = n % 2 == 0 ? n : 1000 + n;
      EXPECT_EQ(result(b, of).value, result_of(of));
    }
    EXPECT_EQ(b.stats().damaged, 0u);
    EXPECT_TRUE(warnings().empty());
  }
}

TEST_F(CacheRemote, DamageOfAnyByteIsAMissAndIsReplaced) {
  for (const int n : {7, 1000}) {
    {
      Cache a = Cache::open(a_, options());
      expect_right(a, n, false);
    }
    ASSERT_EQ(memory_.objects.size(), 1u);
    Data& object = memory_.objects.begin()->second;
    const Data whole = object;
    const std::size_t step = n == 7 ? 1 : 4999;
    for (std::size_t at = 0; at < whole.size(); at += at < 300 || at + 300 > whole.size() ? 1 : step) {
      object = whole;
      object[at] ^= std::byte{1};
      fs::remove_all(b_);
      Cache b = Cache::open(b_, options());
      EXPECT_FALSE((b.peek<std::vector<double>>("f", 1, n))) << at;
      ASSERT_EQ(b.stats().remote_hits, 0u) << at;
      ASSERT_EQ(b.stats().damaged, 1u) << at;
      ASSERT_EQ(warnings().size(), 1u) << at;
      ASSERT_EQ(b.stats().items, 0u);
      for (const auto& left : fs::directory_iterator(b_ + "/unfinished")) {
        ADD_FAILURE() << "left: " << left.path();
      }
    }
    for (std::size_t size = 0; size < whole.size(); size += size < 300 ? 1 : step) {
      object.assign(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
      fs::remove_all(b_);
      Cache b = Cache::open(b_, options());
      ASSERT_FALSE((b.peek<std::vector<double>>("f", 1, n))) << size;
      ASSERT_EQ(b.stats().damaged, 1u) << size;
    }
    object = whole;
    object.push_back(std::byte{0});
    fs::remove_all(b_);
    {
      Cache b = Cache::open(b_, options());
      expect_right(b, n, false);
    }
    EXPECT_NE(object, whole) << "another time of creation";
    Cache c = Cache::open(fresh("machine_c"), options());
    expect_right(c, n, true);
    warnings();
    memory_.objects.clear();
    fs::remove_all(a_);
  }
}

TEST_F(CacheRemote, FaultsOnTheWay) {
  {
    Cache a = Cache::open(a_, options());
    expect_right(a, 2000, false);
  }
  for (const Memory::Fault fault : {Memory::Fault::other_bytes, Memory::Fault::short_object}) {
    memory_.reads = fault;
    fs::remove_all(b_);
    Cache b = Cache::open(b_, options());
    expect_right(b, 2000, false);
    EXPECT_EQ(b.stats().damaged, 1u);
    EXPECT_EQ(b.stats().remote_hits, 0u);
    EXPECT_TRUE(b.flush());
  }
}

/// An object as another program may have made it.
void place(Memory& there, const CacheRecord& record, Bytes payload = {}) {
  Data made;
  std::vector<std::byte> bytes;
  write_parcel(record, payload, nullptr, *memory_sink(bytes));
  there.objects[parcel_name(record.key)] = Data(bytes.begin(), bytes.end());
}

TEST_F(CacheRemote, ObjectsThatSayWhatCannotBeAreMisses) {
  Cache a = Cache::open(a_, options());
  const Digest key = a.key({.name = "f", .version = 1}, 1);
  CacheRecord good{.key = key, .created = 1.7e9, .duration = 1, .name = "f", .version = "1", .metadata = {}};
  const auto expect_miss = [&](const CacheRecord& record, Bytes payload = {}) {
    place(memory_, record, payload);
    EXPECT_FALSE((a.peek<std::vector<double>>("f", 1, 1)));
    EXPECT_EQ(a.stats().remote_hits, 0u);
    EXPECT_EQ(warnings().size(), 1u);
  };
  const double not_a_number = std::numeric_limits<double>::quiet_NaN();
  for (const double time : {not_a_number, -1.0, 1e300, std::numeric_limits<double>::infinity()}) {
    CacheRecord bad = good;
    bad.created = time;
    expect_miss(bad);
    bad = good;
    bad.duration = time;
    expect_miss(bad);
  }
  CacheRecord bad = good;
  bad.expires = not_a_number;
  expect_miss(bad);
  bad = good;
  bad.metadata = "no archive";
  expect_miss(bad);
  bad = good;
  bad.file_bytes = 1;
  expect_miss(bad);
  for (const std::uint64_t bytes : {std::uint64_t{1} << 62, ~std::uint64_t{0}, ~std::uint64_t{0} - 7}) {
    bad = good;
    bad.form = CacheRecord::Form::file;
    bad.file_bytes = bytes;
    std::vector<std::byte> made;
    CacheRecord written = bad;
    written.write({}, 0, made);
    place(memory_, good);
    Data& object = memory_.objects[parcel_name(key)];
    object.resize(16);
    object.insert(object.end(), made.begin(), made.end());
    object[12] = static_cast<std::byte>(made.size() & 0xff);
    object[13] = static_cast<std::byte>(made.size() >> 8);
    EXPECT_FALSE((a.peek<std::vector<double>>("f", 1, 1)));
    EXPECT_EQ(warnings().size(), 1u);
  }
  // A record that is longer than any.
  place(memory_, good);
  memory_.objects[parcel_name(key)][15] = std::byte{0xff};
  EXPECT_FALSE((a.peek<std::vector<double>>("f", 1, 1)));
  EXPECT_EQ(warnings().size(), 1u);
  // The object of another key under this one's name.
  bad = good;
  bad.key.bytes[0] ^= std::byte{1};
  place(memory_, bad);
  memory_.objects[parcel_name(key)] = memory_.objects[parcel_name(bad.key)];
  EXPECT_FALSE((a.peek<std::vector<double>>("f", 1, 1)));
  EXPECT_EQ(warnings().size(), 1u);
  // A whole object whose payload is no value of that type: computed, and replaced.
  place(memory_, good, std::as_bytes(std::span(std::string_view("\x61x"))));
  expect_right(a, 1, false);
  EXPECT_TRUE(a.flush());
  Cache b = Cache::open(b_, options());
  expect_right(b, 1, true);
}

TEST_F(CacheRemote, ExpiryAndAgeAndValidityCount) {
  CacheCall call{.name = "f", .version = 1, .expires_after_s = 0.3};
  const auto compute = [&](int of) {
    ++computed_;
    return result_of(of);
  };
  {
    Cache a = Cache::open(a_, options());
    a.get_or_compute(call, 1, compute);
    expect_right(a, 2, false);
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(350));
  Cache b = Cache::open(b_, options());
  EXPECT_FALSE(b.get_or_compute({.name = "f", .version = 1}, 1, compute).hit) << "it has expired";
  EXPECT_TRUE(b.flush());
  EXPECT_EQ(b.stats().remote_stored, 1u) << "in the place of the one that has expired";
  CacheOptions young = options();
  young.age_limit_s = 0.2;
  Cache c = Cache::open(fresh("machine_c"), young);
  expect_right(c, 2, false);
  Cache d = Cache::open(fresh("machine_d"), options());
  call.expires_after_s = 0;
  call.valid = [](const CacheEntry&) { return false; };
  const int before = computed_;
  EXPECT_FALSE(d.get_or_compute(call, 2, compute).hit);
  EXPECT_EQ(computed_, before + 1);
  EXPECT_TRUE(warnings().empty());
}

TEST_F(CacheRemote, ForcedResultsReplaceThoseOfTheRemote) {
  const CacheCall call{.name = "g", .version = 1};
  Cache a = Cache::open(a_, options());
  EXPECT_EQ(a.get_or_compute(call, 1, [](int) { return 10; }).value, 10);
  EXPECT_TRUE(a.flush());
  Cache b = Cache::open(b_, options());
  EXPECT_FALSE((b.peek<int>({.name = "g", .version = 2}, 1)));
  EXPECT_EQ(b.force(call, 1, [](int) { return 20; }).value, 20);
  EXPECT_TRUE(b.flush());
  Cache c = Cache::open(fresh("machine_c"), options());
  EXPECT_EQ((c.peek<int>(call, 1)->value), 20);
}

TEST_F(CacheRemote, TheFirstResultStays) {
  const CacheCall call{.name = "g", .version = 1};
  Cache a = Cache::open(a_, options());
  Cache b = Cache::open(b_, options());
  int nested = 0;
  // Both have asked before either has written.
  const int first = a.get_or_compute(call, 1, [&](int) {
                       nested = b.get_or_compute(call, 1, [](int) { return 20; }).value;
                       EXPECT_TRUE(b.flush());
                       return 10;
                     }).value;
  EXPECT_TRUE(a.flush());
  EXPECT_EQ(first, 10);
  EXPECT_EQ(nested, 20);
  EXPECT_EQ(a.stats().remote_stored, 0u);
  Cache c = Cache::open(fresh("machine_c"), options());
  EXPECT_EQ((c.peek<int>(call, 1)->value), 20);
}

TEST_F(CacheRemote, StoresWithoutConditionsServeToo) {
  memory_.conditions = false;
  {
    Cache a = Cache::open(a_, options());
    for (const int n : {1, 2, 2000}) {
      expect_right(a, n, false);
    }
  }
  EXPECT_EQ(memory_.objects.size(), 3u);
  Cache b = Cache::open(b_, options());
  expect_right(b, 2, true);
  EXPECT_TRUE(warnings().empty());
}

TEST_F(CacheRemote, AReadOnlyCacheReadsTheRemoteAndWritesNothing) {
  CacheOptions local = options();
  local.remote.clear();
  {
    Cache::open(b_, local);
  }
  {
    Cache a = Cache::open(a_, options());
    expect_right(a, 1, false);
    expect_right(a, 2000, false);
  }
  const int before = memory_.written;
  CacheOptions reading = options();
  reading.read_only = true;
  Cache b = Cache::open(b_, reading);
  expect_right(b, 1, true);
  expect_right(b, 2000, true);
  expect_right(b, 3, false);
  EXPECT_TRUE(b.flush());
  EXPECT_EQ(memory_.written, before);
  EXPECT_EQ(b.stats().items, 0u);
  EXPECT_ERROR(b.push(), Errc::read_only, "reading alone");
  // What is there and cannot be read is reported here too.
  warnings();
  EXPECT_FALSE((b.peek<std::map<std::string, int>>("f", 1, 1)));
  EXPECT_EQ(warnings().size(), 1u);
  memory_.reads = Memory::Fault::other_bytes;
  EXPECT_FALSE((b.peek<std::vector<double>>("f", 1, 2000)));
  EXPECT_EQ(warnings().size(), 1u);
}

TEST_F(CacheRemote, LimitsAreOfTheFolderAlone) {
  CacheOptions small = options();
  small.items_limit = 2;
  {
    Cache a = Cache::open(a_, small);
    for (int n = 0; n < 10; ++n) {
      expect_right(a, n, false);
      EXPECT_TRUE(a.flush());
    }
    EXPECT_EQ(a.stats().items, 2u);
    for (int n = 0; n < 10; ++n) {
      expect_right(a, n, true);
    }
    EXPECT_EQ(a.stats().items, 2u);
  }
  EXPECT_EQ(memory_.objects.size(), 10u);
  {
    Cache a = Cache::open(a_, options());
    expect_right(a, 2000, false);  // 320 kB
  }
  small.items_limit = 0;
  small.bytes_limit = 400'000;
  Cache b = Cache::open(b_, small);
  expect_right(b, 2000, false);
  EXPECT_EQ(b.stats().items, 0u);
  EXPECT_EQ(b.stats().too_large, 2u);  // what the remote has, and what was computed
}

TEST_F(CacheRemote, RemovalIsLocalUnlessAsked) {
  Cache a = Cache::open(a_, options());
  const Digest key = a.key({.name = "f", .version = 1}, 1);
  expect_right(a, 1, false);
  EXPECT_TRUE(a.flush());
  EXPECT_TRUE(a.erase(key));
  expect_right(a, 1, true);
  a.clear();
  EXPECT_EQ(memory_.objects.size(), 1u);
  expect_right(a, 1, true);
  EXPECT_TRUE(a.erase(key, true));
  EXPECT_TRUE(memory_.objects.empty());
  EXPECT_FALSE(a.erase(key, true));
  expect_right(a, 1, false);
}

TEST_F(CacheRemote, ClosingWaitsNoLongerThanAllowed) {
  memory_.slow_ms = 500;
  CacheOptions given = options();
  given.remote_wait_s = 0.2;
  {
    Cache a = Cache::open(a_, given);
    for (int n = 0; n < 20; ++n) {
      a.put({.name = "f", .version = 1}, a.key({.name = "f", .version = 1}, n), 1, result_of(n));
    }
    const auto begin = Clock::now();
    a.close();
    EXPECT_LT(since(begin), 5);
    EXPECT_EQ(warnings().size(), 1u);
    const int asked = memory_.asked;
    EXPECT_FALSE((a.peek<std::vector<double>>("f", 1, 100)));
    expect_right(a, 101, false);  // without the remote
    EXPECT_EQ(memory_.asked, asked);
    EXPECT_TRUE(a.flush());
  }
  EXPECT_GE(memory_.objects.size(), 1u);
  EXPECT_LT(memory_.objects.size(), 20u);
}

TEST_F(CacheRemote, AChildOfForkLeavesItToTheParent) {
  Cache a = Cache::open(a_, options());
  memory_.slow_ms = 20;
  for (int n = 0; n < 5; ++n) {
    expect_right(a, n, false);
  }
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(20);
    try {
      a.flush();
      std::_Exit(1);
    } catch (const Error&) {
    }
    {
      Cache moved = std::move(a);
      moved.leave();
      moved.close();
    }
    if (test::sanitized) {  // ThreadSanitizer allows no threads here
      std::_Exit(0);
    }
    Cache again = Cache::open(a_, options());
    const bool right = result(again, 1).hit && !result(again, 100).hit && again.flush();
    std::_Exit(right ? 0 : 2);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  EXPECT_TRUE(a.flush());
  EXPECT_EQ(memory_.objects.size(), 5u);
}

TEST_F(CacheRemote, WhatCameFromThereIsKnown) {
  const auto from_remote = [](const Cache& cache) {
    std::map<std::string, bool> found;
    for (const CacheEntry& entry : cache.entries()) {
      found[entry.key.text()] = entry.from_remote;
    }
    return found;
  };
  {
    Cache a = Cache::open(a_, options());
    expect_right(a, 1, false);
    expect_right(a, 2000, false);
  }
  std::map<std::string, bool> expected;
  {
    Cache b = Cache::open(b_, options());
    expect_right(b, 1, true);
    expect_right(b, 2000, true);
    expect_right(b, 3, false);
    for (const int n : {1, 2000, 3}) {
      expected[b.key({.name = "f", .version = 1}, n).text()] = n != 3;
    }
    EXPECT_EQ(from_remote(b), expected);
  }
  EXPECT_TRUE(fs::remove(b_ + "/index"));  // it is made anew
  Cache b = Cache::open(b_);
  EXPECT_EQ(from_remote(b), expected);
  EXPECT_EQ(b.force("f", 1, 1, [](int n) { return result_of(n); }).value, result_of(1));
  expected[b.key({.name = "f", .version = 1}, 1).text()] = false;
  EXPECT_EQ(from_remote(b), expected);
  // In the remote itself it says nothing: who writes there could say anything.
  memory_.objects.clear();
  Cache again = Cache::open(b_, options());
  EXPECT_EQ(again.push(), 3u);
  Cache c = Cache::open(fresh("machine_c"), options());
  expect_right(c, 1, true);
  EXPECT_TRUE(c.entries().front().from_remote);
}

TEST_F(CacheRemote, AUrlIsNoFolderAndUnknownRemotesAreErrors) {
  EXPECT_ERROR(Cache::open("s3://bucket/results"), Errc::unsupported, "a cache is a local folder");
  CacheOptions bad = options();
  bad.remote = "unknown://place";
  EXPECT_ERROR(Cache::open(a_, bad), Errc::unsupported, "unknown://");
  Cache local = Cache::open(b_);
  EXPECT_ERROR(local.push(), Errc::invalid_argument, "no remote");
  EXPECT_TRUE(local.flush());
  EXPECT_FALSE(local.fetch(Digest{}));
}

}  // namespace
}  // namespace stele

// Damaged shards and indexes: a committed value is found or reported as lost; wrong bytes are never returned.

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>

#include "stele/store.hpp"
#include "support/test_support.hpp"

namespace stele {
namespace {

namespace fs = std::filesystem;
using Model = std::map<int, std::string>;

std::string text_of(int i) {
  return std::to_string(i) + std::string(static_cast<std::size_t>(i * 31 % 3000), static_cast<char>('a' + i % 26));
}

Model make(const std::string& path, int count, const std::string& codec = "plain") {
  fs::remove_all(path);
  StoreOptions options;
  options.shard_bytes = 256 << 10;
  options.codec = codec;
  Store store = Store::open(path, StoreMode::create, options);
  Model model;
  for (int i = 0; i < count; ++i) {
    store.put(i, model[i] = text_of(i));
    if (i % 97 == 96) {
      store.commit();
    }
  }
  store.put(count, model[count] = std::string(200'000, 'L'));
  store.close();
  return model;
}

/// Whether every key gives its value or an Error; otherwise `wrong` says what happened.
bool gives_values_or_errors(const std::string& path, const Model& model, std::string& wrong, int& errors) {
  try {
    const Store store = Store::open(path, StoreMode::read_only);
    for (const auto& [key, text] : model) {
      try {
        const auto found = store.find<std::string>(key);
        if (!found) {
          wrong = "key " + std::to_string(key) + " is reported as missing";
          return false;
        }
        if (*found != text) {
          wrong = "key " + std::to_string(key) + " has another value";
          return false;
        }
      } catch (const Error&) {
        ++errors;
      }
    }
    try {
      auto expected = model.begin();
      for (const StoreItem& item : store.items()) {
        if (expected == model.end() || item.key.integer() != expected->first || item.value.text() != expected->second) {
          wrong = "iteration gives other items";
          return false;
        }
        ++expected;
      }
      if (expected != model.end()) {
        wrong = "iteration ends early";
        return false;
      }
    } catch (const Error&) {
      ++errors;
    }
    errors += store.check().good() ? 0 : 1;
  } catch (const Error&) {
    ++errors;
  }
  return true;
}

/// Runs `check` in a child, so that a crash is reported as a failure.
std::string in_child(const std::function<std::string()>& check) {
  int ends[2];
  if (::pipe(ends) != 0) {
    return "no pipe";
  }
  const pid_t child = ::fork();
  if (child == 0) {
    const std::string text = check();
    [[maybe_unused]] const auto written = ::write(ends[1], text.data(), text.size());
    std::_Exit(0);
  }
  ::close(ends[1]);
  std::string text;
  char buffer[512];
  for (ssize_t got = 0; (got = ::read(ends[0], buffer, sizeof buffer)) > 0;) {
    text.append(buffer, static_cast<std::size_t>(got));
  }
  ::close(ends[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0
             ? text
             : "the program ended with status " + std::to_string(status) + ' ' + text;
}

std::vector<std::string> shards_of(const std::string& path) {
  std::vector<std::string> files;
  for (const auto& file : fs::directory_iterator(path)) {
    if (file.path().extension() == ".shard") {
      files.push_back(file.path().string());
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

class Patch {
 public:
  Patch(std::string path, std::uint64_t at, unsigned flip) : path_(std::move(path)), at_(at), flip_(flip) { apply(); }
  ~Patch() { apply(); }
  Patch(const Patch&) = delete;
  Patch& operator=(const Patch&) = delete;

 private:
  void apply() {
    std::fstream file(path_, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(static_cast<std::streamoff>(at_));
    const int byte = file.get();
    file.seekp(static_cast<std::streamoff>(at_));
    file.put(static_cast<char>(byte ^ static_cast<int>(flip_)));
  }
  std::string path_;
  std::uint64_t at_;
  unsigned flip_;
};

TEST(StoreDamage, FlippedBytesOfShards) {
  for (const std::string codec : {"plain", "zstd"}) {
    if (codec == "zstd" && !test::has_codec(codec)) {
      continue;
    }
    const std::string path = "shards_" + codec;
    const Model model = make(path, 300, codec);
    std::mt19937 random(1);
    int noticed = 0;
    int tried = 0;
    for (const std::string& shard : shards_of(path)) {
      const std::uint64_t size = fs::file_size(shard);
      for (int i = 0; i < 25; ++i) {
        const std::uint64_t at = i < 5 ? static_cast<std::uint64_t>(i) * 30 : random() % size;
        const Patch patch(shard, at, 1U << (random() % 8));
        std::string wrong;
        int errors = 0;
        EXPECT_TRUE(gives_values_or_errors(path, model, wrong, errors)) << shard << " at " << at << ": " << wrong;
        ++tried;
        noticed += errors > 0 ? 1 : 0;
      }
    }
    EXPECT_GT(noticed, tried * 3 / 4);  // others hit fillers, marks of commits or the unused part of a header
  }
}

TEST(StoreDamage, CutAndMissingShards) {
  const std::string path = "cut";
  const Model model = make(path, 300);
  const std::vector<std::string> shards = shards_of(path);
  for (const std::string& shard : {shards.front(), shards.back()}) {
    const std::uint64_t size = fs::file_size(shard);
    for (const std::uint64_t length : {std::uint64_t{0}, std::uint64_t{5}, std::uint64_t{128}, size / 2, size - 1}) {
      fs::copy_file(shard, "whole", fs::copy_options::overwrite_existing);
      fs::resize_file(shard, length);
      std::string wrong;
      int errors = 0;
      EXPECT_TRUE(gives_values_or_errors(path, model, wrong, errors)) << length << ": " << wrong;
      if (length + 1 < size) {  // the last byte is of the mark of a commit
        EXPECT_GT(errors, 0) << length;
      }
      fs::copy_file("whole", shard, fs::copy_options::overwrite_existing);
    }
    fs::rename(shard, "whole");
    std::string wrong;
    int errors = 0;
    EXPECT_TRUE(gives_values_or_errors(path, model, wrong, errors)) << wrong;
    EXPECT_GT(errors, 0);
    fs::rename("whole", shard);
  }
}

TEST(StoreDamage, FlippedBytesOfTheIndex) {
  const std::string path = "index";
  const Model model = make(path, 3000);
  const std::string file = path + "/index.lmdb";
  const std::uint64_t size = fs::file_size(file);
  std::mt19937 random(2);
  int noticed = 0;
  constexpr int tries = test::sanitized ? 100 : 400;
  for (int i = 0; i < tries; ++i) {
    const std::uint64_t page = random() % (size / 4096);
    const std::uint64_t at = page * 4096 + (i % 2 == 0 ? random() % 64 : random() % 4096);  // heads of pages as well
    const unsigned flip = 1U << (random() % 8);
    const Patch patch(file, at, flip);
    const std::string answer = in_child([&] {
      std::string wrong;
      int errors = 0;
      const bool good = gives_values_or_errors(path, model, wrong, errors);
      return good ? (errors > 0 ? std::string("noticed") : std::string("fine")) : "WRONG: " + wrong;
    });
    EXPECT_TRUE(answer == "noticed" || answer == "fine") << "at " << at << " bit " << flip << ": " << answer;
    noticed += answer == "noticed" ? 1 : 0;
  }
  EXPECT_GT(noticed, tries / 20);  // most of the pages of so small an index are free ones
}

TEST(StoreDamage, CutIndex) {
  const std::string path = "cut_index";
  const Model model = make(path, 3000);
  const std::string file = path + "/index.lmdb";
  fs::copy_file(file, "whole_index", fs::copy_options::overwrite_existing);
  const std::uint64_t size = fs::file_size(file);
  for (const std::uint64_t length : {std::uint64_t{0}, std::uint64_t{100}, std::uint64_t{4096}, std::uint64_t{8192},
                                     size / 2, size - 4096, size - 1}) {
    fs::resize_file(file, length);
    const std::string answer = in_child([&] {
      std::string wrong;
      int errors = 0;
      return gives_values_or_errors(path, model, wrong, errors) ? std::string("good") : wrong;
    });
    EXPECT_EQ(answer, "good") << length;
    fs::copy_file("whole_index", file, fs::copy_options::overwrite_existing);
  }
}

/// Writes to a store, where that is possible.
std::string writes_or_errors(const std::string& path) {
  try {
    Store store = Store::open(path, StoreMode::read_write);
    for (int i = 0; i < 300; ++i) {
      store.put(i * 13, std::to_string(i));
      if (i % 3 == 0) {
        store.erase(i * 7);
      }
      if (i % 100 == 99) {
        store.commit();
      }
    }
    store.close();
    return "written";
  } catch (const Error& error) {
    return "noticed";
  }
}

TEST(StoreDamage, EveryByteOfTheFirstPagesOfTheIndex) {
  const std::string path = "meta";
  const Model model = make(path, 200);
  const std::string file = path + "/index.lmdb";
  int noticed = 0;
  for (const std::uint64_t page : {std::uint64_t{0}, std::uint64_t{4096}}) {
    for (std::uint64_t at = page; at < page + 160; ++at) {
      for (const unsigned flip : {0x01U, 0x02U, 0x80U, 0xffU}) {
        if (test::sanitized && at % 3 != flip % 3) {
          continue;
        }
        const Patch patch(file, at, flip);
        const std::string answer = in_child([&] {
          std::string wrong;
          int errors = 0;
          return gives_values_or_errors(path, model, wrong, errors) ? std::string(errors > 0 ? "noticed" : "fine")
                                                                    : wrong;
        });
        EXPECT_TRUE(answer == "noticed" || answer == "fine") << "at " << at << " flip " << flip << ": " << answer;
        noticed += answer == "noticed" ? 1 : 0;
      }
    }
  }
  EXPECT_GT(noticed, 50);
}

TEST(StoreDamage, TheSizeOfPagesInTheIndexIsZero) {
  const std::string path = "page_size";
  for (const std::uint64_t at : {std::uint64_t{40}, std::uint64_t{4136}}) {
    make(path, 50);
    std::fstream file(path + "/index.lmdb", std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(at));
    file.write("\0\0\0\0", 4);
    file.close();
    for (const StoreMode mode : {StoreMode::read_only, StoreMode::read_write}) {
      EXPECT_EQ(in_child([&] {
                  try {
                    Store::open(path, mode);
                  } catch (const Error& error) {
                    return std::string(error.code() == Errc::damaged ? "damaged" : error.what());
                  }
                  return std::string("opened");
                }),
                "damaged");
    }
    EXPECT_TRUE(Store::recover(path).good());
    EXPECT_EQ(Store::open(path).size(), 51U);
  }
}

/// Overwrites parts of an index, whose pages are checked on opening or not, and reads and writes.
void expect_survives_overwritten_pages(const std::string& path, const Model& model, int tries) {
  const std::string file = path + "/index.lmdb";
  fs::remove_all(path + ".whole");
  fs::copy(path, path + ".whole");
  const std::uint64_t size = fs::file_size(file);
  std::mt19937 random(4);
  int noticed = 0;
  for (int i = 0; i < tries; ++i) {
    {
      std::fstream out(file, std::ios::in | std::ios::out | std::ios::binary);
      const int times = i % 4 == 0 ? 40 : 1;
      for (int time = 0; time < times; ++time) {
        const std::uint64_t page = 2 + random() % (size / 4096 - 2);
        const std::uint64_t at = page * 4096 + (i % 3 == 0 ? 0 : i % 3 == 1 ? random() % 64 : random() % 4096);
        const std::size_t length = std::min<std::uint64_t>(size - at, i % 3 == 0 ? 4096 : 1 + random() % 8);
        std::string bytes(length, '\0');
        if (i % 5 != 0) {
          for (char& byte : bytes) {
            byte = static_cast<char>(random());
          }
        }
        out.seekp(static_cast<std::streamoff>(at));
        out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
      }
    }
    if (i % 7 == 6) {
      fs::resize_file(file, random() % size);
    }
    const std::string read = in_child([&] {
      std::string wrong;
      int errors = 0;
      return gives_values_or_errors(path, model, wrong, errors) ? std::string(errors > 0 ? "noticed" : "fine") : wrong;
    });
    EXPECT_TRUE(read == "noticed" || read == "fine") << i << ": " << read;
    const std::string written = in_child([&] { return writes_or_errors(path); });
    EXPECT_TRUE(written == "noticed" || written == "written") << i << ": " << written;
    noticed += read == "noticed" || written == "noticed" ? 1 : 0;
    for (const auto& whole : fs::directory_iterator(path + ".whole")) {
      fs::copy_file(whole.path(), fs::path(path) / whole.path().filename(), fs::copy_options::overwrite_existing);
    }
  }
  EXPECT_GT(noticed, tries / 20);
}

TEST(StoreDamage, OverwrittenPagesOfASmallIndex) {
  const std::string path = "small_index";
  expect_survives_overwritten_pages(path, make(path, 5000), test::sanitized ? 20 : 100);
}

TEST(StoreDamage, OverwrittenPagesOfAnIndexThatIsNotCheckedWhenOpened) {
  const std::string path = "large_index";
  fs::remove_all(path);
  Model model;
  {
    Store store = Store::open(path);
    std::mt19937_64 random(5);
    constexpr int count = 140'000;
    for (int i = 0; i < count; ++i) {  // keys that take a lot
      std::string key(470, 'k');
      for (char& c : key) {
        c = static_cast<char>(random());
      }
      store.put(StoreKey(std::as_bytes(std::span(key))), "v");
    }
    for (int i = 0; i < 200; ++i) {
      store.put(i, model[i] = text_of(i));
    }
    store.close();
  }
  ASSERT_GT(fs::file_size(path + "/index.lmdb"), std::uint64_t{64} << 20);
  const std::string file = path + "/index.lmdb";
  fs::copy_file(file, "large_index.whole", fs::copy_options::overwrite_existing);
  const std::uint64_t size = fs::file_size(file);
  std::mt19937 random(6);
  constexpr int tries = test::sanitized ? 4 : 12;
  for (int i = 0; i < tries; ++i) {
    {
      std::fstream out(file, std::ios::in | std::ios::out | std::ios::binary);
      for (int time = 0; time < 3000; ++time) {  // a good part of the pages
        const std::uint64_t at = (2 + random() % (size / 4096 - 2)) * 4096 + (time % 2 == 0 ? 0 : random() % 4000);
        std::string bytes(1 + random() % 60, '\0');
        for (char& byte : bytes) {
          byte = static_cast<char>(random());
        }
        out.seekp(static_cast<std::streamoff>(at));
        out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
      }
    }
    const std::string answer = in_child([&]() -> std::string {
      int errors = 0;
      try {
        const Store store = Store::open(path, StoreMode::read_only);
        for (const auto& [key, text] : model) {
          try {
            if (store.find<std::string>(key) != text) {
              return "another value";
            }
          } catch (const Error&) {
            ++errors;
          }
        }
        for (const bool reverse : {false, true}) {
          try {
            for (const StoreKey& key : store.keys({.reverse = reverse})) {
              static_cast<void>(key);
            }
          } catch (const Error&) {
            ++errors;
          }
        }
        store.stats();
      } catch (const Error&) {
        ++errors;
      }
      return errors > 0 ? "noticed" : "fine";
    });
    EXPECT_TRUE(answer == "noticed" || answer == "fine") << i << ": " << answer;
    const std::string written = in_child([&] { return writes_or_errors(path); });
    EXPECT_EQ(written, "noticed") << i;
    fs::copy_file("large_index.whole", file, fs::copy_options::overwrite_existing);
  }
  fs::remove("large_index.whole");
  fs::remove_all(path);
}

TEST(StoreDamage, RecoveryReportsWhatIsLost) {
  const std::string path = "recovery";
  const Model model = make(path, 300);
  std::mt19937 random(3);
  for (int i = 0; i < 40; ++i) {
    const std::vector<std::string> shards = shards_of(path);
    const std::string shard = shards[random() % shards.size()];
    const Patch patch(shard, 128 + random() % (fs::file_size(shard) - 128), 1U << (random() % 8));
    fs::remove(path + "/index.lmdb");
    const StoreReport report = Store::recover(path);
    const Store store = Store::open(path, StoreMode::read_only);
    std::uint64_t missing = 0;
    for (const auto& [key, text] : model) {
      const auto found = store.find<std::string>(key);
      missing += found ? 0 : 1;
      EXPECT_TRUE(!found || *found == text);
    }
    EXPECT_EQ(report.values + missing, model.size());
    EXPECT_TRUE(missing == 0 || report.lost_bytes > 0 || !report.good()) << missing;
    EXPECT_LE(missing, 97U);  // a damaged mark loses its whole commit, in the last shard
    EXPECT_TRUE(store.check().good());
  }
}

TEST(StoreDamage, ErrorsNameTheShardThePathAndTheOffset) {
  using Layers = std::map<std::string, std::vector<double>>;
  for (const std::string codec : {"plain", "zstd", "gzip"}) {
    if (!test::has_codec(codec)) {
      continue;
    }
    const std::string path = test::fresh("places.store");
    StoreOptions options;
    options.codec = codec;
    Store store = Store::open(path, StoreMode::create, options);
    const Layers layers{{"a", test::numbers<double>(20'000)}, {"b", test::numbers<double>(20'000, 2)}};
    store.put("layers", layers);
    store.put("small", std::map<std::string, int>{{"n", 1}});
    store.commit();
    using Wrong = std::map<std::string, std::vector<std::string>>;
    const Error wrong = test::error_of([&] { store.get<Wrong>("layers"); });
    EXPECT_EQ(wrong.file().substr(0, path.size() + 1), path + "/") << codec << ": " << wrong.what();
    EXPECT_EQ(wrong.path(), "a") << wrong.what();
    EXPECT_NE(std::string(wrong.what()).find(wrong.file() + ": a: "), std::string::npos) << wrong.what();
    EXPECT_TRUE(wrong.offset()) << wrong.what();
    EXPECT_EQ(test::error_of([&] { store.get<Wrong>("small"); }).path(), "n");
    store.close();
    std::string shard;
    for (const auto& file : fs::directory_iterator(path)) {
      if (file.path().extension() != ".lmdb" && file.file_size() > 100'000) {
        shard = file.path().string();
      }
    }
    test::Data bytes = test::content(shard);
    bytes[100'000] ^= std::byte{1};
    test::put(shard, bytes);
    const Store again = Store::open(path, StoreMode::read_only, {.verify = Verify::full});
    const Error damaged = test::error_of([&] { again.get<Layers>("layers"); });
    EXPECT_EQ(damaged.file(), shard) << codec << ": " << damaged.what();
    EXPECT_NE(std::string(damaged.what()).find(shard), std::string::npos) << damaged.what();
    fs::remove_all(path);
  }
  const Error none = test::error_of([] { Store::open("no such store", StoreMode::read_only); });
  EXPECT_EQ(none.file(), "no such store");
}

}  // namespace
}  // namespace stele

// An index and shards that do not belong together: files restored from a backup, copied while they were written,
// synchronised only in part, a shard missing, or one from another store. Writes and verify() report it, nothing is
// truncated or removed, and recover() finds everything that exists. Files left by a killed writer are not such a case.

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <random>

#include "stele/store.hpp"
#include "support/test_support.hpp"

namespace stele {
namespace {

namespace fs = std::filesystem;
using test::error_of;
using test::Folder;
using Model = std::map<std::string, std::string>;

StoreOptions small_shards() {
  StoreOptions options;
  options.shard_bytes = 64 << 10;
  return options;
}

/// One commit, as the command line makes them.
void put(const std::string& path, Model& model, const std::string& key, std::size_t size = 10) {
  Store store = Store::open(path, StoreMode::create, small_shards());
  std::string text = key + '=';
  text.resize(std::max(size, text.size()), 'x');
  store.put(key, model[key] = text);
  store.close();
}

std::map<std::string, std::uint64_t> shard_sizes(const std::string& path) {
  std::map<std::string, std::uint64_t> sizes;
  for (const auto& file : fs::directory_iterator(path)) {
    if (file.path().extension() == ".shard") {
      sizes[file.path().filename().string()] = file.file_size();
    }
  }
  return sizes;
}

void copy(const std::string& from, const std::string& to) {
  fs::remove_all(to);
  fs::copy(from, to, fs::copy_options::recursive);
}

void expect_holds(const std::string& path, const Model& model) {
  const Store store = Store::open(path, StoreMode::read_only);
  for (const auto& [key, text] : model) {
    EXPECT_EQ(store.find<std::string>(key), text) << key;
  }
  EXPECT_EQ(store.size(), model.size());
  const StoreReport report = store.check();
  EXPECT_TRUE(report.good()) << report.problems[0];
}

/// Every write is refused with a message that names recover(), check() lists it, verify() throws, and no file of a
/// shard changes.
void expect_refuses(const std::string& path) {
  const auto before = shard_sizes(path);
  const std::vector<std::function<void(Store&)>> writes = {
      [](Store& store) { store.put("new", "value"); },
      [](Store& store) { store.erase("k1"); },
      [](Store& store) { store.commit(); },
      [](Store& store) { store.flush(); },
      [](Store& store) { store.vacuum({.dead_share = 0}); },
      [](Store& store) { store.batch().commit(); },
      [](Store& store) { store.update<std::string>("k1", [](std::string& text) { text += '+'; }); },
  };
  for (const auto& write : writes) {
    Store store = Store::open(path, StoreMode::read_write);
    EXPECT_ERROR(write(store), Errc::damaged, "recover");
  }
  EXPECT_ERROR(Store::open(path, StoreMode::read_only).verify(), Errc::damaged, "");
  const StoreReport report = Store::open(path, StoreMode::read_only).check();
  ASSERT_FALSE(report.good());
  bool names = false;
  for (const std::string& problem : report.problems) {
    names = names || problem.find("recover") != std::string::npos;
  }
  EXPECT_TRUE(names) << report.problems[0];
  EXPECT_EQ(shard_sizes(path), before);
}

TEST(StoreFit, AnIndexOlderThanItsShardsIsNotWrittenTo) {
  const Folder folder;
  const std::string path = folder / "store";
  Model model;
  for (int i = 1; i <= 3; ++i) {
    put(path, model, "k" + std::to_string(i));
  }
  fs::copy_file(path + "/index.lmdb", folder / "old");
  for (int i = 4; i <= 7; ++i) {
    put(path, model, "k" + std::to_string(i));
  }
  fs::copy_file(folder / "old", path + "/index.lmdb", fs::copy_options::overwrite_existing);
  expect_refuses(path);
  EXPECT_EQ(Store::open(path, StoreMode::read_only).size(), 3U);  // what it knows can be read
  const StoreReport report = Store::recover(path);
  EXPECT_TRUE(report.good()) << report.problems[0];
  expect_holds(path, model);
  put(path, model, "k8");
  expect_holds(path, model);
}

TEST(StoreFit, AnIndexOneCommitOlderIsBroughtUpToDate) {
  const Folder folder;
  const std::string path = folder / "store";
  Model model;
  put(path, model, "k1");
  put(path, model, "k2");
  fs::copy_file(path + "/index.lmdb", folder / "old");
  {
    Store store = Store::open(path, StoreMode::create, small_shards());
    StoreBatch batch = store.batch();
    batch.erase("k1");
    model.erase("k1");
    for (int i = 0; i < 40; ++i) {  // in several shards
      batch.put("big" + std::to_string(i), model["big" + std::to_string(i)] = std::string(6000, 'b'));
    }
    batch.commit();
  }
  fs::copy_file(folder / "old", path + "/index.lmdb", fs::copy_options::overwrite_existing);
  EXPECT_TRUE(Store::open(path, StoreMode::read_only).check().good());
  put(path, model, "k3");
  expect_holds(path, model);
  fs::remove(path + "/index.lmdb");
  EXPECT_TRUE(Store::recover(path).good());
  expect_holds(path, model);
}

TEST(StoreFit, AnOldIndexDoesNotRemoveNewShards) {
  const Folder folder;
  const std::string path = folder / "store";
  Model model;
  put(path, model, "k1");
  fs::copy_file(path + "/index.lmdb", folder / "old");
  for (int i = 2; i < 30; ++i) {
    put(path, model, "k" + std::to_string(i), 20'000);
  }
  ASSERT_GT(shard_sizes(path).size(), 5U);
  fs::copy_file(folder / "old", path + "/index.lmdb", fs::copy_options::overwrite_existing);
  expect_refuses(path);
  EXPECT_TRUE(Store::recover(path).good());
  expect_holds(path, model);
}

TEST(StoreFit, OldAndNewFilesOverAVacuumDoNotBelongTogether) {
  const Folder folder;
  const std::string path = folder / "store";
  Model model;
  for (int i = 1; i <= 20; ++i) {
    put(path, model, "k" + std::to_string(i), 9000);
  }
  for (int i = 2; i <= 18; i += 2) {
    put(path, model, "k" + std::to_string(i), 100);
  }
  copy(path, folder / "before");
  {
    Store store = Store::open(path);
    EXPECT_GT(store.vacuum({.dead_share = 0}), 0U);
  }
  expect_holds(path, model);
  copy(path, folder / "after");
  // the old index, the new shards
  fs::copy_file(folder / "before/index.lmdb", path + "/index.lmdb", fs::copy_options::overwrite_existing);
  expect_refuses(path);
  EXPECT_TRUE(Store::recover(path).good());
  expect_holds(path, model);
  // the new index, the old shards
  copy(folder / "before", path);
  fs::copy_file(folder / "after/index.lmdb", path + "/index.lmdb", fs::copy_options::overwrite_existing);
  expect_refuses(path);
  Store::recover(path);
  expect_holds(path, model);
}

TEST(StoreFit, AShardThatIsMissingCutOldOrOfAnotherStore) {
  const Folder folder;
  const std::string path = folder / "store";
  Model model;
  put(path, model, "k1", 1000);
  copy(path, folder / "early");
  for (int i = 2; i < 12; ++i) {
    put(path, model, "k" + std::to_string(i), 20'000);
  }
  copy(path, folder / "whole");
  Model other_model;
  for (int i = 1; i < 12; ++i) {
    put(folder / "other", other_model, "k" + std::to_string(i), i == 1 ? 1000 : 20'000);
  }
  const std::string first = path + "/00000001.shard";
  const std::vector<std::function<void()>> changes = {
      [&] { fs::remove(first); },
      [&] { fs::resize_file(first, fs::file_size(first) - 1); },
      [&] { fs::resize_file(first, 130); },
      [&] { fs::resize_file(first, 0); },
      [&] { fs::copy_file(folder / "early/00000001.shard", first, fs::copy_options::overwrite_existing); },
      [&] { fs::copy_file(folder / "other/00000001.shard", first, fs::copy_options::overwrite_existing); },
      [&] { fs::copy_file(path + "/00000002.shard", first, fs::copy_options::overwrite_existing); },
      [&] { fs::copy_file(folder / "other/index.lmdb", path + "/index.lmdb", fs::copy_options::overwrite_existing); },
      [&] { fs::copy_file(folder / "early/index.lmdb", path + "/index.lmdb", fs::copy_options::overwrite_existing); },
  };
  for (std::size_t i = 0; i < changes.size(); ++i) {
    SCOPED_TRACE(i);
    copy(folder / "whole", path);
    changes[i]();
    expect_refuses(path);
    const StoreReport report = Store::recover(path);
    EXPECT_EQ(report.good(), i >= 7);
    const Store store = Store::open(path, StoreMode::read_write);
    for (const StoreItem& item : store.items()) {
      EXPECT_EQ(item.value.text(), model.at(std::string(item.key.text())));
    }
    EXPECT_EQ(store.size(), report.values);
  }
}

TEST(StoreFit, CopiesOfAStoreThatHavePartedDoNotBelongTogether) {
  const Folder folder;
  const std::string path = folder / "store";
  Model model;
  put(path, model, "k1");
  copy(path, folder / "twin");
  Model twin = model;
  put(path, model, "k2");
  put(folder / "twin", twin, "k2");
  ASSERT_EQ(fs::file_size(path + "/00000001.shard"), fs::file_size(folder / "twin/00000001.shard"));
  fs::copy_file(folder / "twin/00000001.shard", path + "/00000001.shard", fs::copy_options::overwrite_existing);
  expect_refuses(path);
}

TEST(StoreFit, CopiesMadeWhileItIsWrittenAreUsedOrRefused) {
  const Folder folder;
  const std::string path = folder / "store";
  Model model;
  put(path, model, "k0");
  const pid_t child = ::fork();
  if (child == 0) {
    Store store = Store::open(path, StoreMode::create, small_shards());
    for (int i = 0;; ++i) {
      store.put(std::to_string(i % 50),
                std::string(static_cast<std::size_t>(i % 9000), static_cast<char>('a' + i % 26)));
      if (i % 3 == 0) {
        store.commit();
      }
      if (i % 400 == 399) {
        store.vacuum({.dead_share = 0.3});
      }
    }
  }
  int refused = 0;
  constexpr int tries = test::sanitized ? 20 : 60;
  for (int i = 0; i < tries; ++i) {
    const std::string to = folder / "copy";
    fs::remove_all(to);
    fs::create_directory(to);
    std::vector<std::string> names;
    for (const auto& file : fs::directory_iterator(path)) {
      names.push_back(file.path().filename().string());
    }
    std::sort(names.begin(), names.end());
    if (i % 2 == 0) {
      std::reverse(names.begin(), names.end());
    }
    for (const std::string& name : names) {
      std::error_code gone;
      fs::copy_file(path + '/' + name, to + '/' + name, gone);
    }
    const auto before = shard_sizes(to);
    try {
      Store store = Store::open(to, StoreMode::read_write);
      store.put("written", "to the copy");
      store.commit();
      EXPECT_TRUE(store.check().good()) << i;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Errc::damaged) << error.what();
      EXPECT_NE(std::string(error.what()).find("recover"), std::string::npos) << error.what();
      EXPECT_EQ(shard_sizes(to), before);
      ++refused;
      Store::recover(to);
      Store store = Store::open(to, StoreMode::read_write);
      store.put("written", "to the copy");
      store.commit();
      EXPECT_TRUE(store.check().good()) << i;
    }
  }
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  RecordProperty("refused", refused);
}

TEST(StoreFit, WritersThatWereKilledLeaveNothingToRecover) {
  const Folder folder;
  const std::string path = folder / "store";
  std::mt19937 random(1);
  constexpr int tries = test::sanitized ? 15 : 60;
  for (int i = 0; i < tries; ++i) {
    const pid_t child = ::fork();
    if (child == 0) {
      Store store = Store::open(path, StoreMode::create, small_shards());
      for (int n = 0;; ++n) {
        StoreBatch batch = store.batch();
        for (int k = 0; k < 1 + n % 30; ++k) {
          batch.put(std::to_string(k), std::to_string(n) + std::string(static_cast<std::size_t>(n * 37 % 9000), 'x'));
        }
        batch.put("n", n);
        batch.commit();
        if (n % 20 == 19) {
          store.vacuum({.dead_share = 0.2});
        }
      }
    }
    ::usleep(static_cast<useconds_t>(1000 + random() % 30'000));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    if (!fs::exists(path + "/index.lmdb")) {
      continue;
    }
    Store store = Store::open(path, StoreMode::read_write);
    const StoreReport before = store.check();
    EXPECT_TRUE(before.good()) << i << ": " << before.problems[0];
    store.put("after", i);
    store.commit();
    if (const auto n = store.find<int>("n")) {  // a batch is there as a whole
      for (int k = 0; k < 1 + *n % 30; ++k) {
        EXPECT_TRUE(store.get<std::string>(std::to_string(k)).starts_with(std::to_string(*n)));
      }
    }
    EXPECT_TRUE(store.check().good());
    ASSERT_FALSE(HasFailure());
  }
}

TEST(StoreRecovery, NamesWhatIsLostAndKeepsErasedKeysErased) {
  const Folder folder;
  const std::string path = folder / "store";
  Model model;
  for (int i = 0; i < 30; ++i) {
    put(path, model, "k" + std::to_string(i), 9000);
  }
  {
    Store store = Store::open(path);
    for (int i = 0; i < 30; i += 3) {
      store.erase("k" + std::to_string(i));
      model.erase("k" + std::to_string(i));
    }
    store.put("k1", model["k1"] = "newer");
  }
  copy(path, folder / "whole");
  for (const auto& [shard, size] : shard_sizes(path)) {
    for (const std::uint64_t length : {std::uint64_t{0}, size / 2, size - 1}) {
      for (const bool with_index : {true, false}) {
        SCOPED_TRACE(shard + " cut to " + std::to_string(length) + (with_index ? "" : " without the index"));
        copy(folder / "whole", path);
        length == 0 ? static_cast<void>(fs::remove(path + '/' + shard)) : fs::resize_file(path + '/' + shard, length);
        if (with_index) {
          EXPECT_FALSE(Store::open(path, StoreMode::read_only).check().good());
        } else {
          fs::remove(path + "/index.lmdb");
        }
        const StoreReport report = Store::recover(path);
        const bool is_last = shard == shard_sizes(folder / "whole").rbegin()->first;
        if (!with_index && is_last && length > 0) {
          continue;  // as if a writer had died
        }
        EXPECT_FALSE(report.good());
        EXPECT_EQ(report.lost_shards, length == 0 ? 1U : 0U);
        EXPECT_GT(report.lost_bytes, 0U);
        const Store store = Store::open(path, StoreMode::read_only);
        std::uint64_t missing = 0;
        for (const auto& [key, text] : model) {
          const auto found = store.find<std::string>(key);
          missing += found ? 0 : 1;
          if (found && *found != text) {
            EXPECT_NE(std::find(report.uncertain.begin(), report.uncertain.end(), StoreKey(key)),
                      report.uncertain.end())
                << key;
          }
        }
        if (with_index) {
          EXPECT_EQ(report.lost_values, missing);
        }
        for (const StoreItem& item : store.items()) {
          const bool was_erased = !model.contains(std::string(item.key.text()));
          EXPECT_FALSE(with_index && was_erased) << item.key.describe();
          if (was_erased) {
            EXPECT_NE(std::find(report.uncertain.begin(), report.uncertain.end(), item.key), report.uncertain.end());
          }
        }
        EXPECT_TRUE(store.check().good());
      }
    }
  }
}

TEST(StoreRecovery, ReportsNothingIfNothingIsLost) {
  const Folder folder;
  const std::string path = folder / "store";
  Model model;
  for (int i = 0; i < 30; ++i) {
    put(path, model, "k" + std::to_string(i), 9000);
  }
  {
    Store store = Store::open(path);
    for (int i = 0; i < 30; i += 3) {
      store.erase("k" + std::to_string(i));
      model.erase("k" + std::to_string(i));
    }
    store.vacuum({.dead_share = 0.1});
  }
  for (const bool with_index : {true, false}) {
    if (!with_index) {
      fs::remove(path + "/index.lmdb");
    }
    const StoreReport report = Store::recover(path);
    EXPECT_TRUE(report.good()) << report.problems[0];
    EXPECT_EQ(report.uncertain_count, 0U);
    EXPECT_EQ(report.lost_bytes, 0U);
    expect_holds(path, model);
  }
}

}  // namespace
}  // namespace stele

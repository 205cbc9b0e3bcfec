// A store whose system calls fail, each in turn, and whose disk is full: committed values stay, uncommitted ones are
// kept or undone, and the store works again after the fault.

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdarg>
#include <filesystem>
#include <map>

#include "io/system.hpp"
#include "stele/store.hpp"
#include "support/test_support.hpp"

namespace stele {
namespace {

namespace fs = std::filesystem;
using Model = std::map<int, std::string>;
using test::Folder;

/// Which call fails next.
struct Plan {
  int countdown = -1;  // calls that still succeed; -1: all
  int times = 1;       // how many fail then
  int error = EIO;
  bool seen = false;
  std::string call = {};

  bool fails(const char* name) {
    if (countdown < 0 || countdown-- > 0) {
      return false;
    }
    if (--times > 0) {
      countdown = 0;
    }
    if (!seen) {
      call = name;
    }
    seen = true;
    errno = error;
    return true;
  }
};
Plan plan;

const SystemCalls& real() {
  static const SystemCalls calls = system_calls();
  return calls;
}

int failing_fcntl(int fd, int command, ...) {
  va_list arguments;
  va_start(arguments, command);
  void* const argument = va_arg(arguments, void*);
  va_end(arguments);
  return plan.fails("fcntl") ? -1 : real().fcntl(fd, command, argument);
}

/// Thousands of commits that LMDB waits for take minutes on a device that others use.
struct FoldersInMemory {
  FoldersInMemory() {
    if (::access("/dev/shm", W_OK | X_OK) == 0) {
      ::setenv("TMPDIR", "/dev/shm", 1);
    }
  }
};

class StoreFaults : public testing::Test {
 protected:
  void SetUp() override {
    real();
    SystemCalls& calls = system_calls();
    calls.open = [](const char* path, int flags, mode_t mode) {
      return plan.fails("open") ? -1 : real().open(path, flags, mode);
    };
    calls.pread = [](int fd, void* into, std::size_t count, off_t offset) {
      return plan.fails("pread") ? -1 : real().pread(fd, into, count, offset);
    };
    calls.write = [](int fd, const void* from, std::size_t count) {
      return plan.fails("write") ? -1 : real().write(fd, from, count);
    };
    calls.pwrite = [](int fd, const void* from, std::size_t count, off_t offset) -> ssize_t {
      if (plan.fails("pwrite")) {
        if (count > 1) {  // a part of it gets there
          const int error = errno;
          [[maybe_unused]] const auto written = real().pwrite(fd, from, count / 2, offset);
          errno = error;
        }
        return -1;
      }
      return real().pwrite(fd, from, count, offset);
    };
    calls.fstat = [](int fd, struct stat* out) { return plan.fails("fstat") ? -1 : real().fstat(fd, out); };
    calls.ftruncate = [](int fd, off_t length) { return plan.fails("ftruncate") ? -1 : real().ftruncate(fd, length); };
    calls.fsync = [](int) { return plan.fails("fsync") ? -1 : 0; };  // waiting for the device proves nothing here
    calls.rename = [](const char* from, const char* to) { return plan.fails("rename") ? -1 : real().rename(from, to); };
    calls.unlink = [](const char* path) { return plan.fails("unlink") ? -1 : real().unlink(path); };
    calls.mkdir = [](const char* path, mode_t mode) { return plan.fails("mkdir") ? -1 : real().mkdir(path, mode); };
    calls.mmap = [](void* address, std::size_t length, int protection, int flags, int fd, off_t offset) {
      return plan.fails("mmap") ? MAP_FAILED : real().mmap(address, length, protection, flags, fd, offset);
    };
    calls.openat = [](int folder_fd, const char* name, int flags, mode_t mode) {
      return plan.fails("openat") ? -1 : real().openat(folder_fd, name, flags, mode);
    };
    calls.fstatat = [](int folder_fd, const char* name, struct stat* out, int flags) {
      return plan.fails("fstatat") ? -1 : real().fstatat(folder_fd, name, out, flags);
    };
    calls.unlinkat = [](int folder_fd, const char* name, int flags) {
      return plan.fails("unlinkat") ? -1 : real().unlinkat(folder_fd, name, flags);
    };
    calls.renameat = [](int from_folder, const char* from, int to_folder, const char* to) {
      return plan.fails("renameat") ? -1 : real().renameat(from_folder, from, to_folder, to);
    };
    calls.fcntl = failing_fcntl;
    plan = {};
  }
  void TearDown() override {
    plan = {};
    system_calls() = real();
  }

  FoldersInMemory in_memory;
  Folder folder;
};

std::string text_of(int i, int version, std::size_t size) {
  std::string text = std::to_string(i) + '/' + std::to_string(version);
  text.resize(std::max(text.size(), size), static_cast<char>('a' + (i + version) % 26));
  return text;
}

StoreOptions options_of(StoreDurability durability = StoreDurability::none) {
  StoreOptions options;
  options.shard_bytes = 128 << 10;
  options.durability = durability;
  return options;
}

/// Texts of these keys and of greater ones are put as objects.
constexpr int objects = 600;

void put(Store& store, int key, const std::string& text) {
  if (key < objects) {
    store.put(key, text);
  } else {
    store.put(key, std::vector<std::string>(1, text));
  }
}

std::optional<std::string> find(const Store& store, int key) {
  if (key < objects) {
    return store.find<std::string>(key);
  }
  const auto found = store.find<std::vector<std::string>>(key);
  return found ? std::optional(found->at(0)) : std::nullopt;
}

void expect_holds(const Store& store, const Model& model, const std::string& where) {
  EXPECT_EQ(store.size(), model.size()) << where;
  for (const auto& [key, text] : model) {
    const auto found = find(store, key);
    ASSERT_TRUE(found) << where << ": key " << key;
    ASSERT_TRUE(*found == text) << where << ": key " << key << " is " << found->substr(0, 10);
  }
  std::size_t count = 0;
  for (const StoreItem& item : store.by_insertion()) {
    ASSERT_TRUE(model.contains(static_cast<int>(item.key.integer()))) << where;
    ++count;
  }
  EXPECT_EQ(count, model.size()) << where;
  const StoreReport report = store.check();
  EXPECT_TRUE(report.good()) << where << ": " << report.problems[0];
}

/// The same again from the shards alone.
void expect_recovers(const std::string& path, const Model& model, const std::string& where) {
  fs::remove(path + "/index.lmdb");
  const StoreReport report = Store::recover(path);
  for (const std::string& problem : report.problems) {  // a shard that was made when it failed, or half a record
    EXPECT_TRUE(problem.find("ends inside its header") != std::string::npos ||
                problem.find("bytes are no record") != std::string::npos ||
                problem.find("may have an older value") != std::string::npos)
        << where << ": " << problem;
  }
  expect_holds(Store::open(path, StoreMode::read_only), model, where + ", recovered");
}

Model filled(Store& store) {
  Model model;
  for (int i = 0; i < 40; ++i) {
    store.put(i, model[i] = text_of(i, 0, 3000));
  }
  for (int i = 0; i < 40; i += 2) {
    store.put(i, model[i] = text_of(i, 1, 5000));
  }
  store.commit();
  return model;
}

TEST_F(StoreFaults, EveryCallOfPutsAndCommitsFailsInTurn) {
  for (const StoreDurability durability : {StoreDurability::none, StoreDurability::commit, StoreDurability::put}) {
    for (const int times : {1, 3, 1000}) {
      bool seen = true;
      for (int n = 0; seen; ++n) {
        const std::string path = folder / ("puts" + std::to_string(n));
        Store store = Store::open(path, StoreMode::create, options_of(durability));
        Model model = filled(store);
        plan = {.countdown = n, .times = times};
        const auto attempt = [&](int key, std::optional<std::string> text, auto&& action) {
          try {
            action();
            if (text) {
              model[key] = *text;
            } else {
              model.erase(key);
            }
          } catch (const Error& error) {
            EXPECT_TRUE(plan.seen) << error.what();
            const Plan held = std::exchange(plan, {});
            const auto found = find(store, key);  // kept or not, but one of both
            EXPECT_TRUE(found == text || found == (model.contains(key) ? std::optional(model[key]) : std::nullopt));
            if (found) {
              model[key] = *found;
            } else {
              model.erase(key);
            }
            plan = held;
          }
        };
        for (int i = 0; i < 12; ++i) {
          const std::string text = text_of(i, 2, i % 3 == 0 ? 200'000 : 2000);
          attempt(i, text, [&] { put(store, i, text); });
          attempt(objects + i, text, [&] { put(store, objects + i, text); });
          if (i % 4 == 1) {
            attempt(objects + i, std::nullopt, [&] { store.erase(objects + i); });
          }
          if (i % 5 == 4) {
            attempt(i, std::nullopt, [&] { store.erase(i); });
            try {
              store.commit();
            } catch (const Error&) {
            }
          }
        }
        seen = plan.seen;
        const std::string where = plan.call + ' ' + std::to_string(n) + " x" + std::to_string(times);
        plan = {};
        put(store, 1000, model[1000] = "after");
        store.flush();
        expect_holds(store, model, where);
        store.close();
        expect_holds(Store::open(path, StoreMode::read_only), model, where);
        expect_recovers(path, model, where);
        fs::remove_all(path);
        ASSERT_FALSE(HasFailure()) << where;
        n += n / (test::sanitized ? 3 : 8);  // there are many of them
      }
    }
  }
}

TEST_F(StoreFaults, EveryCallOfABatchFailsInTurn) {
  for (const StoreDurability durability : {StoreDurability::none, StoreDurability::commit}) {
    for (const int times : {1, 3, 1000}) {
      bool seen = true;
      for (int n = 0; seen; ++n) {
        const std::string path = folder / ("batch" + std::to_string(n));
        Store store = Store::open(path, StoreMode::create, options_of(durability));
        const Model before = filled(store);
        Model after = before;
        bool committed = false;
        plan = {.countdown = n, .times = times};
        try {
          StoreBatch batch = store.batch();
          for (int i = 0; i < 60; ++i) {
            const int key = i % 10 == 9 ? objects + i : i;
            const std::string text = text_of(key, 2, i % 7 == 0 ? 80'000 : 3000);
            put(store, key, text);
            after[key] = text;
          }
          batch.erase(3);
          after.erase(3);
          batch.commit();
          committed = true;
        } catch (const Error& error) {
          EXPECT_TRUE(plan.seen) << error.what();
        }
        seen = plan.seen;
        const std::string where = plan.call + ' ' + std::to_string(n) + " x" + std::to_string(times);
        plan = {};
        Model model = committed ? after : before;
        expect_holds(store, model, where);
        for (int i = 200; i < 240; ++i) {
          store.put(i, model[i] = text_of(i, 5, 5000));
        }
        store.close();
        expect_holds(Store::open(path, StoreMode::read_only), model, where);
        expect_recovers(path, model, where);
        fs::remove_all(path);
        ASSERT_FALSE(HasFailure()) << where;
      }
    }
  }
}

TEST_F(StoreFaults, EveryCallOfACareFailsInTurn) {
  struct Care {
    const char* name;
    std::function<void(std::optional<Store>& store, const std::string& path)> run;
  };
  const std::vector<Care> cares = {
      {"vacuum", [](auto& store, const auto&) { store->vacuum({.dead_share = 0}); }},
      {"compact", [](auto& store, const auto& path) { store->compact_to(path + ".compact"); }},
      {"close", [](auto& store, const auto&) { store->close(); }},
      {"release", [](auto& store, const auto&) { store->release(); }},
      {"flush", [](auto& store, const auto&) { store->flush(); }},
      {"recover",
       [](auto& store, const auto& path) {
         store->close();
         Store::recover(path);
       }},
  };
  for (const Care& care : cares) {
    for (const int times : {1, 1000}) {
      bool seen = true;
      for (int n = 0; seen; ++n) {
        const std::string path = folder / (care.name + std::to_string(n));
        std::optional<Store> store(Store::open(path, StoreMode::create, options_of()));
        Model model = filled(*store);
        store->put(500, model[500] = "waits");
        plan = {.countdown = n, .times = times};
        bool done = false;
        try {
          care.run(store, path);
          done = true;
        } catch (const Error& error) {
          EXPECT_TRUE(plan.seen) << error.what();
          EXPECT_NE(error.code(), Errc::damaged) << error.what();
        }
        seen = plan.seen;
        const std::string where =
            care.name + (' ' + plan.call) + ' ' + std::to_string(n) + " x" + std::to_string(times);
        plan = {};
        if (!done) {
          std::optional<Store> again;
          try {
            care.run(store, path);  // the fault is gone
          } catch (const Error& error) {
            ADD_FAILURE() << where << ": " << error.what();
          }
        }
        store.reset();
        if (care.name == std::string("compact")) {
          expect_holds(Store::open(path + ".compact", StoreMode::read_only), model, where);
        }
        {
          Store next = Store::open(path);
          expect_holds(next, model, where);
          for (int i = 200; i < 240; ++i) {
            next.put(i, model[i] = text_of(i, 5, 5000));
          }
        }
        expect_holds(Store::open(path, StoreMode::read_only), model, where);
        expect_recovers(path, model, where);
        fs::remove_all(path);
        fs::remove(path + ".compact");
        ASSERT_FALSE(HasFailure()) << where;
      }
    }
  }
}

TEST_F(StoreFaults, EveryCallOfMakingAndOpeningAStoreFailsInTurn) {
  for (const StoreDurability durability : {StoreDurability::none, StoreDurability::commit}) {
    bool seen = true;
    for (int n = 0; seen; ++n) {
      const std::string path = folder / ("made" + std::to_string(n));
      Model model;
      plan = {.countdown = n};
      for (int round = 0; round < 3; ++round) {
        try {
          Store store = Store::open(path, StoreMode::create, options_of(durability));
          store.put(round, text_of(round, 1, 3000));
          store.close();
          model[round] = text_of(round, 1, 3000);
        } catch (const Error& error) {
          EXPECT_TRUE(plan.seen) << error.what();
          EXPECT_NE(error.code(), Errc::damaged) << error.what();
        }
      }
      seen = plan.seen;
      const std::string where = plan.call + ' ' + std::to_string(n);
      plan = {};
      Store store = Store::open(path, StoreMode::create, options_of(durability));
      for (int round = 0; round < 3; ++round) {  // what failed may be there or not
        if (!model.contains(round) && store.contains(round)) {
          model[round] = text_of(round, 1, 3000);
        }
      }
      expect_holds(store, model, where);
      store.put(77, model[77] = "after");
      store.close();
      expect_recovers(path, model, where);
      fs::remove_all(path);
      ASSERT_FALSE(HasFailure()) << where;
    }
  }
}

/// Writes until the disk is full, makes room, continues. `words`: text of every error, for the index's file as
/// well.
void expect_survives_a_full_disk(const std::string& path, const std::string& words,
                                 const std::function<void(bool full)>& set_full) {
  StoreOptions options = options_of();
  options.group_values = 10;
  Store store = Store::open(path, StoreMode::create, options);
  Model model = filled(store);
  Model before = model;
  set_full(true);
  int failed = 0;
  for (int i = 0; i < 300 && failed < 5; ++i) {
    const std::string text = text_of(i, 7, i % 4 == 0 ? 100'000 : 9000);
    try {
      if (i % 3 == 0) {
        store.put(i, std::vector<std::string>(1, text));
      } else {
        store.put(i, text);
      }
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Errc::io) << error.what();
      EXPECT_NE(std::string(error.what()).find(words), std::string::npos) << error.what();
      ++failed;
    }
    for (const auto& [key, old] : before) {
      if (key > 300) {
        EXPECT_EQ(store.get<std::string>(key), old);
      }
    }
  }
  EXPECT_GT(failed, 0);
  set_full(false);
  store.commit();
  EXPECT_TRUE(store.check().good());
  for (int i = 0; i < 40; ++i) {
    store.put(i, model[i] = text_of(i, 9, 100));
  }
  store.commit();
  for (const auto& [key, text] : model) {
    EXPECT_EQ(store.get<std::string>(key), text);
  }
  const std::uint64_t size = store.size();
  EXPECT_TRUE(store.check().good());
  store.close();
  fs::remove(path + "/index.lmdb");
  const StoreReport report = Store::recover(path);
  EXPECT_TRUE(report.good()) << report.problems[0];
  EXPECT_EQ(report.values, size);
}

TEST(StoreDisk, FilesThatMayNotGrow) {
  const Folder folder;
  const auto signal = std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  expect_survives_a_full_disk(folder / "limited", "File too large", [&](bool full) {
    const rlimit limit{full ? rlim_t{100'000} : before.rlim_max, before.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  });
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, signal);
}

TEST(StoreDisk, NoRoomForTheIndexIsCalledSo) {
  const Folder folder;
  const std::string mounted = folder / "disk";
  fs::create_directory(mounted);
  if (::mount("tmpfs", mounted.c_str(), "tmpfs", 0, "size=3m") != 0) {
    GTEST_SKIP() << "mounting is not permitted";
  }
  {
    Store store = Store::open(mounted + "/store", StoreMode::create, {.group_values = 1'000'000});
    int failed = 0;
    for (int i = 0; failed == 0 && i < 100'000; ++i) {  // small values: the index takes as much as they do
      try {
        store.put(std::to_string(i * 7919 % 100'003), "v");
        if (i % 200 == 0) {
          store.commit();
        }
      } catch (const Error& error) {
        ++failed;
        EXPECT_EQ(error.code(), Errc::io);
        EXPECT_NE(std::string(error.what()).find("No space left"), std::string::npos) << error.what();
      }
    }
    EXPECT_EQ(failed, 1);
    ::mount("tmpfs", mounted.c_str(), "tmpfs", MS_REMOUNT, "size=30m");
    store.commit();
    EXPECT_TRUE(store.check().good());
  }
  EXPECT_EQ(::umount(mounted.c_str()), 0);
}

TEST(StoreDisk, AFullFileSystem) {
  const Folder folder;
  const std::string mounted = folder / "disk";
  fs::create_directory(mounted);
  if (::mount("tmpfs", mounted.c_str(), "tmpfs", 0, "size=3m") != 0) {
    GTEST_SKIP() << "mounting is not permitted";
  }
  expect_survives_a_full_disk(mounted + "/store", "No space left", [&](bool full) {
    if (!full) {
      ::mount("tmpfs", mounted.c_str(), "tmpfs", MS_REMOUNT, "size=30m");
    }
  });
  EXPECT_EQ(::umount(mounted.c_str()), 0);
}

}  // namespace
}  // namespace stele

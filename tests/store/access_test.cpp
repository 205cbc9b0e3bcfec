// A store with few permissions: read-only folders, little address space, and folders that are not a store.

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>

#include "stele/store.hpp"
#include "support/test_support.hpp"

namespace stele {
namespace {

namespace fs = std::filesystem;
using test::Folder;

constexpr uid_t nobody = 65534;

/// Runs `action` in a child without permission to write others' files; returns its result, or why it ended.
std::string in_child(const std::function<std::string()>& action, bool as_nobody = true) {
  int ends[2];
  if (::pipe(ends) != 0) {
    return "no pipe";
  }
  const pid_t child = ::fork();
  if (child == 0) {
    std::string text = "not permitted";
    if (!as_nobody || ::geteuid() != 0 || (::setgid(nobody) == 0 && ::setuid(nobody) == 0)) {
      try {
        text = action();
      } catch (const std::exception& error) {
        text = error.what();
      }
    }
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
  return WIFEXITED(status) ? text : "ended by signal " + std::to_string(WTERMSIG(status));
}

std::vector<std::string> names_in(const std::string& path) {
  std::vector<std::string> names;
  for (const auto& file : fs::directory_iterator(path)) {
    names.push_back(file.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

void make(const std::string& path) {
  Store store =
      Store::open(path, StoreMode::create,
                  {.orders = {{"length", [](const StoreKey&, const StoreValue& v) { return v.bytes().size(); }}}});
  for (int i = 0; i < 500; ++i) {
    store.put(i, std::string(static_cast<std::size_t>(i), 'x'));
  }
  store.close();
}

/// Reads a store of make() in every way.
std::string read_all(const std::string& path) {
  const Store store = Store::open(path, StoreMode::read_only);
  if (store.size() != 500 || store.get<std::string>(7) != "xxxxxxx" || store.contains(500)) {
    return "other values";
  }
  int next = 0;
  for (const StoreItem& item : store.items()) {
    if (item.key.integer() != next || item.value.text().size() != static_cast<std::size_t>(next)) {
      return "other items";
    }
    ++next;
  }
  for (const StoreItem& item : store.items({.reverse = true})) {
    next -= item.key.integer() == next - 1 ? 1 : 0;
  }
  for (const StoreItem& item : store.by_order("length")) {
    next += item.key.integer() == next ? 1 : 0;
  }
  const StoreReport report = store.check();
  return next == 500 && report.good() ? "good" : report.good() ? "other orders" : report.problems[0];
}

TEST(StoreAccess, AFolderThatMayOnlyBeReadIsReadByOthers) {
  const Folder folder;
  fs::permissions(folder / "", fs::perms::others_exec | fs::perms::others_read, fs::perm_options::add);
  const std::string path = folder / "store";
  make(path);
  for (const bool has_lock : {true, false}) {
    if (!has_lock) {
      fs::remove(path + "/index.lmdb-lock");
      fs::remove(path + "/writer.lock");
    }
    const auto before = names_in(path);
    fs::permissions(path, fs::perms::owner_write, fs::perm_options::remove);
    EXPECT_EQ(in_child([&] { return read_all(path); }), "good");
    EXPECT_EQ(names_in(path), before);
    const std::string refused = in_child([&]() -> std::string {
      Store::open(path, StoreMode::read_write);
      return "opened to write";
    });
    EXPECT_NE(refused.find("ermission"), std::string::npos) << refused;
    fs::permissions(path, fs::perms::owner_write, fs::perm_options::add);
  }
}

TEST(StoreAccess, AMountThatMayOnlyBeRead) {
  const Folder folder;
  const std::string path = folder / "store";
  make(path);
  const std::string answer = in_child(
      [&]() -> std::string {
        if (::unshare(CLONE_NEWNS) != 0 || ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
            ::mount(path.c_str(), path.c_str(), nullptr, MS_BIND, nullptr) != 0 ||
            ::mount("none", path.c_str(), nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY, nullptr) != 0) {
          return "not permitted";
        }
        return read_all(path);
      },
      false);
  if (answer == "not permitted") {
    GTEST_SKIP() << "mounting is not permitted";
  }
  EXPECT_EQ(answer, "good");
}

TEST(StoreAccess, WhoMayOnlyReadSeesWholeStatesWhileOthersWrite) {
  const Folder folder;
  fs::permissions(folder / "", fs::perms::others_exec | fs::perms::others_read, fs::perm_options::add);
  const std::string path = folder / "store";
  const auto write = [](Store& store, int version) {
    StoreBatch batch = store.batch();
    for (int key = 0; key < 300; ++key) {
      batch.put(key, std::to_string(version));
    }
    batch.commit();
  };
  Store store = Store::open(path);
  write(store, 0);
  const pid_t reader = ::fork();
  if (reader == 0) {
    int result = 0;
    if (::geteuid() == 0 && (::setgid(nobody) != 0 || ::setuid(nobody) != 0)) {
      std::_Exit(0);
    }
    try {
      const Store mine = Store::open(path, StoreMode::read_only);
      int last = 0;
      int whole = 0;
      for (int i = 0; i < 3000 && result == 0; ++i) {
        const int now = std::stoi(mine.get<std::string>(i % 300));
        result = now < last ? 2 : 0;
        last = now;
        if (i % 10 == 0) {
          try {
            std::map<std::string, int> versions;
            for (const StoreItem& item : mine.items()) {
              ++versions[item.value.text().data() == nullptr ? "" : std::string(item.value.text())];
            }
            result = versions.size() == 1 && versions.begin()->second == 300 ? result : 3;
            ++whole;
          } catch (const Error& error) {
            result = error.code() == Errc::busy ? result : 4;
          }
        }
      }
      result = result == 0 && whole == 0 ? 5 : result;
    } catch (const std::exception& error) {
      std::fprintf(stderr, "%s\n", error.what());
      result = 6;
    }
    std::_Exit(result);
  }
  int status = 0;
  for (int version = 1; ::waitpid(reader, &status, WNOHANG) == 0; ++version) {
    write(store, version);
    ::usleep(200);
  }
  EXPECT_TRUE(WIFEXITED(status)) << "signal " << WTERMSIG(status);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST(StoreAccess, LittleAddressSpace) {
  if (test::sanitized) {
    GTEST_SKIP() << "sanitizers take all of it";
  }
  const Folder folder;
  const std::string path = folder / "store";
  for (const rlim_t kilobytes : {rlim_t{2'000'000}, rlim_t{600'000}, rlim_t{300'000}}) {
    EXPECT_EQ(in_child(
                  [&]() -> std::string {
                    const rlimit limit{kilobytes << 10, kilobytes << 10};
                    setrlimit(RLIMIT_AS, &limit);
                    Store store = Store::open(path);
                    store.put("small", "value");
                    store.put("large", std::string(30 << 20, 'x'));
                    store.put("object", std::vector<double>(100'000, 0.5));
                    store.commit();
                    const auto object = store.get<Array<double>>("object");
                    return store.get<std::string>("small") == "value" &&
                                   store.view("large")->text().size() == 30 << 20 && object(99'999) == 0.5 &&
                                   store.check().good()
                               ? "good"
                               : "other values";
                  },
                  false),
              "good")
        << kilobytes;
  }
}

TEST(StoreAccess, ShardsLongerThanTheAddressSpaceAreReadInParts) {
  if (test::sanitized) {
    GTEST_SKIP() << "sanitizers take all of it";
  }
  const Folder folder;
  const std::string path = folder / "store";
  {
    Store store = Store::open(path);
    for (int i = 0; i < 50; ++i) {
      store.put(i, std::vector<float>(2'000'000, static_cast<float>(i)));  // 400 MB in one shard
    }
    store.put("text", std::string(5000, 't'));
    store.close();
  }
  EXPECT_EQ(in_child(
                [&]() -> std::string {
                  const rlimit limit{rlim_t{350} << 20, rlim_t{350} << 20};
                  setrlimit(RLIMIT_AS, &limit);
                  const Store store = Store::open(path, StoreMode::read_only);
                  for (int i = 0; i < 50; ++i) {
                    const auto array = store.get<Array<float>>(i);
                    if (array.size() != 2'000'000 || array(1'999'999) != static_cast<float>(i) ||
                        reinterpret_cast<std::uintptr_t>(array.data()) % 64 != 0) {
                      return "other values";
                    }
                  }
                  int count = 0;
                  for (const StoreItem& item : store.items()) {
                    count += item.value.stored_bytes() > 0 ? 1 : 0;
                  }
                  return count == 51 && store.get<std::string>("text") == std::string(5000, 't') ? "good"
                                                                                                 : "other items";
                },
                false),
            "good");
}

TEST(StoreAccess, OtherFilesAndFoldersAreNotAStore) {
  const Folder folder;
  const std::string text = folder / "text";
  std::ofstream(text) << "root:x:0:0:root:/root:/bin/bash\n";
  std::ofstream(folder / "empty");
  save(std::map<std::string, int>{{"a", 1}}, folder / "archive.stele");
  save(std::vector<int>{1, 2, 3}, folder / "numbers.stele.gz");
  for (const std::string& path : {text, folder / "empty", folder / "archive.stele", folder / "numbers.stele.gz",
                                  std::string("/dev/null"), std::string("/etc/passwd")}) {
    for (const StoreMode mode : {StoreMode::create, StoreMode::read_write, StoreMode::read_only}) {
      EXPECT_ERROR(Store::open(path, mode), Errc::not_an_archive, "is not a store");
    }
  }
  const Folder another;
  {
    Store store = Store::open(folder / "store");
    store.put("key", "value");
    store.compact_to(folder / "store.stele");
  }
  EXPECT_ERROR(Store::open(folder / "store.stele"), Errc::read_only, "is a store in one file");
}

}  // namespace
}  // namespace stele

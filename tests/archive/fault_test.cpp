// Failing system calls, full disks, killed programs: either the old file or the new one is intact.

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdarg>
#include <map>
#include <new>
#include <thread>

#include "io/system.hpp"
#include "support/test_support.hpp"

namespace stele {
namespace {

using test::content;
using test::counting;
using test::Data;
using test::error_of;
using test::Folder;

struct Value {
  std::string name;
  std::vector<double> numbers;
  Array<float, 2> grid;
  std::vector<std::string> texts;
};

Value value(int kind) {
  Value made;
  made.name = "value " + std::to_string(kind);
  made.numbers.assign(static_cast<std::size_t>(30'000 + kind), kind);
  made.grid = counting<float, 2>({100, 90});
  made.grid.mutable_at(0, 0) = static_cast<float>(kind);
  made.texts.assign(3000, std::string(40, static_cast<char>('a' + kind)));
  return made;
}

bool operator==(const Value& a, const Value& b) {
  return a.name == b.name && a.numbers == b.numbers && a.grid == b.grid && a.texts == b.texts;
}

// --- Calls that fail -------------------------------------------------------------------------------------------------

/// Which call fails next, and how.
struct Plan {
  int countdown = -1;  // calls that still succeed; -1: all
  int error = EIO;
  bool short_write = false;  // half of it is written, then the disk is full
  bool seen = false;         // whether the call came
  std::string call = {};

  bool fails(const char* name) {
    if (countdown < 0 || countdown-- > 0) {
      return false;
    }
    seen = true;
    call = name;
    errno = error;
    return true;
  }
};
Plan plan;

/// The real calls.
const SystemCalls& real() {
  static const SystemCalls calls = system_calls();
  return calls;
}

int failing_fcntl(int fd, int command, ...) {  // no lambda, as GCC makes no function of one with "..."
  va_list arguments;
  va_start(arguments, command);
  void* const argument = va_arg(arguments, void*);
  va_end(arguments);
  return plan.fails("fcntl") ? -1 : real().fcntl(fd, command, argument);
}

class Faults : public testing::Test {
 protected:
  void SetUp() override {
    real();
    SystemCalls& calls = system_calls();
    calls.open = [](const char* path, int flags, mode_t mode) {
      return plan.fails("open") ? -1 : real().open(path, flags, mode);
    };
    calls.close = [](int fd) {
      const int result = real().close(fd);
      return plan.fails("close") ? -1 : result;
    };
    calls.read = [](int fd, void* into, std::size_t count) {
      return plan.fails("read") ? -1 : real().read(fd, into, count);
    };
    calls.pread = [](int fd, void* into, std::size_t count, off_t offset) {
      return plan.fails("pread") ? -1 : real().pread(fd, into, count, offset);
    };
    calls.write = [](int fd, const void* from, std::size_t count) -> ssize_t {
      if (plan.fails("write")) {
        if (!plan.short_write || count < 2) {
          return -1;
        }
        plan.countdown = 0;  // the next one fails
        return real().write(fd, from, count / 2);
      }
      return real().write(fd, from, count);
    };
    calls.pwrite = [](int fd, const void* from, std::size_t count, off_t offset) {
      return plan.fails("pwrite") ? -1 : real().pwrite(fd, from, count, offset);
    };
    calls.fstat = [](int fd, struct stat* out) { return plan.fails("fstat") ? -1 : real().fstat(fd, out); };
    calls.stat = [](const char* path, struct stat* out) { return plan.fails("stat") ? -1 : real().stat(path, out); };
    calls.fchmod = [](int fd, mode_t mode) { return plan.fails("fchmod") ? -1 : real().fchmod(fd, mode); };
    calls.fsync = [](int fd) { return plan.fails("fsync") ? -1 : real().fsync(fd); };
    calls.fallocate = [](int fd, int mode, off_t offset, off_t length) {
      return plan.fails("fallocate") ? -1 : real().fallocate(fd, mode, offset, length);
    };
    calls.openat = [](int folder_fd, const char* name, int flags, mode_t mode) {
      return plan.fails("openat") ? -1 : real().openat(folder_fd, name, flags, mode);
    };
    calls.fstatat = [](int folder_fd, const char* name, struct stat* out, int flags) {
      return plan.fails("fstatat") ? -1 : real().fstatat(folder_fd, name, out, flags);
    };
    calls.renameat = [](int from_folder, const char* from, int to_folder, const char* to) {
      return plan.fails("renameat") ? -1 : real().renameat(from_folder, from, to_folder, to);
    };
    calls.statx = [](int folder_fd, const char* name, int flags, unsigned mask, struct statx* out) {
      return plan.fails("statx") ? -1 : real().statx(folder_fd, name, flags, mask, out);
    };
    calls.faccessat = [](int folder_fd, const char* name, int mode, int flags) {
      return plan.fails("faccessat") ? -1 : real().faccessat(folder_fd, name, mode, flags);
    };
    calls.readlinkat = [](int folder_fd, const char* name, char* into, std::size_t count) {
      return plan.fails("readlinkat") ? -1 : real().readlinkat(folder_fd, name, into, count);
    };
    calls.flistxattr = [](int fd, char* into, std::size_t count) {
      return plan.fails("flistxattr") ? -1 : real().flistxattr(fd, into, count);
    };
    calls.fremovexattr = [](int fd, const char* name) {
      return plan.fails("fremovexattr") ? -1 : real().fremovexattr(fd, name);
    };
    calls.fcntl = failing_fcntl;
    calls.mmap = [](void* address, std::size_t length, int protection, int flags, int fd, off_t offset) {
      return plan.fails("mmap") ? MAP_FAILED : real().mmap(address, length, protection, flags, fd, offset);
    };
    calls.msync = [](void* address, std::size_t length, int flags) {
      return plan.fails("msync") ? -1 : real().msync(address, length, flags);
    };
    plan = {};
  }
  void TearDown() override {
    plan = {};
    system_calls() = real();
  }

  /// Saves `next` over `old` with the first call failing, then the second … until no call fails.
  template <class Save>
  void fail_every_call(const std::string& path, const Value& old, const Value& next, Save&& save_next, Plan how = {}) {
    const std::vector<std::string> only{std::filesystem::path(path).filename().string()};
    for (int n = 0; n < 10'000; ++n) {
      plan = {};
      save(old, path);
      plan = how;
      plan.countdown = n;
      bool failed = false;
      try {
        save_next();
      } catch (const Error& error) {
        failed = true;
        EXPECT_EQ(error.code(), Errc::io) << plan.call << ": " << error.what();
      }
      const Plan done = std::exchange(plan, {});
      EXPECT_EQ(folder.names(), only) << done.call << " " << n;
      const Value now = load<Value>(path);
      if (failed) {
        EXPECT_TRUE(now == old || now == next) << done.call << " " << n;
        EXPECT_TRUE(done.seen);
      } else {
        EXPECT_TRUE(now == next) << done.call << " " << n;
      }
      ASSERT_FALSE(HasFailure());
      if (!done.seen) {
        EXPECT_GT(n, 3);
        return;
      }
    }
    ADD_FAILURE() << "never done";
  }

  Folder folder;
};

TEST_F(Faults, EveryCallOfASaveFailsInTurn) {
  for (const char* name : {"v.stele", "v.stele.gz", "v.stele.zst"}) {
    if (std::string_view(name).ends_with(".zst") && !test::has_codec("zstd")) {
      continue;
    }
    for (const Sync sync : {Sync::none, Sync::file_folder}) {
      const std::string path = folder / name;
      const Value old = value(1);
      const Value next = value(2);
      for (const Plan& how : {Plan{}, Plan{.error = ENOSPC, .short_write = true}}) {
        fail_every_call(path, old, next, [&] { save(next, path, {.sync = sync}); }, how);
      }
      std::filesystem::remove(path);
    }
  }
}

TEST_F(Faults, EveryCallOfAMapWriterFailsInTurn) {
  const std::string path = folder / "v.stele";
  const Value next = value(3);
  fail_every_call(path, value(1), next, [&] {
    MapWriter out(path, {.sync = Sync::file});
    out.write("name", next.name);
    auto numbers = out.grow<double>("numbers");
    for (std::size_t i = 0; i < next.numbers.size(); i += 1000) {
      numbers.append(std::span(next.numbers).subspan(i, std::min<std::size_t>(1000, next.numbers.size() - i)));
    }
    numbers.close();
    out.write("grid", next.grid);
    out.write("texts", next.texts);
    out.close();
  });
}

TEST_F(Faults, AFirstSaveThatFailsLeavesNothing) {
  const std::string path = folder / "v.stele";
  const Value next = value(4);
  for (int n = 0;; ++n) {
    plan = {};
    plan.countdown = n;
    try {
      save(next, path, {.sync = Sync::file});
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Errc::io);
      EXPECT_TRUE(plan.seen);
      plan = {};
      EXPECT_TRUE(folder.names().empty()) << n;
      ASSERT_FALSE(HasFailure());
      continue;
    }
    const bool seen = plan.seen;
    plan = {};
    EXPECT_TRUE(load<Value>(path) == next);
    if (!seen) {
      break;
    }
    std::filesystem::remove(path);
  }
}

TEST_F(Faults, EveryCallOfALoadFailsInTurn) {
  const Value saved = value(5);
  for (const char* name : {"v.stele", "v.stele.gz"}) {
    const std::string path = folder / name;
    save(saved, path);
    const auto each = [&](auto action) {
      for (int n = 0; n < 10'000; ++n) {
        plan = {};
        plan.countdown = n;
        try {
          EXPECT_TRUE(action() == saved);
        } catch (const Error& error) {
          EXPECT_TRUE(error.code() == Errc::io || error.code() == Errc::limit_exceeded)
              << plan.call << ": " << error.what();
        }
        const bool seen = std::exchange(plan, {}).seen;
        ASSERT_FALSE(HasFailure()) << n;
        if (!seen) {
          EXPECT_GT(n, 1);
          return;
        }
      }
    };
    each([&] { return load<Value>(path); });
    each([&] { return open(path).load<Value>(); });
    each([&] {
      const int fd = ::open(path.c_str(), O_RDONLY);
      const std::unique_ptr<const int, void (*)(const int*)> guard(&fd, [](const int* f) { ::close(*f); });
      return load<Value>(Descriptor{fd});
    });
    if (!std::string_view(name).ends_with(".gz")) {
      each([&] { return load<Value>(path, {.map = MapMode::read_only}); });
      each([&] { return open(path, {.map = MapMode::copy_on_write}).load<Value>(); });
    }
  }
}

TEST_F(Faults, AFailedFlushIsAnError) {
  const std::string path = folder / "v.stele";
  save(value(1), path);
  File file = open(path, {.map = MapMode::read_write});
  auto grid = file.load<Array<float, 2>>("grid");
  grid.mutable_at(1, 1) = 5;
  system_calls().msync = [](void*, std::size_t, int) {
    errno = EIO;
    return -1;
  };
  EXPECT_EQ(error_of([&] { file.flush(); }).code(), Errc::io);
  system_calls().msync = real().msync;
  file.flush();
  EXPECT_EQ(load<Value>(path).grid(1, 1), 5);
}

TEST_F(Faults, InterruptedAndShortCallsAreTriedAgain) {
  static int calls = 0;
  calls = 0;
  SystemCalls& table = system_calls();
  table.write = [](int fd, const void* from, std::size_t count) -> ssize_t {
    if (++calls % 3 == 0) {
      errno = EINTR;
      return -1;
    }
    return real().write(fd, from, std::min<std::size_t>(count, 1 + count / 3));
  };
  table.pread = [](int fd, void* into, std::size_t count, off_t offset) -> ssize_t {
    if (++calls % 3 == 0) {
      errno = EINTR;
      return -1;
    }
    return real().pread(fd, into, std::min<std::size_t>(count, 1 + count / 3), offset);
  };
  table.read = [](int fd, void* into, std::size_t count) -> ssize_t {
    if (++calls % 3 == 0) {
      errno = EINTR;
      return -1;
    }
    return real().read(fd, into, std::min<std::size_t>(count, 1 + count / 3));
  };
  for (const char* name : {"v.stele", "v.stele.gz"}) {
    save(value(6), folder / name);
    EXPECT_TRUE(load<Value>(folder / name) == value(6));
    EXPECT_TRUE(open(folder / name).load<Value>() == value(6));
  }
  EXPECT_GT(calls, 20);
}

TEST_F(Faults, AFileThatShrinksWhileItIsReadIsAnError) {
  const std::string path = folder / "v.stele";
  save(value(1), path);
  static std::string victim;
  victim = path;
  system_calls().pread = [](int fd, void* into, std::size_t count, off_t offset) {
    if (offset > 1000) {
      std::filesystem::resize_file(victim, 1000);
    }
    return real().pread(fd, into, count, offset);
  };
  EXPECT_THROW(load<Value>(path), Error);
}

// --- Full disks ------------------------------------------------------------------------------------------------------

TEST(Disk, AFullDeviceIsAnError) {
  EXPECT_EQ(error_of([] { save(value(1), "/dev/full"); }).code(), Errc::io);
  const int fd = ::open("/dev/full", O_WRONLY);
  ASSERT_GE(fd, 0);
  EXPECT_EQ(error_of([&] { save(Descriptor{fd}, value(1), {.codec = "gzip"}); }).code(), Errc::io);
  ::close(fd);
}

TEST(Disk, AFileThatMayNotGrowIsAnError) {
  const Folder folder;
  const Value old = value(1);
  const Value next = value(2);
  save(old, folder / "v.stele");
  const auto signal = std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  for (const rlim_t size : {rlim_t{0}, rlim_t{100}, rlim_t{50'000}, rlim_t{300'000}}) {
    const rlimit limit{size, before.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
    for (const std::string& codec : test::codecs()) {
      try {
        save(next, folder / "v.stele", {.codec = codec});
        setrlimit(RLIMIT_FSIZE, &before);
        EXPECT_TRUE(load<Value>(folder / "v.stele") == next);
        save(old, folder / "v.stele");
        setrlimit(RLIMIT_FSIZE, &limit);
      } catch (const Error& error) {
        setrlimit(RLIMIT_FSIZE, &before);
        EXPECT_EQ(error.code(), Errc::io);
        EXPECT_TRUE(load<Value>(folder / "v.stele") == old) << size;
        EXPECT_EQ(folder.names(), (std::vector<std::string>{"v.stele"}));
        setrlimit(RLIMIT_FSIZE, &limit);
      }
    }
  }
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, signal);
}

TEST(Disk, AFullFileSystemKeepsTheOldFile) {
  const Folder folder;
  const std::string mounted = folder / "disk";
  std::filesystem::create_directory(mounted);
  if (::mount("tmpfs", mounted.c_str(), "tmpfs", 0, "size=600k") != 0) {
    GTEST_SKIP() << "mounting is not permitted";
  }
  const Value old = value(1);
  Value large = value(2);
  large.numbers.resize(200'000);
  save(old, mounted + "/v.stele");
  for (const Sync sync : {Sync::none, Sync::file_folder}) {
    EXPECT_EQ(error_of([&] { save(large, mounted + "/v.stele", {.sync = sync}); }).code(), Errc::io);
    EXPECT_TRUE(load<Value>(mounted + "/v.stele") == old);
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(mounted), std::filesystem::directory_iterator()), 1);
  }
  save(value(3), mounted + "/v.stele", {.codec = "gzip"});
  EXPECT_TRUE(load<Value>(mounted + "/v.stele") == value(3));
  EXPECT_EQ(::umount(mounted.c_str()), 0);
}

// --- Killed programs -------------------------------------------------------------------------------------------------

TEST(Kill, AProgramKilledWhileSavingLeavesAWholeFile) {
  const Folder folder;
  std::mt19937 random(1);
  for (const char* name : {"v.stele", "v.stele.gz"}) {
    const std::string path = folder / name;
    const Value a = value(1);
    const Value b = value(2);
    save(a, path);
    for (int round = 0; round < 25; ++round) {
      const pid_t child = ::fork();
      ASSERT_GE(child, 0);
      if (child == 0) {
        try {
          for (;;) {
            save(b, path, {.threads = 1});
            save(a, path, {.threads = 1});
          }
        } catch (...) {
        }
        ::_exit(1);
      }
      std::this_thread::sleep_for(std::chrono::microseconds(random() % 30'000));
      ::kill(child, SIGKILL);
      int status = 0;
      ASSERT_EQ(::waitpid(child, &status, 0), child);
      ASSERT_TRUE(WIFSIGNALED(status));
      const Value now = load<Value>(path);
      ASSERT_TRUE(now == a || now == b) << round;
      open(path).verify();
    }
  }
}

TEST(Kill, TwoProgramsThatSaveToOneFileLeaveOneOfTheirs) {
  const Folder folder;
  const std::string path = folder / "v.stele";
  const Value a = value(1);
  const Value b = value(2);
  save(a, path);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    try {
      for (;;) {
        save(b, path, {.threads = 1});
      }
    } catch (...) {
    }
    ::_exit(1);
  }
  for (int round = 0; round < 60; ++round) {
    save(a, path);
    const Value now = load<Value>(path);
    EXPECT_TRUE(now == a || now == b);
    const Value mapped = load<Value>(path, {.map = MapMode::read_only});
    EXPECT_TRUE(mapped == a || mapped == b);
  }
  ::kill(child, SIGKILL);
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_TRUE(WIFSIGNALED(status));
}

}  // namespace
}  // namespace stele

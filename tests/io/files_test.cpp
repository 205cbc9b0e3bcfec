// The surroundings of a written file: descriptors with names, leftovers of killed programs, owners and permissions,
// links, mounts, other processes, other folders.

#include <grp.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include <linux/fs.h>
#include <sched.h>

#include <array>
#include <csignal>
#include <functional>
#include <optional>
#include <thread>

#include "io/replace/temporary.hpp"
#include "io/support.hpp"

namespace stele {
namespace {

class Files : public Io {
 protected:
  /// The exit status of a child that runs `action`: 0 to 99; 100 for an exception, 200 and more for a signal.
  static int in_child(const std::function<int()>& action) {
    const pid_t child = ::fork();
    if (child == 0) {
      ::alarm(60);
      int status = 100;
      try {
        status = action();
      } catch (const std::exception& error) {
        std::fprintf(stderr, "child: %s\n", error.what());
      }
      ::_exit(status);
    }
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 200 + WTERMSIG(status);
  }

  static inline int refusal = 0;
  static int without_locks(int fd, int command, ...) {
    va_list rest;
    va_start(rest, command);
    void* const argument = va_arg(rest, void*);
    va_end(rest);
    if (command == F_OFD_SETLK) {
      errno = refusal;
      return -1;
    }
    return real_.fcntl(fd, command, argument);
  }

  static bool become(uid_t user, gid_t group, std::vector<gid_t> groups = {}) {
    return ::setgroups(groups.size(), groups.data()) == 0 && ::setresgid(group, group, group) == 0 &&
           ::setresuid(user, user, user) == 0;
  }
  /// The result of `action` in a child of another user, or 99 if it fails with another message than `message`.
  int as_user(uid_t user, gid_t group, const std::function<int()>& action, std::vector<gid_t> groups = {}) {
    return in_child([&] { return become(user, group, groups) ? action() : 98; });
  }

  static struct stat status_of(const std::string& path) {
    struct stat status{};
    EXPECT_EQ(::lstat(path.c_str(), &status), 0) << path;
    return status;
  }
  static unsigned mode_of(const std::string& path) { return status_of(path).st_mode & 07777; }

  static void save(const std::string& path, std::string_view text, bool in_place = false) {
    auto sink = file_sink(path, Sync::none, in_place);
    sink->write(as_bytes(text));
    sink->close();
  }
  /// Whether a save fails with this message, if it fails.
  static bool save_fails(const std::string& path, std::string_view part) {
    try {
      save(path, "new");
    } catch (const Error& error) {
      if (std::string_view(error.what()).find(part) != std::string_view::npos) {
        return true;
      }
      std::fprintf(stderr, "%s\n", error.what());
    }
    return false;
  }
  std::vector<std::string> names() const {
    std::vector<std::string> all;
    for (const auto& entry : fs::directory_iterator(folder_)) {
      all.push_back(entry.path().filename().string());
    }
    std::sort(all.begin(), all.end());
    return all;
  }
  /// Like one whose writer was killed.
  void leave(const std::string& name, mode_t mode = 0600) const {
    put(in(name), "left");
    ::chmod(in(name).c_str(), mode);
  }

  static std::string acl_of(const std::string& path) {
    char value[256];
    const ssize_t size = ::getxattr(path.c_str(), "system.posix_acl_access", value, sizeof value);
    return size < 0 ? std::string() : std::string(value, static_cast<std::size_t>(size));
  }
  /// Entries are a tag, a permission and an id.
  static std::string acl(const std::vector<std::array<std::uint32_t, 3>>& entries) {
    std::string bytes("\2\0\0\0", 4);
    for (const auto& [tag, permission, id] : entries) {
      const std::array<std::uint16_t, 2> shorts{static_cast<std::uint16_t>(tag),
                                                static_cast<std::uint16_t>(permission)};
      bytes.append(reinterpret_cast<const char*>(shorts.data()), 4);
      bytes.append(reinterpret_cast<const char*>(&id), 4);
    }
    return bytes;
  }
  static bool set_acl(const std::string& path, const std::string& value, const char* which = "access") {
    return ::setxattr(path.c_str(), ("system.posix_acl_" + std::string(which)).c_str(), value.data(), value.size(),
                      0) == 0;
  }
};

#define NEEDS_ROOT()                                              \
  if (::geteuid() != 0) {                                         \
    GTEST_SKIP() << "only root can become others and give files"; \
  }

// ----------------------------------------------------------------------------------------- names of descriptors

TEST_F(Files, ADescriptorsNameIsWrittenWhereItStands) {
  for (const char* const form : {"/dev/fd/", "/proc/self/fd/", "/proc/thread-self/fd/", "own", "link"}) {
    for (const int append : {0, O_APPEND}) {
      put(in("out"), "older content, quite long|");
      const int fd = ::open(in("out").c_str(), O_WRONLY | append);
      ASSERT_GE(fd, 0);
      if (append == 0) {
        ASSERT_EQ(::lseek(fd, 26, SEEK_SET), 26);
      }
      ASSERT_EQ(::write(fd, "header|", 7), 7);
      std::string name = form + std::to_string(fd);
      if (std::string_view(form) == "own") {
        name = "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(fd);
      } else if (std::string_view(form) == "link") {
        fs::remove(in("first"));
        fs::remove(in("second"));
        fs::create_symlink("/dev/fd/" + std::to_string(fd), in("second"));
        fs::create_symlink("second", in("first"));
        name = in("first");
      }
      {
        auto sink = file_sink(name, Sync::file_folder);
        EXPECT_EQ(sink->patchable(), append == 0);
        sink->write(as_bytes("archive|"));
        if (sink->patchable()) {
          sink->patch(0, as_bytes("A"));
        }
        sink->close();
        EXPECT_EQ(error_of([&] { sink->close(); }).code(), Errc::invalid_argument);
      }
      ASSERT_EQ(::write(fd, "tail", 4), 4);
      ::close(fd);
      EXPECT_EQ(content(in("out")),
                std::string("older content, quite long|header|") + (append == 0 ? "Archive|" : "archive|") + "tail")
          << name;
    }
  }
}

TEST_F(Files, ANamedPipeEndSocketOrMemoryIsWrittenThrough) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  save("/dev/fd/" + std::to_string(ends[1]), "through the pipe");
  ::close(ends[1]);
  EXPECT_EQ(drain(*file_source("/dev/fd/" + std::to_string(ends[0]))), "through the pipe");
  ::close(ends[0]);

  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  save("/proc/self/fd/" + std::to_string(ends[1]), "through the socket");
  ::shutdown(ends[1], SHUT_WR);
  EXPECT_EQ(drain(*file_source("/proc/self/fd/" + std::to_string(ends[0]))), "through the socket");
  ::close(ends[0]);
  ::close(ends[1]);

  const int memory = ::memfd_create("memory", MFD_ALLOW_SEALING);
  save("/dev/fd/" + std::to_string(memory), "in memory");
  EXPECT_EQ(::lseek(memory, 0, SEEK_CUR), 9);
  ASSERT_EQ(::fcntl(memory, F_ADD_SEALS, F_SEAL_WRITE), 0);
  EXPECT_EQ(error_of([&] { save("/dev/fd/" + std::to_string(memory), "more"); }).message(),
            "cannot write /dev/fd/" + std::to_string(memory) + ": Operation not permitted");
  ASSERT_EQ(::lseek(memory, 3, SEEK_SET), 3);
  EXPECT_EQ(drain(*file_source("/dev/fd/" + std::to_string(memory))), "memory");
  ::close(memory);
}

TEST_F(Files, APipeThatDoesNotWaitIsWaitedFor) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_NONBLOCK), 0);
  const std::vector<std::byte> bytes = noise(1 << 20);
  std::string got;
  std::thread reader([&] { got = drain(*fd_source(ends[0]), 4096); });
  auto sink = file_sink("/dev/fd/" + std::to_string(ends[1]));
  sink->write(bytes);
  sink->close();
  ::close(ends[1]);
  reader.join();
  ::close(ends[0]);
  EXPECT_EQ(got, text_of(bytes));
}

TEST_F(Files, ADescriptorThatDoesNotAllowItIsAnErrorThatSaysSo) {
  put(in("file"), "content");
  const int reads = ::open(in("file").c_str(), O_RDONLY);
  const int writes = ::open(in("file").c_str(), O_WRONLY);
  const int path = ::open(in("file").c_str(), O_PATH);
  const auto named = [](int fd) { return "/dev/fd/" + std::to_string(fd); };
  EXPECT_EQ(error_of([&] { file_sink(named(reads)); }).message(),
            "cannot write " + named(reads) + ": descriptor " + std::to_string(reads) + " is open only for reading");
  EXPECT_EQ(error_of([&] { file_source(named(writes)); }).message(),
            "cannot read " + named(writes) + ": descriptor " + std::to_string(writes) + " is open only for writing");
  EXPECT_EQ(error_of([&] { Mapping::open(named(reads), MapMode::read_write); }).code(), Errc::io);
  EXPECT_NE(error_of([&] { file_sink(named(path)); }).message().find("as a path only"), std::string::npos);
  for (const int fd : {reads, writes, path}) {
    ::close(fd);
  }
  EXPECT_EQ(error_of([&] { file_sink(named(reads)); }).code(), Errc::io);
  EXPECT_EQ(content(in("file")), "content");
  EXPECT_EQ(files(), 1u);
}

TEST_F(Files, ADescriptorsNameIsReadFromItsPosition) {
  put(in("file"), "before|content");
  const int fd = ::open(in("file").c_str(), O_RDONLY);
  ASSERT_EQ(::lseek(fd, 7, SEEK_SET), 7);
  const std::string name = "/dev/fd/" + std::to_string(fd);
  const auto source = file_source(name);
  EXPECT_EQ(source->size(), 7u);
  EXPECT_EQ(text_at(*source, 3, 4), "tent");
  EXPECT_EQ(drain(*source), "content");
  source->seek(1);
  EXPECT_EQ(drain(*source), "ontent");
  EXPECT_EQ(text_of(Mapping::open(name, MapMode::read_only)->bytes()), "content");
  EXPECT_EQ(text_of(Mapping::open(name, MapMode::read_only, 3, 2)->bytes()), "te");
  EXPECT_EQ(error_of([&] { Mapping::open(name, MapMode::read_only, 3, 5); }).code(), Errc::truncated);
  EXPECT_EQ(::lseek(fd, 0, SEEK_CUR), 7);
  fs::remove(in("file"));  // by now it has no other name
  EXPECT_EQ(drain(*file_source(name)), "content");
  ::close(fd);
}

TEST_F(Files, AnotherProcesssFileIsAddedTo) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  put(in("out"), "its content|");
  const pid_t other = ::fork();
  if (other == 0) {
    const int fd = ::open(in("out").c_str(), O_WRONLY);
    ::dup2(fd, 50);
    ::alarm(60);
    if (::write(ends[1], "x", 1) == 1) {
      ::pause();
    }
    ::_exit(1);
  }
  char byte = 0;
  ASSERT_EQ(::read(ends[0], &byte, 1), 1);
  save("/proc/" + std::to_string(other) + "/fd/50", "more");
  EXPECT_EQ(content(in("out")), "its content|more");
  ::kill(other, SIGKILL);
  ::waitpid(other, nullptr, 0);
  ::close(ends[0]);
  ::close(ends[1]);
  EXPECT_EQ(files(), 1u);
}

// ---------------------------------------------------------------------------------------------------- leftovers

TEST_F(Files, KilledSavesLeaveLittleAndTheNextLeavesNothing) {
  put(in("model"), "old");
  constexpr int most_writers = 4;
  // A writer takes the first name that no other process holds, and each holds at most two: its own, and that of a
  // leftover it removes. One that is killed early has not yet removed what others left before.
  constexpr std::size_t most_names = 2 * most_writers;
  for (int round = 0; round < 120; ++round) {
    const int writers = 1 + round % most_writers;
    std::vector<pid_t> children;
    for (int i = 0; i < writers; ++i) {
      const pid_t child = ::fork();
      if (child == 0) {
        for (;;) {
          save(in("model"), std::string(10'000, 'x'));
        }
      }
      children.push_back(child);
    }
    std::this_thread::sleep_for(std::chrono::microseconds(500 + 137 * round % 3000));
    for (const pid_t child : children) {
      ::kill(child, SIGKILL);
      ::waitpid(child, nullptr, 0);
    }
    EXPECT_LE(files(), 1 + most_names) << round;
    EXPECT_TRUE(content(in("model")) == "old" || content(in("model")) == std::string(10'000, 'x'));
    if (round % 10 == 9) {  // seldom, so that leftovers that pile up exceed the bound above
      save(in("model"), "old");
      EXPECT_EQ(names(), std::vector<std::string>{"model"}) << round;
    }
  }
}

TEST_F(Files, OnlyWhatIsDeadAndItsOwnIsRemoved) {
  auto living = file_sink(in("model"));
  living->write(as_bytes("alive"));
  leave(".model.stele-1.tmp");
  leave(".model.stele-9.tmp");
  leave(".other.stele-0.tmp");
  leave(".model.stele-2.tmp.mine");
  leave(".model.stele-x.tmp");
  leave("model.stele-3.tmp");
  fs::create_symlink(".other.stele-0.tmp", in(".model.stele-4.tmp"));
  ASSERT_EQ(::mkfifo(in(".model.stele-5.tmp").c_str(), 0600), 0);
  fs::create_directory(in(".model.stele-6.tmp"));
  save(in("model"), "new");
  std::vector<std::string> all = names();
  const std::vector<std::string> kept{
      ".model.stele-0.tmp", ".model.stele-2.tmp.mine", ".model.stele-4.tmp", ".model.stele-5.tmp",
      ".model.stele-6.tmp", ".model.stele-x.tmp",      ".other.stele-0.tmp", "model",
      "model.stele-3.tmp"};
  EXPECT_EQ(all, kept);
  EXPECT_EQ(content(in("model")), "new");
  living->close();
  EXPECT_EQ(content(in("model")), "alive");

  leave(".and.another.stele-12.tmp");
  auto writing = file_sink(in("more"));
  EXPECT_EQ(remove_leftovers(Folder::open(folder_)), 2u);
  writing->close();
  EXPECT_EQ(names(), (std::vector<std::string>{".model.stele-2.tmp.mine", ".model.stele-4.tmp", ".model.stele-5.tmp",
                                               ".model.stele-6.tmp", ".model.stele-x.tmp", "model", "model.stele-3.tmp",
                                               "more"}));
}

TEST_F(Files, ALongNamesLeftoversAreFoundToo) {
  std::string name;
  for (int i = 0; i < 85; ++i) {
    name += "\xe2\x82\xac";  // three bytes
  }
  const std::string path = in(name);
  EXPECT_EQ(name.size(), 255u);
  EXPECT_EQ(in_child([&] {
              auto sink = file_sink(path);
              ::kill(::getpid(), SIGKILL);
              return 0;
            }),
            200 + SIGKILL);
  EXPECT_EQ(files(), 1u);
  save(path, "x");
  EXPECT_EQ(names(), std::vector<std::string>{name});
}

TEST_F(Files, WithoutLocksNoFileCountsAsALeftover) {
  for (const int reason : {EINVAL, ENOLCK, ENOSYS, EOPNOTSUPP}) {
    refusal = reason;
    leave(".model.stele-0.tmp");
    system_calls().fcntl = without_locks;
    auto sink = file_sink(in("model"));
    system_calls() = real_;
    save(in("model"), "by another, with locks");
    EXPECT_EQ(remove_leftovers(Folder::open(folder_)), 0u);
    sink->write(as_bytes("by the one without"));
    sink->close();
    EXPECT_EQ(content(in("model")), "by the one without");
    EXPECT_EQ(names(), std::vector<std::string>{"model"});
  }
}

TEST_F(Files, SavesAndCleaningAtOnceLoseNothing) {
  const auto work = [&](int id) {
    for (int i = 0; i < 150; ++i) {
      save(in(i % 2 == 0 ? "model" : "own" + std::to_string(id)), std::to_string(id));
      if (i % 5 == 0) {
        remove_leftovers(Folder::open(folder_));
      }
    }
  };
  std::vector<pid_t> children;
  for (int id = 0; id < 3; ++id) {
    children.push_back(::fork());
    if (children.back() == 0) {
      try {
        std::thread other([&] { work(10 + id); });
        work(id);
        other.join();
      } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
        ::_exit(1);
      }
      ::_exit(0);
    }
  }
  for (const pid_t child : children) {
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }
  EXPECT_EQ(files(), 7u);
}

TEST_F(Files, ALeftoverThatNobodyMayWriteGoesToo) {
  NEEDS_ROOT();
  ASSERT_EQ(::chown(folder_.c_str(), 1234, 1234), 0);
  EXPECT_EQ(as_user(1234, 1234,
                    [&] {
                      leave(".model.stele-0.tmp", 0444);
                      save(in("model"), "new");
                      return static_cast<int>(files());
                    }),
            1);
}

// ---------------------------------------------------------------------------------------------------- replacing

TEST_F(Files, OwnerGroupAndAttributesAreKept) {
  NEEDS_ROOT();
  put(in("model"), "old");
  ASSERT_EQ(::chown(in("model").c_str(), 1234, 2345), 0);
  ASSERT_EQ(::chmod(in("model").c_str(), 0640), 0);
  const std::string long_value(3000, 'v');
  ASSERT_EQ(::setxattr(in("model").c_str(), "user.origin", "lab", 3, 0), 0);
  ASSERT_EQ(::setxattr(in("model").c_str(), "user.long", long_value.data(), long_value.size(), 0), 0);
  const bool trusted = ::setxattr(in("model").c_str(), "trusted.note", "t", 1, 0) == 0;
  save(in("model"), "new");
  const struct stat now = status_of(in("model"));
  EXPECT_EQ(now.st_uid, 1234u);
  EXPECT_EQ(now.st_gid, 2345u);
  EXPECT_EQ(now.st_mode & 07777, 0640u);
  char value[4000];
  EXPECT_EQ(::getxattr(in("model").c_str(), "user.origin", value, sizeof value), 3);
  EXPECT_EQ(::getxattr(in("model").c_str(), "user.long", value, sizeof value), 3000);
  EXPECT_EQ(::getxattr(in("model").c_str(), "trusted.note", value, sizeof value), trusted ? 1 : -1);
  EXPECT_EQ(content(in("model")), "new");
}

TEST_F(Files, AnAttributeThatCannotBeKeptIsAnErrorThatNamesIt) {
  put(in("model"), "old");
  ASSERT_EQ(::setxattr(in("model").c_str(), "user.origin", "lab", 3, 0), 0);
  system_calls().fsetxattr = [](int, const char*, const void*, std::size_t, int) {
    errno = ENOSPC;
    return -1;
  };
  EXPECT_EQ(error_of([&] { save(in("model"), "new"); }).message(),
            "cannot keep the attribute user.origin of " + in("model") + ": No space left on device");
  EXPECT_EQ(content(in("model")), "old");
  EXPECT_EQ(files(), 1u);
}

TEST_F(Files, AccessListsAreKept) {
  put(in("model"), "old");
  const std::uint32_t none = 0xffffffff;
  const std::string list = acl({{0x01, 6, none}, {0x02, 4, 4321}, {0x04, 0, none}, {0x10, 4, none}, {0x20, 0, none}});
  if (!set_acl(in("model"), list)) {
    GTEST_SKIP() << "no access control lists here";
  }
  EXPECT_EQ(mode_of(in("model")), 0640u);
  save(in("model"), "new");
  EXPECT_EQ(acl_of(in("model")), list);
  EXPECT_EQ(mode_of(in("model")), 0640u);

  // a file without a list does not get the folder's
  fs::remove(in("model"));
  put(in("model"), "old");
  ::chmod(in("model").c_str(), 0640);
  ASSERT_TRUE(set_acl(
      folder_, acl({{0x01, 7, none}, {0x02, 7, 4321}, {0x04, 5, none}, {0x10, 7, none}, {0x20, 5, none}}), "default"));
  save(in("model"), "new");
  EXPECT_EQ(acl_of(in("model")), "");
  EXPECT_EQ(mode_of(in("model")), 0640u);
  save(in("fresh"), "new");  // but to new ones
  EXPECT_NE(acl_of(in("fresh")), "");
}

TEST_F(Files, WhatCannotBeKeptNeverWidensAccess) {
  NEEDS_ROOT();
  ASSERT_EQ(::chown(folder_.c_str(), 1234, 1234), 0);
  struct Case {
    uid_t owner;
    gid_t group;
    mode_t mode;
    gid_t group_after;
    mode_t mode_after;
  };
  // 1234 is in the groups 1234 and 77. A file of 1235 can be written by its group or by all.
  for (const Case& c :
       {Case{1234, 77, 0664, 77, 0664}, Case{1234, 88, 0640, 1234, 0600}, Case{1234, 88, 0644, 1234, 0644},
        Case{1234, 88, 0664, 1234, 0644}, Case{1234, 88, 0604, 1234, 0600}, Case{1234, 1234, 0640, 1234, 0640},
        Case{1235, 77, 0660, 77, 0660}, Case{1235, 88, 0666, 1234, 0666}, Case{1235, 88, 0466, 1234, 0444},
        Case{1234, 88, 06775, 1234, 0755}, Case{1234, 1234, 06755, 1234, 0755}}) {
    put(in("model"), "old");
    ASSERT_EQ(::chown(in("model").c_str(), c.owner, c.group), 0);
    ASSERT_EQ(::chmod(in("model").c_str(), c.mode), 0);
    EXPECT_EQ(as_user(1234, 1234,
                      [&] {
                        save(in("model"), "new");
                        return 0;
                      },
                      {77}),
              0);
    const struct stat now = status_of(in("model"));
    EXPECT_EQ(now.st_uid, 1234u);
    EXPECT_EQ(now.st_gid, c.group_after) << std::oct << c.mode;
    EXPECT_EQ(now.st_mode & 07777, c.mode_after) << std::oct << c.mode;
    EXPECT_EQ(content(in("model")), "new");
    fs::remove(in("model"));
  }
}

TEST_F(Files, AListOfAnotherGroupIsCutToWhatAllHad) {
  NEEDS_ROOT();
  ASSERT_EQ(::chown(folder_.c_str(), 1234, 1234), 0);
  put(in("model"), "old");
  ASSERT_EQ(::chown(in("model").c_str(), 1234, 88), 0);
  const std::uint32_t none = 0xffffffff;
  if (!set_acl(in("model"),
               acl({{0x01, 6, none}, {0x02, 6, 4321}, {0x04, 6, none}, {0x10, 6, none}, {0x20, 4, none}}))) {
    GTEST_SKIP() << "no access control lists here";
  }
  EXPECT_EQ(as_user(1234, 1234,
                    [&] {
                      save(in("model"), "new");
                      return 0;
                    }),
            0);
  EXPECT_EQ(acl_of(in("model")),
            acl({{0x01, 6, none}, {0x02, 6, 4321}, {0x04, 4, none}, {0x10, 6, none}, {0x20, 4, none}}));
}

TEST_F(Files, SetUserIdIsNeverKept) {
  put(in("model"), "old");
  ASSERT_EQ(::chmod(in("model").c_str(), 06755), 0);
  save(in("model"), "new");
  EXPECT_EQ(mode_of(in("model")), 0755u);
}

TEST_F(Files, PermissionsAreThoseOfTheMomentOfReplacing) {
  put(in("model"), "old");
  ASSERT_EQ(::chmod(in("model").c_str(), 0644), 0);
  auto sink = file_sink(in("model"));
  EXPECT_EQ(mode_of(in(".model.stele-0.tmp")), 0600u);
  ASSERT_EQ(::chmod(in("model").c_str(), 0600), 0);
  sink->close();
  EXPECT_EQ(mode_of(in("model")), 0600u);

  auto first = file_sink(in("fresh"));
  put(in("fresh"), "of another");
  ASSERT_EQ(::chmod(in("fresh").c_str(), 0600), 0);
  first->close();
  EXPECT_EQ(mode_of(in("fresh")), 0600u);

  ASSERT_EQ(::chmod(in("model").c_str(), 0644), 0);
  auto gone = file_sink(in("model"));
  fs::remove(in("model"));
  gone->close();
  EXPECT_EQ(mode_of(in("model")), 0644u);
}

TEST_F(Files, AFileThatOneMayNotWriteIsNotReplaced) {
  NEEDS_ROOT();
  ASSERT_EQ(::chown(folder_.c_str(), 1234, 1234), 0);
  put(in("model"), "old");
  ASSERT_EQ(::chown(in("model").c_str(), 1234, 1234), 0);
  ASSERT_EQ(::chmod(in("model").c_str(), 0444), 0);
  EXPECT_EQ(as_user(1234, 1234, [&] { return save_fails(in("model"), "no permission to write it") ? 0 : 1; }), 0);
  EXPECT_EQ(content(in("model")), "old");
  EXPECT_EQ(files(), 1u);
  save(in("model"), "by root");  // who may write all
  EXPECT_EQ(mode_of(in("model")), 0444u);
}

TEST_F(Files, AFolderThatOneMayNotWriteIsNamedAndInPlaceHelps) {
  NEEDS_ROOT();
  ASSERT_EQ(::chmod(folder_.c_str(), 0755), 0);
  put(in("model"), "old, and longer than the new one");
  ASSERT_EQ(::chmod(in("model").c_str(), 0666), 0);
  const ino_t before = status_of(in("model")).st_ino;
  EXPECT_EQ(as_user(1234, 1234,
                    [&] {
                      const bool said = save_fails(in("model"), "does not let the process make files") &&
                                        save_fails(in("model"), "in_place") &&
                                        save_fails(in("absent"), "does not let the process make files");
                      save(in("model"), "new", true);
                      return said ? 0 : 1;
                    }),
            0);
  EXPECT_EQ(content(in("model")), "new");
  EXPECT_EQ(status_of(in("model")).st_ino, before);
  EXPECT_EQ(files(), 1u);
}

TEST_F(Files, AStickyFolderIsNamed) {
  NEEDS_ROOT();
  ASSERT_EQ(::chmod(folder_.c_str(), 01777), 0);
  put(in("model"), "old");
  ASSERT_EQ(::chown(in("model").c_str(), 1235, 1235), 0);
  ASSERT_EQ(::chmod(in("model").c_str(), 0666), 0);
  fs::create_symlink(in("model"), in("link"));
  ASSERT_EQ(::lchown(in("link").c_str(), 1236, 1236), 0);
  EXPECT_EQ(
      as_user(
          1234, 1234,
          [&] { return save_fails(in("model"), "sticky bit") && save_fails(in("link"), "Permission denied") ? 0 : 1; }),
      0);
  EXPECT_EQ(content(in("model")), "old");
  EXPECT_EQ(files(), 2u);
}

TEST_F(Files, NewContentInPlaceHasNoSetUserId) {
  put(in("tool"), "old");
  ASSERT_EQ(::chmod(in("tool").c_str(), 06755), 0);
  save(in("tool"), "new", true);
  EXPECT_EQ(status_of(in("tool")).st_mode & 07777, 0755U);
}

TEST_F(Files, OtherNamesKeepTheOldContentUnlessInPlace) {
  put(in("model"), "old");
  fs::create_hard_link(in("model"), in("other"));
  save(in("model"), "new");
  EXPECT_EQ(content(in("other")), "old");
  fs::remove(in("other"));
  fs::create_hard_link(in("model"), in("other"));
  fs::create_symlink("model", in("link"));
  save(in("link"), "newer", true);
  EXPECT_EQ(content(in("other")), "newer");
  save(in("absent"), "made", true);
  EXPECT_EQ(content(in("absent")), "made");
}

TEST_F(Files, AMountedFileIsRefusedOrWrittenInPlace) {
  put(in("outside"), "old");
  put(in("model"), "");
  const int result = in_child([&] {
    if (::unshare(CLONE_NEWNS) != 0 || ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount(in("outside").c_str(), in("model").c_str(), nullptr, MS_BIND, nullptr) != 0) {
      return 77;
    }
    const bool refused = save_fails(in("model"), "it is a mount point") && save_fails(in("model"), "in_place");
    save(in("model"), "new", true);
    return refused && content(in("model")) == "new" ? 0 : 1;
  });
  if (result == 77) {
    GTEST_SKIP() << "no mounts are allowed here";
  }
  EXPECT_EQ(result, 0);
  EXPECT_EQ(content(in("outside")), "new");
  EXPECT_EQ(files(), 2u);
}

TEST_F(Files, AnImmutableFileIsNamedSo) {
  for (const auto& [flag, word] : {std::pair(FS_IMMUTABLE_FL, "immutable"), std::pair(FS_APPEND_FL, "append-only")}) {
    put(in("model"), "old");
    const int fd = ::open(in("model").c_str(), O_RDONLY);
    int flags = 0;
    if (::ioctl(fd, FS_IOC_GETFLAGS, &flags) != 0 || ((flags |= flag), ::ioctl(fd, FS_IOC_SETFLAGS, &flags) != 0)) {
      ::close(fd);
      GTEST_SKIP() << "no such flags here";
    }
    EXPECT_TRUE(save_fails(in("model"), word));
    flags &= ~flag;
    EXPECT_EQ(::ioctl(fd, FS_IOC_SETFLAGS, &flags), 0);
    ::close(fd);
    EXPECT_EQ(content(in("model")), "old");
    EXPECT_EQ(files(), 1u);
  }
}

TEST_F(Files, InPlaceTouchesTheFileOnlyAtTheEnd) {
  put(in("model"), "old");
  auto sink = file_sink(in("model"), Sync::file_folder, true);
  EXPECT_TRUE(sink->patchable());
  sink->write(as_bytes("0123456789"));
  sink->patch(3, as_bytes("xyz"));
  EXPECT_EQ(error_of([&] { sink->patch(8, as_bytes("abc")); }).code(), Errc::invalid_argument);
  EXPECT_EQ(content(in("model")), "old");
  sink->close();
  EXPECT_EQ(content(in("model")), "012xyz6789");
  EXPECT_EQ(error_of([&] { sink->close(); }).code(), Errc::invalid_argument);
  {
    auto dropped = file_sink(in("model"), Sync::none, true);
    dropped->write(as_bytes("dropped"));
  }
  EXPECT_EQ(content(in("model")), "012xyz6789");
  EXPECT_EQ(files(), 1u);

  // a disk that is full shows before the first byte is lost
  system_calls().fallocate = [](int, int, off_t, off_t) {
    errno = ENOSPC;
    return -1;
  };
  EXPECT_EQ(error_of([&] { save(in("model"), "longer than what stands there", true); }).code(), Errc::io);
  EXPECT_EQ(content(in("model")), "012xyz6789");
  system_calls() = real_;

  // every failing call is an error and leaves no file behind
  for (int nth = 0, seen = 1; seen != 0; ++nth) {
    put(in("model"), "old");
    fail_nth_call(nth, EIO);
    try {
      save(in("model"), "new", true);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Errc::io);
    }
    seen = calls_left_ < 0 ? 1 : 0;
    system_calls() = real_;
    EXPECT_TRUE(seen != 0 || content(in("model")) == "new");
    EXPECT_EQ(files(), 1u) << nth;
  }
}

TEST_F(Files, InPlaceWorksWhereFilesWithoutNamesAreNotMade) {
  put(in("model"), "old");
  static SystemCalls real;
  real = system_calls();
  system_calls().openat = [](int folder, const char* name, int flags, mode_t mode) {
    if ((flags & O_TMPFILE) == O_TMPFILE) {
      errno = EOPNOTSUPP;
      return -1;
    }
    return real.openat(folder, name, flags, mode);
  };
  save(in("model"), "new", true);
  EXPECT_EQ(content(in("model")), "new");
  EXPECT_EQ(files(), 1u);
}

TEST_F(Files, APathThatCannotBeAFileIsNamed) {
  fs::create_symlink("nowhere/at/all", in("broken"));
  fs::create_symlink(in("b"), in("a"));
  fs::create_symlink(in("a"), in("b"));
  fs::create_symlink(".", in("here"));
  EXPECT_TRUE(save_fails(in("broken"), "No such file or directory"));
  EXPECT_TRUE(save_fails(in("a"), "Too many levels of symbolic links"));
  EXPECT_TRUE(save_fails(in("here"), "Is a directory"));
  EXPECT_TRUE(save_fails(in("here/"), "Is a directory"));
  EXPECT_TRUE(save_fails(in("."), "Is a directory"));
  EXPECT_TRUE(save_fails(in(std::string(256, 'n')), "File name too long"));
  EXPECT_TRUE(save_fails("", "empty path"));
  EXPECT_EQ(files(), 4u);
}

// ------------------------------------------------------------------------------------------- folders and processes

TEST_F(Files, ARelativePathIsThatOfTheMomentOfOpening) {
  const fs::path before = fs::current_path();
  fs::create_directories(in("there/deep"));
  fs::create_directories(in("elsewhere"));
  fs::create_symlink("there/deep/real", in("link"));
  fs::current_path(folder_);
  for (const char* const name : {"model", "there/model", "link"}) {
    put(name, "old");
    auto sink = file_sink(name, Sync::file_folder);
    auto dropped = file_sink(name);
    auto source = file_source(name);
    fs::current_path("elsewhere");
    sink->write(as_bytes("new"));
    sink->close();
    dropped.reset();
    EXPECT_EQ(drain(*source), "old");
    fs::current_path(folder_);
    EXPECT_EQ(content(name), "new");
  }
  fs::current_path(before);
  EXPECT_TRUE(fs::is_empty(in("elsewhere")));
  EXPECT_EQ(files(), 4u);
  EXPECT_EQ(std::distance(fs::directory_iterator(in("there")), fs::directory_iterator()), 2);
}

TEST_F(Files, AFolderThatIsMovedIsFollowedAndOneThatIsGoneIsAnError) {
  fs::create_directory(in("folder"));
  auto sink = file_sink(in("folder/model"));
  fs::rename(in("folder"), in("moved"));
  sink->close();
  EXPECT_TRUE(fs::exists(in("moved/model")));

  auto lost = file_sink(in("moved/other"));
  fs::remove_all(in("moved"));
  EXPECT_EQ(error_of([&] { lost->close(); }).message(),
            "cannot rename the temporary file to " + in("moved/other") + ": No such file or directory");
}

TEST_F(Files, AChildLeavesItsParentsFilesAlone) {
  put(in("standing"), "old");
  const int fd = ::open(in("out").c_str(), O_WRONLY | O_CREAT, 0600);
  for (const bool in_place : {false, true}) {
    auto sink = file_sink(in("model"));
    auto placed = file_sink(in("standing"), Sync::none, in_place);
    auto direct = file_sink("/dev/fd/" + std::to_string(fd));
    for (Sink* const one : {sink.get(), placed.get(), direct.get()}) {
      one->write(as_bytes("parent "));
    }
    EXPECT_EQ(in_child([&] {
                int refused = 0;
                for (Sink* const one : {sink.get(), placed.get(), direct.get()}) {
                  const auto tries = {std::function<void()>([&] { one->write(as_bytes("child")); }),
                                      std::function<void()>([&] { one->patch(0, as_bytes("c")); }),
                                      std::function<void()>([&] { one->close(); })};
                  for (const auto& attempt : tries) {
                    try {
                      attempt();
                    } catch (const Error& error) {
                      refused += error.message().find("in a child after fork()") != std::string::npos ? 1 : 0;
                    }
                  }
                }
                sink.reset();
                placed.reset();
                direct.reset();
                save(in("of the child"), "works");
                return refused;
              }),
              9);
    for (Sink* const one : {sink.get(), placed.get(), direct.get()}) {
      one->write(as_bytes("goes on"));
      one->close();
    }
    EXPECT_EQ(content(in("model")), "parent goes on");
    EXPECT_EQ(content(in("standing")), "parent goes on");
    EXPECT_EQ(content(in("of the child")), "works");
  }
  ::close(fd);
  EXPECT_EQ(content(in("out")), "parent goes onparent goes on");
  EXPECT_EQ(files(), 4u);
}

TEST_F(Files, ALockLastsAsLongAsTheWriterDespiteItsChildren) {
  auto sink = file_sink(in("model"));
  EXPECT_EQ(in_child([&] {
              sink.reset();
              return 0;
            }),
            0);
  EXPECT_EQ(remove_leftovers(Folder::open(folder_)), 0u);
  sink->close();
  EXPECT_EQ(names(), std::vector<std::string>{"model"});
}

}  // namespace
}  // namespace stele

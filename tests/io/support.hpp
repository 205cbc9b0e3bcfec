#pragma once
// Shared by the tests of the io layer: a folder for each test, and a table of system calls that can be made to fail.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "io/system.hpp"
#include "stele/error.hpp"
#include "stele/io.hpp"

namespace stele {

namespace fs = std::filesystem;

inline Bytes as_bytes(std::string_view text) { return std::as_bytes(std::span(text.data(), text.size())); }

inline std::string text_of(Bytes bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

inline std::string content(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

inline void put(const fs::path& path, std::string_view text) {
  std::ofstream(path, std::ios::binary).write(text.data(), static_cast<std::streamsize>(text.size()));
}

inline std::vector<std::byte> noise(std::size_t size) {
  std::mt19937 random(5);
  std::vector<std::byte> bytes(size);
  std::generate(bytes.begin(), bytes.end(), [&] { return static_cast<std::byte>(random()); });
  return bytes;
}

template <class Action>
Error error_of(Action action) {
  try {
    action();
  } catch (const Error& e) {
    return e;
  }
  ADD_FAILURE() << "no error";
  return Error(Errc::invalid_argument, "none");
}

/// All remaining bytes of a Source.
inline std::string drain(Source& source, std::size_t piece = 7) {
  std::string all;
  std::vector<std::byte> some(piece);
  while (const std::size_t got = source.read(some)) {
    all += text_of(std::span(some).first(got));
  }
  return all;
}

inline std::string text_at(const Source& source, std::uint64_t offset, std::size_t size) {
  std::vector<std::byte> bytes(size);
  source.read_at(offset, bytes);
  return text_of(bytes);
}

/// A folder of its own for each test, and a table of system calls that can be made to fail.
class Io : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "stele-io-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
    real_ = system_calls();
  }
  void TearDown() override {
    system_calls() = real_;
    fs::remove_all(folder_);
  }

  std::string in(std::string_view name) const { return (folder_ / name).string(); }
  std::size_t files() const {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()));
  }

  /// Makes the call number `nth` (from 0) after this fail with `error`; for the length of a scope.
  static inline SystemCalls real_;
  static inline int calls_left_ = 0;
  static inline int error_ = 0;
  static bool fails() {
    if (calls_left_-- == 0) {
      errno = error_;
      return true;
    }
    return false;
  }
  static int fcntl_or_fail(int fd, int command, ...) {  // no lambda, as GCC makes no function of one with "..."
    va_list rest;
    va_start(rest, command);
    void* const argument = va_arg(rest, void*);
    va_end(rest);
    return fails() ? -1 : real_.fcntl(fd, command, argument);
  }
  static void fail_nth_call(int nth, int error) {
    calls_left_ = nth;
    error_ = error;
    SystemCalls& table = system_calls();
    table = real_;
    table.open = [](const char* path, int flags, mode_t mode) { return fails() ? -1 : real_.open(path, flags, mode); };
    table.close = [](int fd) {
      const int result = real_.close(fd);  // the descriptor is gone even so
      return fails() ? -1 : result;
    };
    table.read = [](int fd, void* into, std::size_t count) { return fails() ? -1 : real_.read(fd, into, count); };
    table.pread = [](int fd, void* into, std::size_t count, off_t at) {
      return fails() ? -1 : real_.pread(fd, into, count, at);
    };
    table.write = [](int fd, const void* from, std::size_t count) {
      return fails() ? -1 : real_.write(fd, from, count);
    };
    table.pwrite = [](int fd, const void* from, std::size_t count, off_t at) {
      return fails() ? -1 : real_.pwrite(fd, from, count, at);
    };
    table.lseek = [](int fd, off_t at, int whence) { return fails() ? -1 : real_.lseek(fd, at, whence); };
    table.fstat = [](int fd, struct stat* out) { return fails() ? -1 : real_.fstat(fd, out); };
    table.fchmod = [](int fd, mode_t mode) { return fails() ? -1 : real_.fchmod(fd, mode); };
    table.fsync = [](int fd) { return fails() ? -1 : real_.fsync(fd); };
    table.mmap = [](void* address, std::size_t length, int protection, int flags, int fd, off_t at) {
      return fails() ? MAP_FAILED : real_.mmap(address, length, protection, flags, fd, at);
    };
    table.msync = [](void* address, std::size_t length, int flags) {
      return fails() ? -1 : real_.msync(address, length, flags);
    };
    table.readlinkat = [](int folder, const char* name, char* into, std::size_t count) {
      return fails() ? -1 : real_.readlinkat(folder, name, into, count);
    };
    table.fcntl = fcntl_or_fail;
    table.openat = [](int folder, const char* name, int flags, mode_t mode) {
      return fails() ? -1 : real_.openat(folder, name, flags, mode);
    };
    table.fstatat = [](int folder, const char* name, struct stat* out, int flags) {
      return fails() ? -1 : real_.fstatat(folder, name, out, flags);
    };
    table.statx = [](int folder, const char* name, int flags, unsigned mask, struct statx* out) {
      return fails() ? -1 : real_.statx(folder, name, flags, mask, out);
    };
    table.faccessat = [](int folder, const char* name, int mode, int flags) {
      return fails() ? -1 : real_.faccessat(folder, name, mode, flags);
    };
    table.renameat = [](int from_folder, const char* from, int to_folder, const char* to) {
      return fails() ? -1 : real_.renameat(from_folder, from, to_folder, to);
    };
    table.fchown = [](int fd, uid_t owner, gid_t group) { return fails() ? -1 : real_.fchown(fd, owner, group); };
    table.fstatfs = [](int fd, struct statfs* out) { return fails() ? -1 : real_.fstatfs(fd, out); };
    table.flistxattr = [](int fd, char* into, std::size_t count) {
      return fails() ? -1 : real_.flistxattr(fd, into, count);
    };
    table.fgetxattr = [](int fd, const char* name, void* into, std::size_t count) {
      return fails() ? -1 : real_.fgetxattr(fd, name, into, count);
    };
    table.fsetxattr = [](int fd, const char* name, const void* from, std::size_t count, int flags) {
      return fails() ? -1 : real_.fsetxattr(fd, name, from, count, flags);
    };
    table.fremovexattr = [](int fd, const char* name) { return fails() ? -1 : real_.fremovexattr(fd, name); };
    table.fallocate = [](int fd, int mode, off_t offset, off_t length) {
      return fails() ? -1 : real_.fallocate(fd, mode, offset, length);
    };
    table.ftruncate = [](int fd, off_t length) { return fails() ? -1 : real_.ftruncate(fd, length); };
  }

  fs::path folder_;
};

}  // namespace stele

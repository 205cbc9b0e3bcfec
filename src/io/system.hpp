#pragma once
// The one table of system calls. Every call the library makes goes through it, so that tests can fail each in turn.

#include <sys/stat.h>
#include <sys/types.h>

#include <cstddef>

namespace stele {

/// Pointers with the signatures of POSIX; errno tells the reason of a failure.
struct SystemCalls {
  int (*open)(const char* path, int flags, mode_t mode);
  int (*close)(int fd);
  ssize_t (*read)(int fd, void* into, std::size_t count);
  ssize_t (*pread)(int fd, void* into, std::size_t count, off_t offset);
  ssize_t (*write)(int fd, const void* from, std::size_t count);
  ssize_t (*pwrite)(int fd, const void* from, std::size_t count, off_t offset);
  off_t (*lseek)(int fd, off_t offset, int whence);
  int (*fstat)(int fd, struct stat* out);
  int (*stat)(const char* path, struct stat* out);
  int (*fchmod)(int fd, mode_t mode);
  int (*ftruncate)(int fd, off_t length);
  int (*fsync)(int fd);
  int (*rename)(const char* from, const char* to);
  int (*unlink)(const char* path);
  int (*mkdir)(const char* path, mode_t mode);
  void* (*mmap)(void* address, std::size_t length, int protection, int flags, int fd, off_t offset);
  int (*munmap)(void* address, std::size_t length);
  int (*msync)(void* address, std::size_t length, int flags);
  int (*madvise)(void* address, std::size_t length, int advice);
  ssize_t (*readlink)(const char* path, char* into, std::size_t count);
  int (*fcntl)(int fd, int command, ...);
  int (*fallocate)(int fd, int mode, off_t offset, off_t length);  // Linux; may say ENOTSUP
};

/// The table in use. Tests replace entries before any other thread runs; nothing else writes it.
SystemCalls& system_calls() noexcept;

}  // namespace stele

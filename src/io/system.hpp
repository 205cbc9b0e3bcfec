#pragma once
// The one table of system calls. All calls of the library go through it, so that tests can fail each of them.

#include <poll.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/types.h>

#include <cstddef>

namespace stele {

/// Pointers with the signatures of POSIX; errors are in errno.
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
  int (*mprotect)(void* address, std::size_t length, int protection);
  int (*msync)(void* address, std::size_t length, int flags);
  int (*madvise)(void* address, std::size_t length, int advice);
  ssize_t (*readlink)(const char* path, char* into, std::size_t count);
  int (*fcntl)(int fd, int command, ...);
  int (*fallocate)(int fd, int mode, off_t offset, off_t length);  // Linux; may fail with ENOTSUP
  int (*poll)(struct pollfd* fds, nfds_t count, int timeout);
  ssize_t (*recv)(int fd, void* into, std::size_t count, int flags);
  int (*pipe2)(int* fds, int flags);
  ssize_t (*tee)(int from, int to, std::size_t count, unsigned flags);  // Linux
  // Names in a folder, relative to its descriptor.
  int (*openat)(int folder, const char* name, int flags, mode_t mode);
  int (*fstatat)(int folder, const char* name, struct stat* out, int flags);
  int (*statx)(int folder, const char* name, int flags, unsigned mask, struct statx* out);  // may fail with ENOSYS
  int (*faccessat)(int folder, const char* name, int mode, int flags);
  ssize_t (*readlinkat)(int folder, const char* name, char* into, std::size_t count);
  int (*renameat)(int from_folder, const char* from, int to_folder, const char* to);
  int (*linkat)(int from_folder, const char* from, int to_folder, const char* to, int flags);
  int (*unlinkat)(int folder, const char* name, int flags);
  // Metadata of files.
  int (*fchown)(int fd, uid_t owner, gid_t group);
  int (*fstatfs)(int fd, struct statfs* out);
  ssize_t (*flistxattr)(int fd, char* into, std::size_t count);
  ssize_t (*fgetxattr)(int fd, const char* name, void* into, std::size_t count);
  ssize_t (*listxattr)(const char* path, char* into, std::size_t count);
  ssize_t (*getxattr)(const char* path, const char* name, void* into, std::size_t count);
  int (*fsetxattr)(int fd, const char* name, const void* from, std::size_t count, int flags);
  int (*fremovexattr)(int fd, const char* name);
};

/// The table in use. Tests replace entries before any other thread runs; nothing else writes it.
SystemCalls& system_calls() noexcept;

}  // namespace stele

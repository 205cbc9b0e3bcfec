#include "io/system.hpp"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/xattr.h>
#include <unistd.h>

namespace stele {

SystemCalls& system_calls() noexcept {
  static SystemCalls table = {
      .open = [](const char* path, int flags, mode_t mode) { return ::open(path, flags, mode); },
      .close = ::close,
      .read = ::read,
      .pread = ::pread,
      .write = ::write,
      .pwrite = ::pwrite,
      .lseek = ::lseek,
      .fstat = ::fstat,
      .stat = ::stat,
      .fchmod = ::fchmod,
      .ftruncate = ::ftruncate,
      .fsync = ::fsync,
      .rename = ::rename,
      .unlink = ::unlink,
      .mkdir = ::mkdir,
      .mmap = ::mmap,
      .munmap = ::munmap,
      .mprotect = ::mprotect,
      .msync = ::msync,
      .madvise = ::madvise,
      .readlink = ::readlink,
      .fcntl = ::fcntl,
      .fallocate = ::fallocate,
      .poll = ::poll,
      .recv = ::recv,
      .pipe2 = ::pipe2,
      .tee = ::tee,
      .openat = [](int folder, const char* name, int flags,
                   mode_t mode) { return ::openat(folder, name, flags, mode); },
      .fstatat = ::fstatat,
      .statx = ::statx,
      .faccessat = ::faccessat,
      .readlinkat = ::readlinkat,
      .renameat = ::renameat,
      .linkat = ::linkat,
      .unlinkat = ::unlinkat,
      .fchown = ::fchown,
      .fstatfs = ::fstatfs,
      .flistxattr = ::flistxattr,
      .fgetxattr = ::fgetxattr,
      .listxattr = ::listxattr,
      .getxattr = ::getxattr,
      .fsetxattr = ::fsetxattr,
      .fremovexattr = ::fremovexattr,
  };
  return table;
}

}  // namespace stele

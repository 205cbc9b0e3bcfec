#include "src/io/system.hpp"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
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
      .msync = ::msync,
      .madvise = ::madvise,
      .readlink = ::readlink,
      .fcntl = ::fcntl,
      .fallocate = ::fallocate,
  };
  return table;
}

}  // namespace stele

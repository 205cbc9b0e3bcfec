#pragma once

#include <fcntl.h>

namespace stele {

/// What fcntl(2) is told to lock or unlock a whole file: `type` is F_RDLCK, F_WRLCK or F_UNLCK.
inline struct flock whole_file(short type) noexcept {
  struct flock lock{};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  return lock;
}

}  // namespace stele

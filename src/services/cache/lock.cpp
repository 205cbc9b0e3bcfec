#include "services/cache/lock.hpp"

#include <fcntl.h>

#include <cerrno>

#include "io/system.hpp"

namespace stele {

namespace {

struct flock one_byte(short type, std::uint64_t at) noexcept {
  struct flock lock{};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = static_cast<off_t>(at);
  lock.l_len = 1;
  return lock;
}

}  // namespace

CacheBytes::Locked lock_byte(int file, std::uint64_t byte) noexcept {
  for (;;) {
    struct flock lock = one_byte(F_WRLCK, byte);
    if (system_calls().fcntl(file, F_OFD_SETLK, &lock) == 0) {
      return CacheBytes::Locked::yes;
    }
    if (errno == EAGAIN || errno == EACCES) {
      return CacheBytes::Locked::no;
    }
    if (errno != EINTR) {
      return CacheBytes::Locked::unsupported;
    }
  }
}

void unlock_byte(int file, std::uint64_t byte) noexcept {
  struct flock lock = one_byte(F_UNLCK, byte);
  system_calls().fcntl(file, F_OFD_SETLK, &lock);
}

bool is_locked(int file, std::uint64_t byte) noexcept {
  struct flock lock = one_byte(F_WRLCK, byte);
  return system_calls().fcntl(file, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

}  // namespace stele

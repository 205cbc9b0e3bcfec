#include "archive/append/appended_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "format/frozen.hpp"
#include "io/file_lock.hpp"
#include "io/system.hpp"
#include "stele/error.hpp"
#include "stele/storage.hpp"

namespace stele {

OwnedDescriptor open_appended(const std::string& path, AppendedAccess access) {
  if (is_url(path)) {
    fail(Errc::unsupported, "cannot open " + path + ": what is appended to, or read beside its writer, is a local path",
         {.file = path});
  }
  const int flags = access == AppendedAccess::read    ? O_RDONLY
                    : access == AppendedAccess::write ? O_RDWR
                                                      : O_RDWR | O_CREAT;
  OwnedDescriptor file = open_descriptor(path, flags | O_NOCTTY | O_NONBLOCK, 0666);
  if (!file.is_open()) {
    if (errno == ENOENT && access != AppendedAccess::create) {
      fail(Errc::not_found, "cannot open " + path + ": there is no such file", {.file = path});
    }
    fail_call("open", path, errno);
  }
  struct stat status;
  if (system_calls().fstat(file.get(), &status) != 0) {
    fail_call("examine", path, errno);
  }
  if (!S_ISREG(status.st_mode)) {
    fail(Errc::invalid_argument, path + " is not a regular file", {.file = path});
  }
  return file;
}

AppendedLock::AppendedLock(const std::string& path, AppendedAccess access) : file_(open_appended(path, access)) {
  struct flock lock = whole_file(access == AppendedAccess::read ? F_RDLCK : F_WRLCK);
  while (system_calls().fcntl(file_.get(), access == AppendedAccess::read ? F_OFD_GETLK : F_OFD_SETLK, &lock) != 0) {
    if (errno == EAGAIN || errno == EACCES) {
      fail(Errc::busy, "another Appender holds " + path, {.file = path});
    }
    if (errno != EINTR) {
      fail_call("lock", path, errno);
    }
  }
  if (access == AppendedAccess::read && lock.l_type != F_UNLCK) {
    fail(Errc::busy, "an Appender holds " + path, {.file = path});
  }
}

void AppendedLock::unlock() noexcept {
  if (file_.is_open() && !process_.in_child()) {
    struct flock lock = whole_file(F_UNLCK);
    system_calls().fcntl(file_.get(), F_OFD_SETLK, &lock);
  }
}

void AppendedLock::release() noexcept {
  unlock();
  file_ = OwnedDescriptor();
}

void AppendedLock::close(const std::string& name) {
  unlock();
  file_.close(name);
}

bool recognise_file(GrowingSource& file, FileCodec& codec) {
  std::array<std::byte, frozen::label.size()> first;
  const MutableBytes there =
      MutableBytes(first).first(static_cast<std::size_t>(std::min<std::uint64_t>(first.size(), *file.size())));
  file.read_at(0, there);
  return !there.empty() && codec.recognise(there);
}

void refuse_damage(const Extent& extent) {
  const Error& error = *extent.damage;
  if (error.code() == Errc::invalid_argument) {
    fail(error.code(), error.message());
  }
  fail(error.code(), "after " + std::to_string(extent.end.entry) + " whole entries, at byte " +
                         std::to_string(extent.end.offset) +
                         " of the file, there is no torn end but damage: " + error.message());
}

void cut_file(int fd, std::uint64_t size, const std::string& name) {
  while (system_calls().ftruncate(fd, static_cast<off_t>(size)) != 0) {
    if (errno != EINTR) {
      fail_call("cut the torn end of", name, errno);
    }
  }
}

}  // namespace stele

#include "io/replace/temporary.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <ctime>
#include <utility>

#include "io/file_lock.hpp"
#include "io/system.hpp"
#include "stele/error.hpp"

namespace stele {
namespace {

constexpr std::string_view mark = ".stele-";
constexpr std::string_view extension = ".tmp";
constexpr std::size_t kept_of_name = 180;  // bytes; the complete name is below NAME_MAX
constexpr unsigned most_slots = 10'000;
constexpr unsigned most_attempts = 1000;
constexpr unsigned slots_asked_for = 16;  // stop after this many free slots in a row
constexpr std::time_t shared_age_s = 24 * 60 * 60;

/// The first bytes of a name, up to a character boundary of UTF-8.
std::string_view beginning(std::string_view name) {
  if (name.size() <= kept_of_name) {
    return name;
  }
  std::size_t size = kept_of_name;
  while (size > 0 && (static_cast<unsigned char>(name[size]) & 0xC0) == 0x80) {
    --size;
  }
  return name.substr(0, size);
}

std::string slot_name(std::string_view target, unsigned slot) {
  return "." + std::string(beginning(target)) + std::string(mark) + std::to_string(slot) + std::string(extension);
}

/// A name for a file system without locks. It must not look like a leftover, or others would remove it.
std::string unlocked_name(std::string_view target) {
  static std::atomic<std::uint64_t> counter{0};
  const std::uint64_t count = ++counter;
  // Only other machines that share the folder can have the same process number; O_EXCL detects a collision.
  const auto now = static_cast<std::uint64_t>(std::chrono::system_clock::now().time_since_epoch().count());
  return "." + std::string(beginning(target)) + "." + std::to_string(::getpid()) + "-" + std::to_string(count) + "-" +
         std::to_string((now + count) * 0x9E3779B97F4A7C15u % 1'000'000'000) + std::string(extension);
}

enum class Locked : std::uint8_t { yes, no, unsupported, failed };
Locked lock(int fd, short type) noexcept {
  struct flock whole = whole_file(type);
  for (;;) {
    if (system_calls().fcntl(fd, F_OFD_SETLK, &whole) == 0) {
      return Locked::yes;
    }
    switch (errno) {
      case EINTR:
        continue;
      case EAGAIN:
      case EACCES:
        return Locked::no;
      case EINVAL:
      case ENOLCK:
      case ENOSYS:
      case EOPNOTSUPP:
        return Locked::unsupported;
      default:
        return Locked::failed;
    }
  }
}

/// Opens a possible leftover for an exclusive lock, which needs write permission. If the file is read-only, adds write
/// permission, but only after a lock has shown that nobody writes it.
OwnedDescriptor open_leftover(const Folder& folder, const std::string& name) noexcept {
  constexpr int flags = O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
  OwnedDescriptor file = folder.open_file(name, O_RDWR | flags);
  if (!file.is_open() && errno == EACCES) {
    const OwnedDescriptor readable = folder.open_file(name, O_RDONLY | flags);
    if (!readable.is_open() || lock(readable.get(), F_RDLCK) != Locked::yes ||
        system_calls().fchmod(readable.get(), 0600) != 0) {
      return {};
    }
    file = folder.open_file(name, O_RDWR | flags);
  }
  return file;
}

/// Removes a temporary file if its writer has died. True if the name is free afterwards.
bool remove_if_left(const Folder& folder, const std::string& name) noexcept {
  const OwnedDescriptor file = open_leftover(folder, name);
  if (!file.is_open()) {
    return errno == ENOENT;
  }
  struct stat opened;
  if (system_calls().fstat(file.get(), &opened) != 0 || !S_ISREG(opened.st_mode) ||
      lock(file.get(), F_WRLCK) != Locked::yes ||
      (is_shared_between_machines(file.get()) && std::time(nullptr) - opened.st_mtime < shared_age_s)) {
    return false;
  }
  // Others need this lock to remove the file, so from here on the name refers to the same file.
  struct stat named;
  if (folder.status(name, named) != 0) {
    return errno == ENOENT;
  }
  return named.st_dev == opened.st_dev && named.st_ino == opened.st_ino &&
         (folder.unlink(name) == 0 || errno == ENOENT);
}

/// Removes leftovers of the same target in later slots.
void remove_behind(const Folder& folder, const std::string& target, unsigned slot) noexcept {
  for (unsigned free = 0; free < slots_asked_for && slot < most_slots;) {
    const std::string name = slot_name(target, ++slot);
    struct stat status;
    if (folder.status(name, status) == 0) {
      remove_if_left(folder, name);
      free = 0;
    } else {
      ++free;
    }
  }
}

}  // namespace

Temporary::Temporary(const Folder& folder, const std::string& target, mode_t mode, const std::string& path)
    : folder_(&folder) {
  constexpr int flags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW;
  unsigned slot = 0;
  for (unsigned attempt = 0; attempt < most_attempts && slot < most_slots; ++attempt) {
    name_ = slot_name(target, slot);
    file_ = folder.open_file(name_, flags, mode);
    if (!file_.is_open()) {
      const int error = errno;
      if (error != EEXIST) {
        name_.clear();
        errno = error;
        return;
      }
      if (!remove_if_left(folder, name_)) {
        ++slot;
        attempt = 0;
      }
      continue;
    }
    const Locked locked = lock(file_.get(), F_WRLCK);
    if (locked == Locked::no) {
      continue;  // another process took it for a leftover before it was locked, and removes it
    }
    struct stat status;
    if (locked == Locked::failed || system_calls().fstat(file_.get(), &status) != 0) {
      const int error = errno;
      remove();
      fail_call("lock the temporary file of", path, error);
    }
    if (locked == Locked::unsupported) {
      remove();
      break;
    }
    if (status.st_nlink > 0) {
      remove_behind(folder, target, slot);
      return;
    }  // otherwise it was removed meanwhile
  }
  for (unsigned attempt = 0; attempt < most_attempts; ++attempt) {
    name_ = unlocked_name(target);
    file_ = folder.open_file(name_, flags, mode);
    if (file_.is_open() || errno != EEXIST) {
      break;
    }
  }
  if (!file_.is_open()) {
    const int error = errno;
    name_.clear();
    errno = error;
  }
}

void Temporary::let_go() noexcept {
  name_.clear();
  file_ = OwnedDescriptor();
}

void Temporary::remove() noexcept {
  if (exists()) {
    folder_->unlink(name_);
  }
  let_go();
}

bool is_temporary(std::string_view name) noexcept {
  const std::size_t at = name.rfind(mark);
  if (!name.starts_with('.') || at == std::string_view::npos || at == 0 || !name.ends_with(extension) ||
      name.size() <= at + mark.size() + extension.size()) {
    return false;
  }
  const std::string_view slot = name.substr(at + mark.size(), name.size() - at - mark.size() - extension.size());
  return slot.size() <= 5 && std::all_of(slot.begin(), slot.end(), [](char c) { return c >= '0' && c <= '9'; });
}

std::size_t remove_leftovers(const Folder& folder) noexcept {
  std::size_t removed = 0;
  try {
    for (const std::string& name : folder.names()) {
      removed += is_temporary(name) && remove_if_left(folder, name) ? 1 : 0;
    }
  } catch (const std::exception&) {  // the folder could not be listed
  }
  return removed;
}

}  // namespace stele

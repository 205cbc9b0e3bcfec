#include "io/replace/place.hpp"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <string_view>

#include "io/system.hpp"
#include "stele/error.hpp"

namespace stele {
namespace {

constexpr int most_links = 40;  // as in Linux

std::optional<std::string> read_link(int folder, const char* name) {
  char link[4096];
  const ssize_t size = system_calls().readlinkat(folder, name, link, sizeof link);
  if (size < 0) {
    return std::nullopt;
  }
  if (static_cast<std::size_t>(size) == sizeof link) {
    errno = ENAMETOOLONG;
    return std::nullopt;
  }
  return std::string(link, static_cast<std::size_t>(size));
}

std::optional<int> number_of(std::string_view digits) {
  int number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  return error == std::errc{} && end == digits.data() + digits.size() && number >= 0 ? std::optional(number)
                                                                                     : std::nullopt;
}

/// The process whose descriptors a folder in /proc lists.
enum class Descriptors : std::uint8_t { none, own, foreign };
Descriptors descriptors_in(const Folder& folder) {
  struct statfs system;
  if (system_calls().fstatfs(folder.fd(), &system) != 0 || system.f_type != PROC_SUPER_MAGIC) {
    return Descriptors::none;
  }
  const auto path = read_link(AT_FDCWD, ("/proc/self/fd/" + std::to_string(folder.fd())).c_str());
  const auto self = read_link(AT_FDCWD, "/proc/self");
  if (!path || !path->ends_with("/fd")) {
    return Descriptors::none;
  }
  const std::string mine = "/proc/" + self.value_or("");
  return self && (*path == mine + "/fd" || path->starts_with(mine + "/task/")) ? Descriptors::own
                                                                               : Descriptors::foreign;
}

/// Linux does not follow links of other users in world-writable sticky folders.
bool may_follow(const Folder& folder, const std::string& name) {
  struct stat where;
  struct stat link;
  if (system_calls().fstat(folder.fd(), &where) != 0 || folder.status(name, link) != 0) {
    return false;
  }
  const bool open_to_all = (where.st_mode & S_ISVTX) != 0 && (where.st_mode & S_IWOTH) != 0;
  if (open_to_all && link.st_uid != ::geteuid() && link.st_uid != where.st_uid) {
    errno = EACCES;
    return false;
  }
  return true;
}

/// False on failure; errno is set.
bool follow(const std::string& path, Place& place) {
  std::string rest = path;
  for (int i = 0; i <= most_links; ++i) {
    const std::size_t slash = rest.rfind('/') + 1;
    place.name = rest.substr(slash);
    const std::string folder = rest.substr(0, slash);
    place.folder = i == 0 ? Folder::open(folder) : place.folder.open_folder(folder);
    if (!place.folder.is_open()) {
      return false;
    }
    if (place.name.empty()) {
      return true;
    }
    const std::optional<std::string> next = read_link(place.folder.fd(), place.name.c_str());
    if (!next) {
      return errno == EINVAL || errno == ENOENT;
    }
    if (const std::optional<int> number = number_of(place.name)) {
      const Descriptors whose = descriptors_in(place.folder);
      if (whose != Descriptors::none) {
        place.descriptor = whose == Descriptors::own ? number : std::nullopt;
        place.foreign = whose == Descriptors::foreign;
        return true;
      }
    }
    if (!may_follow(place.folder, place.name)) {
      return false;
    }
    rest = *next;
  }
  errno = ELOOP;
  return false;
}

}  // namespace

Place find_place(const std::string& path) {
  if (path.empty()) {
    fail(Errc::io, "cannot write a file with an empty path");
  }
  Place place;
  if (!follow(path, place)) {
    fail_call(place.folder.is_open() ? "write" : "open the folder of", path, errno);
  }
  return place;
}

OwnedDescriptor duplicate(int fd, int flags, const std::string& path) {
  const bool writes = (flags & O_ACCMODE) != O_RDONLY;
  const std::string verb = writes ? "write" : "read";
  const int access = system_calls().fcntl(fd, F_GETFL);
  if (access < 0) {
    if (errno == EBADF) {
      fail(Errc::io, "cannot " + verb + " " + path + ": descriptor " + std::to_string(fd) + " is not open");
    }
    fail_call(verb, path, errno);
  }
  const bool reads = (flags & O_ACCMODE) != O_WRONLY;
  const bool may_read = (access & O_ACCMODE) != O_WRONLY;
  const bool may_write = (access & O_ACCMODE) != O_RDONLY;
  if ((access & O_PATH) != 0 || (reads && !may_read) || (writes && !may_write)) {
    const char* const only = (access & O_PATH) != 0 ? " as a path only"
                             : may_read             ? " only for reading"
                                                    : " only for writing";
    fail(Errc::io, "cannot " + verb + " " + path + ": descriptor " + std::to_string(fd) + " is open" + only);
  }
  const int copy = system_calls().fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (copy < 0) {
    fail_call(verb, path, errno);
  }
  return OwnedDescriptor(copy);
}

OpenedPath open_path_or_descriptor(const std::string& path, int flags) {
  if (read_link(AT_FDCWD, path.c_str())) {
    Place place;
    if (follow(path, place) && place.descriptor) {
      OpenedPath opened{duplicate(*place.descriptor, flags, path)};
      const off_t position = system_calls().lseek(opened.file.get(), 0, SEEK_CUR);
      opened.start = position > 0 ? static_cast<std::uint64_t>(position) : 0;
      return opened;
    }
  }
  return {open_descriptor(path, flags)};
}

}  // namespace stele

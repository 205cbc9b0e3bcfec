#include "io/replace/folder.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <string_view>

#include "base/threads/interruption.hpp"
#include "io/system.hpp"
#include "stele/error.hpp"

namespace stele {
namespace {

constexpr int held = O_PATH | O_DIRECTORY;  // needs no read permission

std::string with_slash(const std::string& path) { return path.empty() || path.ends_with('/') ? path : path + '/'; }

}  // namespace

Folder Folder::open(const std::string& path) {
  Folder opened;
  opened.path_ = with_slash(path);
  opened.folder_ = open_descriptor(path.empty() ? "." : path, held);
  return opened;
}

Folder Folder::open_folder(const std::string& path) const {
  Folder opened;
  opened.path_ = path.starts_with('/') ? with_slash(path) : path_ + with_slash(path);
  opened.folder_ = open_file(path.empty() ? "." : path, held);
  return opened;
}

OwnedDescriptor Folder::open_file(const std::string& name, int flags, mode_t mode) const {
  for (;;) {
    const int file = system_calls().openat(fd(), name.c_str(), flags | O_CLOEXEC, mode);
    if (file >= 0 || errno != EINTR) {
      return OwnedDescriptor(file);
    }
    interrupted();  // a FIFO waits for its other end
  }
}

int Folder::status(const std::string& name, struct stat& out) const noexcept {
  return system_calls().fstatat(fd(), name.c_str(), &out, AT_SYMLINK_NOFOLLOW);
}

int Folder::rename(const std::string& from, const std::string& to) const noexcept {
  return system_calls().renameat(fd(), from.c_str(), fd(), to.c_str());
}

int Folder::unlink(const std::string& name) const noexcept { return system_calls().unlinkat(fd(), name.c_str(), 0); }

std::vector<std::string> Folder::names() const {
  OwnedDescriptor readable = open_file(".", O_RDONLY | O_DIRECTORY);
  struct Close {
    void operator()(DIR* open) const noexcept { ::closedir(open); }
  };
  const std::unique_ptr<DIR, Close> listing(readable.is_open() ? ::fdopendir(readable.get()) : nullptr);
  if (listing == nullptr) {
    fail_call("list the folder", path_, errno);
  }
  readable.release();  // closedir() closes it
  std::vector<std::string> names;
  for (;;) {
    errno = 0;
    const struct dirent* const entry = ::readdir(listing.get());
    if (entry == nullptr) {
      if (errno != 0) {
        fail_call("list the folder", path_, errno);
      }
      return names;
    }
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") {
      names.emplace_back(name);
    }
  }
}

void Folder::synchronize() const {
  OwnedDescriptor readable = open_file(".", O_RDONLY | O_DIRECTORY);
  if (!readable.is_open()) {
    fail_call("open the folder", path_, errno);
  }
  stele::synchronize(readable.get(), "the folder " + path_);
}

void synchronize(int fd, const std::string& name) {
  int result = 0;
  do {
    result = system_calls().fsync(fd);
  } while (result != 0 && errno == EINTR);
  if (result != 0 && errno != EINVAL && errno != ENOTSUP) {
    fail_call("fsync", name, errno);
  }
}

bool is_shared_between_machines(int fd) noexcept {
  struct statfs system;
  if (system_calls().fstatfs(fd, &system) != 0) {
    return true;
  }
  constexpr std::array<std::uint32_t, 14> shared = {NFS_SUPER_MAGIC,         SMB_SUPER_MAGIC,
                                                    CIFS_SUPER_MAGIC,        SMB2_SUPER_MAGIC,
                                                    FUSE_SUPER_MAGIC,        V9FS_MAGIC,
                                                    AFS_SUPER_MAGIC,         AFS_FS_MAGIC,
                                                    CEPH_SUPER_MAGIC,        0x47504653 /* GPFS */,
                                                    0x0BD00BD0 /* Lustre */, 0x7461636F /* OCFS2 */,
                                                    0x01161970 /* GFS2 */,   0x13661366 /* BALLOON */};
  return std::find(shared.begin(), shared.end(), static_cast<std::uint32_t>(system.f_type)) != shared.end();
}

}  // namespace stele

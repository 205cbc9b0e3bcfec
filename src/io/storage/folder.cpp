// A folder as a Storage.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>

#include "io/descriptor.hpp"
#include "io/file_lock.hpp"
#include "io/replace/folder.hpp"
#include "io/replace/temporary.hpp"
#include "io/storage/urls.hpp"
#include "io/system.hpp"
#include "stele/error.hpp"

namespace stele {
namespace {

constexpr const char* lock_name = ".stele-put.lock";

std::string etag_of(const struct stat& status) {
  return message({static_cast<std::uint64_t>(status.st_ino), "-", static_cast<std::uint64_t>(status.st_mtim.tv_sec),
                  "-", static_cast<std::uint64_t>(status.st_mtim.tv_nsec), "-",
                  static_cast<std::uint64_t>(status.st_size)});
}

StoredObject object_of(std::string key, const struct stat& status) {
  return {std::move(key), static_cast<std::uint64_t>(status.st_size),
          static_cast<double>(status.st_mtim.tv_sec) + static_cast<double>(status.st_mtim.tv_nsec) * 1e-9,
          etag_of(status)};
}

/// Files that are not objects: those being written, locks.
bool is_internal(std::string_view name) noexcept {
  return name.starts_with('.') && (name.ends_with(".tmp") || name == lock_name);
}

class FolderStorage final : public Storage {
 public:
  FolderStorage(std::string name, std::string path) : name_(std::move(name)), path_(std::move(path)) {
    if (path_.empty()) {
      path_ = ".";
    }
  }

  const std::string& name() const noexcept override { return name_; }

  std::vector<StoredObject> list(std::string_view prefix) const override {
    std::vector<StoredObject> found;
    const std::size_t slash = prefix.rfind('/');
    add_folder(slash == std::string_view::npos ? "" : std::string(prefix.substr(0, slash + 1)), prefix, found);
    std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.key < b.key; });
    return found;
  }

  std::optional<StoredObject> find(std::string_view key) const override {
    const std::string path = file_of(key);
    struct stat status;
    if (system_calls().stat(path.c_str(), &status) != 0) {
      if (errno == ENOENT || errno == ENOTDIR) {
        return std::nullopt;
      }
      fail_call("examine", path, errno);
    }
    if (!S_ISREG(status.st_mode)) {
      return std::nullopt;
    }
    return object_of(std::string(key), status);
  }

  void read(std::string_view key, std::span<const ByteRange> ranges, std::string_view etag) const override {
    const std::string path = file_of(key);
    const OwnedDescriptor file = open_descriptor(path, O_RDONLY | O_NOCTTY);
    if (!file.is_open()) {
      if (errno == ENOENT) {
        fail(Errc::not_found, "cannot read " + path + ": there is no such file", {.file = path});
      }
      fail_call("read", path, errno);
    }
    struct stat status;
    if (system_calls().fstat(file.get(), &status) != 0) {
      fail_call("examine", path, errno);
    }
    if (!etag.empty() && etag != etag_of(status)) {
      fail(Errc::changed, path + " has changed since it was opened", {.file = path});
    }
    for (const ByteRange& range : ranges) {
      read_all_at(file.get(), range.offset, range.to, path);
    }
  }

  std::unique_ptr<Source> source(std::string_view key) const override { return file_source(file_of(key)); }

  std::unique_ptr<Sink> sink(std::string_view key) override {
    make_parents(key);
    return file_sink(file_of(key), Sync::file_folder);
  }

  std::optional<std::string> put(std::string_view key, Bytes content, const PutCondition& when) override {
    make_parents(key);
    const std::string path = file_of(key);
    const auto slash = path.rfind('/');
    const Folder folder = Folder::open(slash == std::string::npos ? "" : path.substr(0, slash + 1));
    if (!folder.is_open()) {
      fail_call("open the folder of", path, errno);
    }
    OwnedDescriptor lock;
    if (when.kind != PutCondition::Kind::always) {
      lock = locked(folder);
      const std::optional<StoredObject> now = find(key);
      if (when.kind == PutCondition::Kind::absent ? now.has_value() : !now || now->etag != when.etag) {
        return std::nullopt;
      }
    }
    const std::unique_ptr<Sink> file = file_sink(path, Sync::file_folder);
    file->write(content);
    file->close();
    const std::optional<StoredObject> made = find(key);
    return made ? made->etag : std::string();
  }

  void remove(std::string_view key) override {
    const std::string path = file_of(key);
    if (system_calls().unlink(path.c_str()) != 0 && errno != ENOENT && errno != ENOTDIR) {
      fail_call("remove", path, errno);
    }
  }

 private:
  std::string file_of(std::string_view key) const {
    require_key(key);
    return (path_ == "/" ? path_ : path_ + "/") + std::string(key);
  }

  void make_parents(std::string_view key) const {
    const std::string path = file_of(key);
    std::error_code error;
    std::filesystem::create_directories(std::filesystem::path(path).parent_path(), error);
    if (error) {
      fail_call("create the folder of", path, error.value());
    }
  }

  /// Waits for the lock of conditional writes in a folder.
  static OwnedDescriptor locked(const Folder& folder) {
    OwnedDescriptor file = folder.open_file(lock_name, O_RDWR | O_CREAT, 0666);
    struct flock whole = whole_file(F_WRLCK);
    while (!file.is_open() || system_calls().fcntl(file.get(), F_OFD_SETLKW, &whole) != 0) {
      if (!file.is_open() || errno != EINTR) {
        fail_call("lock", folder.path() + lock_name, errno);
      }
    }
    return file;
  }

  void add_folder(const std::string& folder, std::string_view prefix, std::vector<StoredObject>& found) const {
    const Folder open = Folder::open((path_ == "/" ? path_ : path_ + "/") + folder);
    if (!open.is_open()) {
      if (errno == ENOENT || errno == ENOTDIR) {
        return;
      }
      fail_call("list", path_ + "/" + folder, errno);
    }
    for (const std::string& name : open.names()) {
      const std::string key = folder + name;
      const bool above = prefix.starts_with(key);  // may lead to what the prefix names
      if (is_internal(name) || (!above && !key.starts_with(prefix))) {
        continue;
      }
      struct stat status;
      if (open.status(name, status) != 0) {
        continue;  // gone meanwhile
      }
      if (S_ISLNK(status.st_mode) &&
          (system_calls().fstatat(open.fd(), name.c_str(), &status, 0) != 0 || S_ISDIR(status.st_mode))) {
        continue;
      }
      if (S_ISDIR(status.st_mode)) {
        add_folder(key + "/", prefix, found);
      } else if (S_ISREG(status.st_mode) && key.starts_with(prefix)) {
        found.push_back(object_of(key, status));
      }
    }
  }

  const std::string name_;
  std::string path_;
};

}  // namespace

std::unique_ptr<Storage> open_folder_storage(std::string name, std::string path) {
  return std::make_unique<FolderStorage>(std::move(name), std::move(path));
}

}  // namespace stele

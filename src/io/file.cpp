#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>

#include "base/process.hpp"
#include "io/replace/attributes.hpp"
#include "io/replace/in_place.hpp"
#include "io/replace/place.hpp"
#include "io/replace/temporary.hpp"
#include "io/storage/urls.hpp"
#include "io/system.hpp"
#include "stele/error.hpp"
#include "stele/io.hpp"

namespace stele {
namespace {

constexpr const char* how_in_place = "; SaveOptions::in_place overwrites the existing file, but not atomically";

/// Fails, before anything is written, for a file that cannot be replaced by a rename.
void require_replaceable(const Place& place, const struct stat& file, const std::string& path) {
  const std::string cannot = "cannot replace " + path + ": ";
  struct statx more;
  if (system_calls().statx(place.folder.fd(), place.name.c_str(), AT_SYMLINK_NOFOLLOW, 0, &more) == 0) {
    if ((more.stx_attributes & (STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND)) != 0) {
      fail(Errc::io, cannot + "it is " +
                         ((more.stx_attributes & STATX_ATTR_IMMUTABLE) != 0 ? "immutable" : "append-only") +
                         " (chattr)");
    }
#ifdef STATX_ATTR_MOUNT_ROOT
    if ((more.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0) {
      fail(Errc::io, cannot + "it is a mount point" + how_in_place);
    }
#endif
  }
  if (system_calls().faccessat(place.folder.fd(), place.name.c_str(), W_OK, AT_EACCESS) != 0) {
    if (errno == EACCES) {
      fail(Errc::io, cannot +
                         "the process has no permission to write it, although its folder allows replacing "
                         "it; change its permissions or remove it first");
    }
    fail_call("replace", path, errno);
  }
  struct stat folder;
  const uid_t user = ::geteuid();
  if (user != 0 && file.st_uid != user && system_calls().fstat(place.folder.fd(), &folder) == 0 &&
      (folder.st_mode & S_ISVTX) != 0 && folder.st_uid != user) {
    fail(Errc::io, cannot + "it belongs to another user, in a folder with the sticky bit" + how_in_place);
  }
}

/// Throws for a failed call that creates or renames a file in the folder of `path`.
[[noreturn]] void fail_in_folder(const char* action, const Folder& folder, const std::string& path, bool exists,
                                 int error) {
  const bool in_place_helps = exists && (error == EACCES || error == EPERM || error == EROFS || error == EBUSY ||
                                         error == EXDEV || error == ENAMETOOLONG);
  const std::string where = folder.path().empty() ? "the current folder" : "the folder " + folder.path();
  const std::string reason = error == EACCES ? where + " does not let the process make files" : std::string();
  if (reason.empty() && !in_place_helps) {
    fail_call(action, path, error);
  }
  fail(Errc::io, "cannot " + std::string(action) + " " + path + ": " +
                     (reason.empty() ? std::generic_category().message(error) : reason) +
                     (in_place_helps ? how_in_place : ""));
}

class FileSink final : public Sink {
 public:
  /// `old`: the existing file, if there is one.
  FileSink(Place place, std::string path, Sync sync, const struct stat* old)
      : name_(std::move(path)), folder_(std::move(place.folder)), target_(std::move(place.name)), sync_(sync) {
    if (old != nullptr) {
      old_ = *old;
    }
    temporary_ = Temporary(folder_, target_, old_ ? 0600 : 0666, name_);
    if (!temporary_.exists()) {
      fail_in_folder("create a temporary file for", folder_, name_, old_.has_value(), errno);
    }
  }
  ~FileSink() override { undo(); }

  void write(Bytes bytes) override {
    require_open();
    guarded([&] {
      reserve(bytes.size());
      write_all(temporary_.fd(), bytes, name_);
    });
    written_ += bytes.size();
  }
  bool patchable() const noexcept override { return true; }
  void patch(std::uint64_t offset, Bytes bytes) override {
    require_open();
    if (offset > written_ || bytes.size() > written_ - offset) {
      fail(Errc::invalid_argument, "patch beyond what was written to " + name_);
    }
    guarded([&] { write_all_at(temporary_.fd(), offset, bytes, name_); });
  }
  void close() override {
    require_open();
    OwnedDescriptor folder;
    guarded([&] {
      keep_old_attributes();
      if (sync_ != Sync::none) {
        synchronize(temporary_.fd(), name_);
      }
      // Some file systems report write errors only at close. The file itself stays open to keep its lock.
      duplicate(temporary_.fd(), O_WRONLY, name_).close(name_);
      if (sync_ == Sync::file_folder) {  // opened now, so that little can fail after the rename
        folder = folder_.open_file(".", O_RDONLY | O_DIRECTORY);
        if (!folder.is_open()) {
          fail_call("open the folder of", name_, errno);
        }
      }
      if (folder_.rename(temporary_.name(), target_) != 0) {
        fail_in_folder("rename the temporary file to", folder_, name_, old_.has_value(), errno);
      }
    });
    temporary_.let_go();
    folder_ = Folder();
    closed_ = true;
    if (folder.is_open()) {
      synchronize(folder.get(), "the folder of " + name_);
      folder.close("the folder of " + name_);
    }
  }

 private:
  void keep_old_attributes() {
    struct stat now;
    const bool stands = folder_.status(target_, now) == 0;
    if (!stands && errno != ENOENT) {
      fail_call("examine", name_, errno);
    }
    if (stands && S_ISDIR(now.st_mode)) {
      fail_call("write", name_, EISDIR);
    }
    if (stands || old_) {
      keep_attributes(temporary_.fd(), folder_, target_, old_.value_or(now), name_);
    }
  }
  /// Allocates the blocks of a large write at once. That is about a tenth faster on ext4 and finds a full disk early.
  void reserve(std::size_t bytes) {
    constexpr std::size_t worth_it = std::size_t{1} << 20;
    if (bytes < worth_it) {
      return;
    }
    const int result =
        system_calls().fallocate(temporary_.fd(), 0, static_cast<off_t>(written_), static_cast<off_t>(bytes));
    if (result != 0 && (errno == ENOSPC || errno == EDQUOT || errno == EFBIG)) {
      fail_call("write", name_, errno);
    }
  }
  void require_open() const {
    process_.require_same_process(name_);
    if (!temporary_.exists()) {
      closed_ ? fail(Errc::invalid_argument, "cannot write " + name_ + ": it is closed")
              : fail(Errc::io, "cannot write " + name_ + ": an earlier call failed");
    }
  }
  /// Runs a step; if it throws, the temporary file is removed at once.
  template <class Step>
  void guarded(Step step) {
    try {
      step();
    } catch (...) {
      undo();
      throw;
    }
  }
  void undo() noexcept { process_.in_child() ? temporary_.let_go() : temporary_.remove(); }

  std::string name_;  // as the user gave it
  Folder folder_;
  std::string target_;  // in the folder, after following links
  Sync sync_;
  std::optional<struct stat> old_;
  Temporary temporary_;
  std::uint64_t written_ = 0;
  bool closed_ = false;
  ProcessMark process_;
};

class FileSource final : public Source {
 public:
  explicit FileSource(std::string path) : name_(std::move(path)) {
    OpenedPath opened = open_path_or_descriptor(name_, O_RDONLY | O_NOCTTY);
    file_ = std::move(opened.file);
    start_ = opened.start;
    if (!file_.is_open()) {
      if (errno == ENOENT) {
        fail(Errc::not_found, "cannot read " + name_ + ": there is no such file", {.file = name_});
      }
      fail_call("read", name_, errno);
    }
    struct stat status;
    if (system_calls().fstat(file_.get(), &status) != 0) {
      fail_call("examine", name_, errno);
    }
    if (S_ISDIR(status.st_mode)) {
      fail(Errc::io, "cannot read " + name_ + ": it is a directory");
    }
    if (S_ISREG(status.st_mode)) {
      const auto end = static_cast<std::uint64_t>(status.st_size);
      size_ = end > start_ ? end - start_ : 0;
    }
  }

  std::size_t read(MutableBytes into) override {
    if (!size_) {
      return read_some(file_.get(), into, name_);
    }
    if (position_ >= *size_ || into.empty()) {
      return 0;
    }
    const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(into.size(), *size_ - position_));
    const std::size_t got = read_some_at(file_.get(), start_ + position_, into.first(wanted), name_);
    position_ += got;
    return got;
  }
  std::optional<std::uint64_t> size() const override { return size_; }
  bool random_access() const noexcept override { return size_.has_value(); }
  void seek(std::uint64_t offset) override {
    if (!size_) {
      Source::seek(offset);
    }
    position_ = offset;
  }
  void read_at(std::uint64_t offset, MutableBytes into) const override {
    if (!size_) {
      Source::read_at(offset, into);
    }
    if (offset > *size_ || into.size() > *size_ - offset) {
      fail_truncated(name_, *size_, offset, into.size());
    }
    read_all_at(file_.get(), start_ + offset, into, name_);
  }
  std::string name() const override { return name_; }

 private:
  std::string name_;
  OwnedDescriptor file_;
  std::uint64_t start_ = 0;            // where the data begins in the file
  std::optional<std::uint64_t> size_;  // set for a regular file
  std::uint64_t position_ = 0;
};

}  // namespace

std::string Path::checked(std::string path) {
  if (const std::size_t at = path.find('\0'); at != std::string::npos) {
    fail(Errc::invalid_argument, "a path has a zero byte after \"" + path.substr(0, at) + "\"");
  }
  return path;
}

std::unique_ptr<Sink> file_sink(const Path& path, Sync sync, bool in_place) {
  const std::optional<std::string> local = local_path(path.text());
  if (!local) {
    if (in_place) {
      fail(Errc::unsupported, "cannot write " + path.text() + " in place: an object is replaced as a whole",
           {.file = path.text()});
    }
    const ObjectPlace object = object_at(path.text());
    return object.storage->sink(object.key);
  }
  const std::string& name = *local;
  Place place = find_place(name);
  if (place.descriptor) {
    return descriptor_sink(duplicate(*place.descriptor, O_WRONLY, name), name, sync);
  }
  struct stat old;
  const bool exists = !place.name.empty() && place.folder.status(place.name, old) == 0;
  if (!exists && !place.name.empty() && errno != ENOENT) {
    fail_call("write", name, errno);
  }
  if (place.name.empty() || (exists && S_ISDIR(old.st_mode))) {
    fail_call("write", name, EISDIR);
  }
  if (place.foreign || (exists && !S_ISREG(old.st_mode))) {
    if (exists && S_ISSOCK(old.st_mode)) {
      fail(Errc::io, "cannot write " + name + ": it is a socket");
    }
    // O_APPEND keeps what another process writes to the file meanwhile
    OwnedDescriptor file = place.folder.open_file(place.name, O_WRONLY | O_NOCTTY | (place.foreign ? O_APPEND : 0));
    if (!file.is_open()) {
      fail_call("open", name, errno);
    }
    return descriptor_sink(std::move(file), name, sync);
  }
  if (exists && in_place) {
    return in_place_sink(place, name, sync);
  }
  if (exists) {
    require_replaceable(place, old, name);
  }
  return std::make_unique<FileSink>(std::move(place), name, sync, exists ? &old : nullptr);
}
std::unique_ptr<Sink> file_sink_in(const Folder& folder, const std::string& name, Sync sync) {
  struct stat old;
  const bool exists = folder.status(name, old) == 0 && S_ISREG(old.st_mode);
  Place place;
  place.folder = folder.open_folder("");
  if (!place.folder.is_open()) {
    fail_call("open the folder", folder.path(), errno);
  }
  place.name = name;
  return std::make_unique<FileSink>(std::move(place), folder.path() + name, sync, exists ? &old : nullptr);
}
std::unique_ptr<Source> file_source(const Path& path) {
  if (std::optional<std::string> local = local_path(path.text())) {
    return std::make_unique<FileSource>(std::move(*local));
  }
  const ObjectPlace object = object_at(path.text());
  return object.storage->source(object.key);
}

}  // namespace stele

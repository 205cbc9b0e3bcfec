#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <string>

#include "src/io/descriptor.hpp"
#include "src/io/system.hpp"
#include "stele/error.hpp"
#include "stele/io.hpp"

namespace stele {
namespace {

/// With the slash; empty for the current folder.
std::string folder_of(const std::string& path) { return path.substr(0, path.rfind('/') + 1); }

struct Target {
  std::string path;
  bool through_proc = false;  // /dev/stdout and the like: an open file, not a name that could be renamed over
};

/// What a chain of symbolic links names; it need not exist.
Target follow_links(const std::string& path) {
  constexpr int most_links = 40;  // Linux's own limit
  Target target{path};
  for (int i = 0; i < most_links; ++i) {
    char link[4096];
    const ssize_t size = system_calls().readlink(target.path.c_str(), link, sizeof(link));
    if (size < 0) {
      if (errno == EINVAL || errno == ENOENT) {
        return target;
      }
      fail_call("write", path, errno);
    }
    if (static_cast<std::size_t>(size) == sizeof(link)) {
      fail_call("write", path, ENAMETOOLONG);
    }
    target.through_proc = target.through_proc || target.path.starts_with("/proc/");
    const std::string_view next(link, static_cast<std::size_t>(size));
    target.path = next.starts_with('/') ? std::string(next) : folder_of(target.path) + std::string(next);
  }
  fail_call("write", path, ELOOP);
}

/// ".<name>.<pid>-<counter>-<random>.tmp" in the folder of `path`, at most NAME_MAX bytes long.
std::string temporary_name(const std::string& path) {
  static std::atomic<std::uint64_t> counter{0};
  const std::string folder = folder_of(path);
  const std::uint64_t count = ++counter;
  // Only other machines that share the folder can have the same process number; O_EXCL finds what collides.
  const auto now = static_cast<std::uint64_t>(std::chrono::system_clock::now().time_since_epoch().count());
  const std::uint64_t random = (now + count) * 0x9E3779B97F4A7C15u ^ reinterpret_cast<std::uintptr_t>(&folder);
  return folder + "." + path.substr(folder.size(), 180) + "." + std::to_string(::getpid()) + "-" +
         std::to_string(count) + "-" + std::to_string(random % 1000000000) + ".tmp";
}

/// fsync(2), but for what cannot be synchronised, such as a FIFO or a folder on some network file systems.
void synchronize(int fd, const std::string& name) {
  int result = 0;
  do {
    result = system_calls().fsync(fd);
  } while (result != 0 && errno == EINTR);
  if (result != 0 && errno != EINVAL && errno != ENOTSUP) {
    fail_call("fsync", name, errno);
  }
}

class FileSink final : public Sink {
 public:
  FileSink(std::string path, Sync sync) : name_(std::move(path)), sync_(sync) {
    const Target target = follow_links(name_);
    struct stat old;
    const bool exists = system_calls().stat(target.path.c_str(), &old) == 0;
    if (!exists && errno != ENOENT) {
      fail_call("write", name_, errno);
    }
    if (target.path.empty() || target.path.ends_with('/') || (exists && S_ISDIR(old.st_mode))) {
      fail_call("write", name_, target.path.empty() ? ENOENT : EISDIR);
    }
    if (exists && (!S_ISREG(old.st_mode) || target.through_proc)) {
      file_ = open_descriptor(name_, O_WRONLY | O_TRUNC | O_NOCTTY);
      if (!file_.is_open()) {
        fail_call("open", name_, errno);
      }
      return;
    }
    target_ = target.path;
    create_temporary(exists ? old.st_mode & 07777 : 0666);
    if (exists) {
      guarded([&] { keep_mode(old.st_mode & 07777); });
    }
  }
  ~FileSink() override { undo(); }

  void write(Bytes bytes) override {
    require_open();
    guarded([&] {
      reserve(bytes.size());
      write_all(file_.get(), bytes, name_);
    });
    written_ += bytes.size();
  }
  bool patchable() const noexcept override { return is_temporary(); }
  void patch(std::uint64_t offset, Bytes bytes) override {
    if (!is_temporary()) {
      Sink::patch(offset, bytes);
    }
    require_open();
    if (offset > written_ || bytes.size() > written_ - offset) {
      fail(Errc::invalid_argument, "patch behind what was written to " + name_);
    }
    guarded([&] { write_all_at(file_.get(), offset, bytes, name_); });
  }
  void close() override {
    require_open();
    OwnedDescriptor folder;
    guarded([&] {
      if (sync_ != Sync::none) {
        synchronize(file_.get(), name_);
      }
      file_.close(name_);
      if (!is_temporary()) {
        return;
      }
      if (sync_ == Sync::file_folder) {  // opened here, so that little can fail once the new file stands
        folder = open_descriptor(target_.find('/') == std::string::npos ? "." : folder_of(target_),
                                 O_RDONLY | O_DIRECTORY);
        if (!folder.is_open()) {
          fail_call("open the folder of", name_, errno);
        }
      }
      if (system_calls().rename(temporary_.c_str(), target_.c_str()) != 0) {
        fail_call("rename the temporary file to", name_, errno);
      }
    });
    temporary_.clear();
    closed_ = true;
    if (folder.is_open()) {
      synchronize(folder.get(), "the folder of " + name_);
      folder.close("the folder of " + name_);
    }
  }

 private:
  bool is_temporary() const noexcept { return !target_.empty(); }

  void create_temporary(mode_t mode) {
    constexpr int attempts = 100;
    for (int i = 0; i < attempts; ++i) {
      temporary_ = temporary_name(target_);
      file_ = open_descriptor(temporary_, O_WRONLY | O_CREAT | O_EXCL, mode);
      if (file_.is_open()) {
        return;
      }
      if (errno != EEXIST) {
        break;
      }
    }
    const int error = errno;
    temporary_.clear();
    fail_call("create", name_, error);
  }
  void keep_mode(mode_t mode) {
    struct stat status;
    if (system_calls().fstat(file_.get(), &status) != 0) {
      fail_call("examine", name_, errno);
    }
    if ((status.st_mode & 07777) != mode && system_calls().fchmod(file_.get(), mode) != 0) {
      fail_call("keep the permissions of", name_, errno);
    }
  }
  /// Takes the blocks of a large write at once, which makes it about a tenth faster on ext4 and finds a full disk early.
  void reserve(std::size_t bytes) {
    constexpr std::size_t worth_it = std::size_t{1} << 20;
    if (!is_temporary() || bytes < worth_it) {
      return;
    }
    const int result = system_calls().fallocate(file_.get(), 0, static_cast<off_t>(written_), static_cast<off_t>(bytes));
    if (result != 0 && (errno == ENOSPC || errno == EDQUOT || errno == EFBIG)) {
      fail_call("write", name_, errno);
    }
  }
  void require_open() const {
    if (!file_.is_open()) {
      closed_ ? fail(Errc::invalid_argument, "cannot write " + name_ + ": it is closed")
              : fail(Errc::io, "cannot write " + name_ + ": an earlier call failed");
    }
  }
  /// Runs a step; where it throws the temporary file goes at once.
  template <class Step>
  void guarded(Step step) {
    try {
      step();
    } catch (...) {
      undo();
      throw;
    }
  }
  void undo() noexcept {
    file_ = OwnedDescriptor();
    if (!temporary_.empty()) {
      system_calls().unlink(temporary_.c_str());
      temporary_.clear();
    }
  }

  std::string name_;       // as the user gave it
  std::string target_;     // with links followed; empty where the file is written directly
  std::string temporary_;  // empty once it is gone
  Sync sync_;
  OwnedDescriptor file_;
  std::uint64_t written_ = 0;
  bool closed_ = false;
};

class FileSource final : public Source {
 public:
  explicit FileSource(std::string path) : name_(std::move(path)), file_(open_descriptor(name_, O_RDONLY | O_NOCTTY)) {
    if (!file_.is_open()) {
      if (errno == ENOENT) {
        fail(Errc::not_found, "cannot read " + name_ + ": there is no such file");
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
      size_ = static_cast<std::uint64_t>(status.st_size);
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
    const std::size_t got = read_some_at(file_.get(), position_, into.first(wanted), name_);
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
    read_all_at(file_.get(), offset, into, name_);
  }

 private:
  std::string name_;
  OwnedDescriptor file_;
  std::optional<std::uint64_t> size_;  // set for a regular file
  std::uint64_t position_ = 0;
};

}  // namespace

std::unique_ptr<Sink> file_sink(const Path& path, Sync sync) { return std::make_unique<FileSink>(path.text(), sync); }
std::unique_ptr<Source> file_source(const Path& path) { return std::make_unique<FileSource>(path.text()); }

}  // namespace stele

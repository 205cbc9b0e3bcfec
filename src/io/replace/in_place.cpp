#include "io/replace/in_place.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <vector>

#include "base/process.hpp"
#include "io/replace/temporary.hpp"
#include "io/system.hpp"
#include "stele/error.hpp"

namespace stele {
namespace {

/// An unnamed file in the folder of the target, or else in the folder for temporary files.
OwnedDescriptor unnamed_file(const Place& place, const std::string& path) {
  const char* const other = std::getenv("TMPDIR");
  const Folder temporary = Folder::open(other != nullptr && *other != '\0' ? other : "/tmp");
  for (const Folder* folder : {&place.folder, &temporary}) {
    OwnedDescriptor file = folder->open_file(".", O_TMPFILE | O_RDWR, 0600);
    if (file.is_open()) {
      return file;
    }
  }
  for (const Folder* folder : {&place.folder, &temporary}) {  // for file systems without O_TMPFILE
    Temporary named(*folder, place.name, 0600, path);
    if (named.exists()) {
      OwnedDescriptor file = duplicate(named.fd(), O_RDWR, path);
      named.remove();
      return file;
    }
  }
  fail_call("make a temporary file for", path, errno);
}

class InPlaceSink final : public Sink {
 public:
  InPlaceSink(const Place& place, std::string path, Sync sync) : name_(std::move(path)), sync_(sync) {
    file_ = place.folder.open_file(place.name, O_WRONLY | O_NOFOLLOW | O_NOCTTY);
    if (!file_.is_open()) {
      fail_call("write", name_, errno);
    }
    gathered_ = unnamed_file(place, name_);
  }

  void write(Bytes bytes) override {
    guarded([&] { write_all(gathered_.get(), bytes, name_); });
    written_ += bytes.size();
  }
  bool patchable() const noexcept override { return true; }
  void patch(std::uint64_t offset, Bytes bytes) override {
    require_open();
    if (offset > written_ || bytes.size() > written_ - offset) {
      fail(Errc::invalid_argument, "patch beyond what was written to " + name_);
    }
    guarded([&] { write_all_at(gathered_.get(), offset, bytes, name_); });
  }
  void close() override {
    guarded([&] {
      struct stat status;
      if (system_calls().fstat(file_.get(), &status) != 0) {
        fail_call("examine", name_, errno);
      }
      take_space(static_cast<std::uint64_t>(status.st_size));
      copy();
      if (system_calls().ftruncate(file_.get(), static_cast<off_t>(written_)) != 0) {
        fail_call("cut", name_, errno);
      }
      if (sync_ != Sync::none) {
        synchronize(file_.get(), name_);
      }
      file_.close(name_);
    });
    gathered_ = OwnedDescriptor();
    closed_ = true;
  }

 private:
  void require_open() const {
    process_.require_same_process(name_);
    if (!gathered_.is_open()) {
      closed_ ? fail(Errc::invalid_argument, "cannot write " + name_ + ": it is closed")
              : fail(Errc::io, "cannot write " + name_ + ": an earlier call failed");
    }
  }
  template <class Step>
  void guarded(Step step) {
    require_open();
    try {
      step();
    } catch (...) {
      gathered_ = OwnedDescriptor();
      throw;
    }
  }
  /// Allocates the space before the first byte is overwritten, if the file system can.
  void take_space(std::uint64_t old_size) {
    if (written_ > old_size &&
        system_calls().fallocate(file_.get(), 0, static_cast<off_t>(old_size),
                                 static_cast<off_t>(written_ - old_size)) != 0 &&
        (errno == ENOSPC || errno == EDQUOT || errno == EFBIG)) {
      const int error = errno;
      system_calls().ftruncate(file_.get(), static_cast<off_t>(old_size));
      fail_call("write", name_, error);
    }
  }
  /// The new content must not run with another user's rights.
  void drop_set_id() {
    struct stat status;
    if (system_calls().fstat(file_.get(), &status) != 0) {
      fail_call("examine", name_, errno);
    }
    if ((status.st_mode & 06000) != 0 && system_calls().fchmod(file_.get(), status.st_mode & 01777) != 0) {
      fail_call("drop the set-user-ID of", name_, errno);
    }
  }
  void copy() {
    drop_set_id();
    constexpr std::uint64_t piece = std::uint64_t{1} << 20;
    std::vector<std::byte> bytes(static_cast<std::size_t>(std::min(written_, piece)));
    for (std::uint64_t at = 0; at < written_; at += piece) {
      const auto part = MutableBytes(bytes).first(static_cast<std::size_t>(std::min(written_ - at, piece)));
      read_all_at(gathered_.get(), at, part, name_);
      write_all_at(file_.get(), at, part, name_);
    }
  }

  std::string name_;
  Sync sync_;
  OwnedDescriptor file_;
  OwnedDescriptor gathered_;
  std::uint64_t written_ = 0;
  bool closed_ = false;
  ProcessMark process_;
};

}  // namespace

std::unique_ptr<Sink> in_place_sink(const Place& place, const std::string& path, Sync sync) {
  return std::make_unique<InPlaceSink>(place, path, sync);
}

}  // namespace stele

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>

#include "base/process.hpp"
#include "base/threads/interruption.hpp"
#include "io/descriptor.hpp"
#include "io/replace/folder.hpp"
#include "io/system.hpp"
#include "stele/error.hpp"
#include "stele/io.hpp"

namespace stele {
namespace {

// Linux transfers at most 2 GiB - 4 KiB per call. Whoever wants to interrupt waits for one.
constexpr std::size_t largest_call = std::size_t{8} << 20;

template <class Call>
auto retry(Call call) noexcept {
  for (;;) {
    const auto result = call();
    if (result != -1 || errno != EINTR) {
      return result;
    }
  }
}

/// The same for a call in order, maybe on a descriptor that is non-blocking: waits with poll(2), and may be
/// interrupted.
template <class Call>
auto retry(int fd, short events, Call call) {
  for (;;) {
    const auto result = call();
    if (result != -1) {
      return result;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
      struct pollfd wanted{fd, events, 0};
      if (system_calls().poll(&wanted, 1, -1) >= 0) {
        continue;
      }
    }
    if (errno != EINTR) {
      return result;
    }
    interrupted();
  }
}

off_t to_off(std::uint64_t offset, const std::string& name) {
  if (offset > static_cast<std::uint64_t>(INT64_MAX)) {
    fail(Errc::invalid_argument, "offset beyond 2^63 - 1 in " + name);
  }
  return static_cast<off_t>(offset);
}

/// Passes `bytes` piece by piece to `call(data, size, done)`, which returns how many it took.
template <class Call>
void write_pieces(int fd, Bytes bytes, const std::string& name, Call call) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    interruption_point();
    const std::size_t piece = std::min(bytes.size() - done, largest_call);
    const ssize_t written = retry(fd, POLLOUT, [&] { return call(bytes.data() + done, piece, done); });
    if (written < 0) {
      fail_call("write", name, errno);
    }
    if (written == 0) {
      fail(Errc::io, "cannot write " + name + ": the system took no bytes");
    }
    done += static_cast<std::size_t>(written);
  }
}

}  // namespace

void fail_call(std::string_view action, const std::string& name, int error) {
  fail(Errc::io, "cannot " + std::string(action) + " " + name + ": " + std::generic_category().message(error),
       {.file = name});
}

void fail_truncated(const std::string& name, std::uint64_t size, std::uint64_t offset, std::uint64_t wanted) {
  fail(Errc::truncated,
       name + " has " + std::to_string(size) + " bytes; " + std::to_string(wanted) + " from byte " +
           std::to_string(offset) + " on are needed",
       {.file = name});
}

OwnedDescriptor& OwnedDescriptor::operator=(OwnedDescriptor&& other) noexcept {
  if (this != &other) {
    if (is_open()) {
      system_calls().close(fd_);
    }
    fd_ = other.fd_;
    other.fd_ = -1;
  }
  return *this;
}

OwnedDescriptor::~OwnedDescriptor() {
  if (is_open()) {
    system_calls().close(fd_);
  }
}

void OwnedDescriptor::close(const std::string& name) {
  const int fd = fd_;
  fd_ = -1;
  // After EINTR, Linux has closed the descriptor. A second close could close one that another thread has just opened.
  if (system_calls().close(fd) != 0 && errno != EINTR) {
    fail_call("close", name, errno);
  }
}

OwnedDescriptor open_descriptor(const std::string& path, int flags, mode_t mode) {
  for (;;) {
    OwnedDescriptor opened(system_calls().open(path.c_str(), flags | O_CLOEXEC, mode));
    if (opened.is_open() || errno != EINTR) {
      return opened;
    }
    interrupted();  // a FIFO waits for its other end
  }
}

void write_all(int fd, Bytes bytes, const std::string& name) {
  write_pieces(fd, bytes, name, [fd](const std::byte* data, std::size_t size, std::size_t) {
    return system_calls().write(fd, data, size);
  });
}

void write_all_at(int fd, std::uint64_t offset, Bytes bytes, const std::string& name) {
  to_off(offset + bytes.size(), name);
  write_pieces(fd, bytes, name, [=](const std::byte* data, std::size_t size, std::size_t done) {
    return system_calls().pwrite(fd, data, size, static_cast<off_t>(offset + done));
  });
}

std::size_t read_some(int fd, MutableBytes into, const std::string& name) {
  interruption_point();
  const std::size_t wanted = std::min(into.size(), largest_call);
  const ssize_t got = retry(fd, POLLIN, [&] { return system_calls().read(fd, into.data(), wanted); });
  if (got < 0) {
    fail_call("read", name, errno);
  }
  return static_cast<std::size_t>(got);
}

std::size_t read_some_at(int fd, std::uint64_t offset, MutableBytes into, const std::string& name) {
  const std::size_t wanted = std::min(into.size(), largest_call);
  const off_t at = to_off(offset, name);
  const ssize_t got = retry([&] { return system_calls().pread(fd, into.data(), wanted, at); });
  if (got < 0) {
    fail_call("read", name, errno);
  }
  return static_cast<std::size_t>(got);
}

void read_all_at(int fd, std::uint64_t offset, MutableBytes into, const std::string& name) {
  while (!into.empty()) {
    const std::size_t got = read_some_at(fd, offset, into, name);
    if (got == 0) {
      fail_truncated(name, offset, offset, into.size());
    }
    offset += got;
    into = into.subspan(got);
  }
}

namespace {

/// The position of a regular file, which can be read and written at any offset; nothing for pipes, sockets, devices.
std::optional<std::uint64_t> regular_position(int fd, struct stat& status, const std::string& name) {
  if (system_calls().fstat(fd, &status) != 0) {
    fail_call("examine", name, errno);
  }
  if (!S_ISREG(status.st_mode)) {
    return std::nullopt;
  }
  const off_t position = system_calls().lseek(fd, 0, SEEK_CUR);
  return position < 0 ? std::nullopt : std::optional(static_cast<std::uint64_t>(position));
}

class FdSink final : public Sink {
 public:
  FdSink(int fd, std::string name, OwnedDescriptor own, Sync sync)
      : own_(std::move(own)), fd_(fd), name_(std::move(name)), sync_(sync) {
    struct stat status;
    start_ = regular_position(fd, status, name_);
    if (start_) {
      const int flags = system_calls().fcntl(fd, F_GETFL);
      if (flags < 0) {
        fail_call("examine", name_, errno);
      }
      if ((flags & O_APPEND) != 0) {
        start_ = std::nullopt;  // pwrite(2) would append
      }
    }
  }

  void write(Bytes bytes) override {
    require_whole();
    whole_ = false;
    write_all(fd_, bytes, name_);
    whole_ = true;
    written_ += bytes.size();
  }
  void close() override {
    require_whole();
    if (own_.is_open()) {
      whole_ = false;
      if (sync_ != Sync::none) {
        synchronize(fd_, name_);
      }
      own_.close(name_);
      fd_ = -1;
    }
  }
  bool patchable() const noexcept override { return start_.has_value(); }
  void patch(std::uint64_t offset, Bytes bytes) override {
    if (!start_) {
      Sink::patch(offset, bytes);
    }
    require_whole();
    if (offset > written_ || bytes.size() > written_ - offset) {
      fail(Errc::invalid_argument, "patch beyond what was written to " + name_);
    }
    whole_ = false;
    write_all_at(fd_, *start_ + offset, bytes, name_);
    whole_ = true;
  }

 private:
  void require_whole() const {
    if (own_.is_open()) {
      process_.require_same_process(name_);
    }
    if (fd_ < 0) {
      fail(Errc::invalid_argument, "cannot write " + name_ + ": it is closed");
    }
    if (!whole_) {
      fail(Errc::io, "cannot write " + name_ + ": an earlier write failed");
    }
  }

  OwnedDescriptor own_;
  int fd_;
  std::string name_;
  Sync sync_;
  ProcessMark process_;
  std::optional<std::uint64_t> start_;  // set if it can be patched
  std::uint64_t written_ = 0;
  bool whole_ = true;
};

class FdSource final : public Source {
 public:
  explicit FdSource(int fd) : fd_(fd), name_("descriptor " + std::to_string(fd)) {
    struct stat status;
    start_ = regular_position(fd, status, name_);
    if (start_) {
      const auto end = static_cast<std::uint64_t>(status.st_size);
      size_ = end > *start_ ? end - *start_ : 0;
    }
    is_pipe_ = S_ISFIFO(status.st_mode);
    is_socket_ = S_ISSOCK(status.st_mode);
  }

  std::size_t read(MutableBytes into) override { return read_some(fd_, into, name_); }
  std::optional<std::size_t> peek(MutableBytes into) override {
    if (is_socket_) {
      return into.empty() ? 0 : peek_socket(into);
    }
    if (!is_pipe_ || (!copy_[0].is_open() && !open_copy())) {
      return std::nullopt;
    }
    return into.empty() ? 0 : peek_pipe(into);
  }
  std::optional<std::uint64_t> size() const override { return start_ ? std::optional(size_) : std::nullopt; }
  bool random_access() const noexcept override { return start_.has_value(); }
  void seek(std::uint64_t offset) override {
    if (!start_) {
      Source::seek(offset);
    }
    to_off(offset, name_);  // checks that the sum does not overflow
    if (system_calls().lseek(fd_, to_off(*start_ + offset, name_), SEEK_SET) < 0) {
      fail_call("seek", name_, errno);
    }
  }
  void read_at(std::uint64_t offset, MutableBytes into) const override {
    if (!start_) {
      Source::read_at(offset, into);
    }
    if (offset > size_ || into.size() > size_ - offset) {
      fail_truncated(name_, size_, offset, into.size());
    }
    read_all_at(fd_, *start_ + offset, into, name_);
  }
  std::string name() const override { return name_; }

 private:
  std::size_t peek_socket(MutableBytes into) const {
    const ssize_t got =
        retry(fd_, POLLIN, [&] { return system_calls().recv(fd_, into.data(), into.size(), MSG_PEEK); });
    if (got < 0) {
      fail_call("read", name_, errno);
    }
    return static_cast<std::size_t>(got);
  }

  /// Creates a second pipe for copies of the pages in the first.
  bool open_copy() {
    std::array<int, 2> ends{};
    if (system_calls().pipe2(ends.data(), O_CLOEXEC) != 0) {
      is_pipe_ = false;
      return false;
    }
    copy_ = {OwnedDescriptor(ends[0]), OwnedDescriptor(ends[1])};
    is_pipe_ = system_calls().tee(fd_, copy_[1].get(), 0, 0) == 0;  // -1 if the call is forbidden
    return is_pipe_;
  }
  std::size_t peek_pipe(MutableBytes into) const {
    const ssize_t got = retry(fd_, POLLIN, [&] { return system_calls().tee(fd_, copy_[1].get(), into.size(), 0); });
    if (got < 0) {
      fail_call("read", name_, errno);
    }
    for (std::size_t done = 0; done < static_cast<std::size_t>(got);) {
      done += read_some(copy_[0].get(), into.subspan(done, static_cast<std::size_t>(got) - done), name_);
    }
    return static_cast<std::size_t>(got);
  }

  int fd_;
  std::string name_;
  std::optional<std::uint64_t> start_;  // set for random access
  std::uint64_t size_ = 0;
  bool is_pipe_ = false;
  bool is_socket_ = false;
  std::array<OwnedDescriptor, 2> copy_;  // a pipe with a copy of the pipe's contents: the ends to read and to write
};

}  // namespace

std::unique_ptr<Sink> fd_sink(int fd) {
  return std::make_unique<FdSink>(fd, "descriptor " + std::to_string(fd), OwnedDescriptor(), Sync::none);
}
std::unique_ptr<Sink> descriptor_sink(OwnedDescriptor file, const std::string& name, Sync sync) {
  const int fd = file.get();
  return std::make_unique<FdSink>(fd, name, std::move(file), sync);
}
std::unique_ptr<Source> fd_source(int fd) { return std::make_unique<FdSource>(fd); }

}  // namespace stele

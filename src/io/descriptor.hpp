#pragma once
// File descriptors: an owner, and reads and writes that go on after signals and short counts. `name` is what messages
// call the file.

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "stele/io.hpp"

namespace stele {

/// Throws Error(io) "cannot <action> <name>: <reason>" for a value of errno.
[[noreturn]] void fail_call(std::string_view action, const std::string& name, int error);

/// Throws Error(truncated) for a read of `wanted` bytes from `offset` on where there are only `size`.
[[noreturn]] void fail_truncated(const std::string& name, std::uint64_t size, std::uint64_t offset,
                                 std::uint64_t wanted);

/// Owns an open descriptor.
class OwnedDescriptor {
 public:
  OwnedDescriptor() = default;
  explicit OwnedDescriptor(int fd) noexcept : fd_(fd) {}
  OwnedDescriptor(OwnedDescriptor&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  OwnedDescriptor& operator=(OwnedDescriptor&& other) noexcept;
  /// Closes without a word; use close() where the result counts.
  ~OwnedDescriptor();

  int get() const noexcept { return fd_; }
  bool is_open() const noexcept { return fd_ >= 0; }
  /// Gives it up without closing it.
  int release() noexcept { return std::exchange(fd_, -1); }
  /// Closes and reports. Throws: Error(io); the descriptor is gone all the same.
  void close(const std::string& name);

 private:
  int fd_ = -1;
};

/// open(2) with O_CLOEXEC; not open on failure, errno tells why.
OwnedDescriptor open_descriptor(const std::string& path, int flags, mode_t mode = 0) noexcept;

/// Writes to `file` and closes it at the end, at once on the device where `sync` asks for it. For what has no name that
/// could be given to another file: a pipe, a device, a descriptor that a path stands for.
std::unique_ptr<Sink> descriptor_sink(OwnedDescriptor file, const std::string& name, Sync sync);

/// Writes all of `bytes`, and waits where the descriptor does not (O_NONBLOCK). Throws: Error(io).
void write_all(int fd, Bytes bytes, const std::string& name);
void write_all_at(int fd, std::uint64_t offset, Bytes bytes, const std::string& name);
/// One read, which waits too: 0 only at the end. Throws: Error(io).
std::size_t read_some(int fd, MutableBytes into, const std::string& name);
std::size_t read_some_at(int fd, std::uint64_t offset, MutableBytes into, const std::string& name);
/// Fills `into`. Throws: Error(truncated) where the file ends before, Error(io).
void read_all_at(int fd, std::uint64_t offset, MutableBytes into, const std::string& name);

}  // namespace stele

#pragma once
// File descriptors: an owner, and reads and writes that continue after signals and short counts. `name` is the file's
// name in messages.

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

/// Throws Error(truncated) for a read of `wanted` bytes at `offset` of which only `size` exist.
[[noreturn]] void fail_truncated(const std::string& name, std::uint64_t size, std::uint64_t offset,
                                 std::uint64_t wanted);

/// Owns an open file descriptor.
class OwnedDescriptor {
 public:
  OwnedDescriptor() = default;
  explicit OwnedDescriptor(int fd) noexcept : fd_(fd) {}
  OwnedDescriptor(OwnedDescriptor&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  OwnedDescriptor& operator=(OwnedDescriptor&& other) noexcept;
  /// Closes and ignores errors; use close() if the result matters.
  ~OwnedDescriptor();

  int get() const noexcept { return fd_; }
  bool is_open() const noexcept { return fd_ >= 0; }
  /// Gives up ownership without closing.
  int release() noexcept { return std::exchange(fd_, -1); }
  /// Closes and reports errors. Throws: Error(io); the descriptor is closed anyway.
  void close(const std::string& name);

 private:
  int fd_ = -1;
};

/// open(2) with O_CLOEXEC. On failure the result is not open and errno is set.
OwnedDescriptor open_descriptor(const std::string& path, int flags, mode_t mode = 0);

/// Writes to `file` and closes it at the end, after fsync if `sync` asks for it. For files that cannot be replaced by
/// name: pipes, devices, descriptors that a path stands for.
std::unique_ptr<Sink> descriptor_sink(OwnedDescriptor file, const std::string& name, Sync sync);

/// Writes all of `bytes`; waits if the descriptor is non-blocking (O_NONBLOCK). Throws: Error(io).
void write_all(int fd, Bytes bytes, const std::string& name);
void write_all_at(int fd, std::uint64_t offset, Bytes bytes, const std::string& name);
/// Reads once, and also waits; 0 only at the end. Throws: Error(io).
std::size_t read_some(int fd, MutableBytes into, const std::string& name);
std::size_t read_some_at(int fd, std::uint64_t offset, MutableBytes into, const std::string& name);
/// Fills `into`. Throws: Error(truncated) if the file is too short, Error(io).
void read_all_at(int fd, std::uint64_t offset, MutableBytes into, const std::string& name);

}  // namespace stele

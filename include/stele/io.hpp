#pragma once
// Where bytes go and come from. A Sink takes bytes in order; a Source gives them in order and, if it can, at any
// offset. The library's own are files (atomic), file descriptors, memory, iostreams and mappings; a user derives from
// Sink or Source to add another.

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stele {

using Bytes = std::span<const std::byte>;
using MutableBytes = std::span<std::byte>;

/// A path in the file system: from a string, or from anything with a `native()` string such as std::filesystem::path,
/// so that this header need not include <filesystem>. Throws: Error(invalid_argument) for one with a zero byte, which
/// the system would take for its end.
class Path {
 public:
  Path(const char* path) : text_(path) {}
  Path(std::string path) : text_(checked(std::move(path))) {}
  Path(std::string_view path) : text_(checked(std::string(path))) {}
  template <class P>
    requires requires(const P& path) {
      { path.native() } -> std::convertible_to<const std::string&>;
    }
  Path(const P& path) : text_(checked(path.native())) {}

  const std::string& text() const noexcept { return text_; }
  const char* c_str() const noexcept { return text_.c_str(); }

 private:
  static std::string checked(std::string path);
  std::string text_;
};

/// Takes bytes in order. Not thread-safe. Nothing counts as written before close() has returned.
class Sink {
 public:
  Sink() = default;
  Sink(const Sink&) = delete;
  Sink& operator=(const Sink&) = delete;
  virtual ~Sink() = default;

  /// Writes all of `bytes`. Throws: Error(io).
  virtual void write(Bytes bytes) = 0;
  /// Makes what was written visible; called once, at the end. Throws: Error(io).
  virtual void close() {}
  /// Whether patch() works.
  virtual bool patchable() const noexcept { return false; }
  /// Overwrites bytes written earlier; `offset` counts from the first byte this Sink was given.
  virtual void patch(std::uint64_t offset, Bytes bytes);
};

/// Gives bytes in order. Not thread-safe but for read_at().
class Source {
 public:
  Source() = default;
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;
  virtual ~Source() = default;

  /// Reads between one and `into.size()` bytes, 0 only at the end. May wait until all of `into` has arrived.
  /// Throws: Error(io).
  virtual std::size_t read(MutableBytes into) = 0;
  /// Copies what read() will give next and takes nothing: between one and `into.size()` bytes, 0 only at the end. May
  /// wait for the first byte. Nothing where this Source cannot, which asking with an empty `into` tells. Where it can,
  /// a decompressor that must not take what follows its data need not take it a few bytes at a time.
  virtual std::optional<std::size_t> peek(MutableBytes into);

  /// The number of bytes in the whole Source, if it is known beforehand.
  virtual std::optional<std::uint64_t> size() const { return std::nullopt; }
  /// Whether seek() and read_at() work; size() is then known.
  virtual bool random_access() const noexcept { return false; }
  /// Moves the position of read(). Throws: Error(unsupported) where random_access() is false.
  virtual void seek(std::uint64_t offset);
  /// Fills `into` from `offset` without moving the position; may be called by several threads at once.
  /// Throws: Error(truncated) past the end, Error(io), Error(unsupported) where random_access() is false.
  virtual void read_at(std::uint64_t offset, MutableBytes into) const;
  /// Where a read that begins at `offset` is best cut, when several threads share what is to be read: an offset behind
  /// it, such as the end of a compressed block. By default 1 MiB further. Thread-safe.
  virtual std::uint64_t next_cut(std::uint64_t offset) const;
  /// Consumes what the format behind the last byte read still holds, such as a checksum and a block index, and nothing
  /// more, and verifies it. Called once behind each archive that is read as a whole. Throws: Error(damaged),
  /// Error(truncated).
  virtual void finish() {}
  /// The whole content where it lies in memory, else empty. Valid as long as this Source.
  virtual Bytes memory() const noexcept { return {}; }
  /// What Errors call it: a path, "descriptor 3", the address of a remote object. Empty where it has no name.
  virtual std::string name() const { return {}; }
};

/// How a file is mapped; the modes are NumPy's and joblib's "r", "c" and "r+".
enum class MapMode : std::uint8_t {
  none,           // not mapped: arrays are read into memory of their own
  read_only,      // pages of the file; Array::writable() is false
  copy_on_write,  // writable; changed pages are private and never reach the file
  read_write,     // writable; changes reach the file, checksums on File::flush()
};

class MappedFile;  // the library's own

/// A file, or a part of one, mapped into memory. Shared by everything that points into it; unmapped by the last.
class Mapping {
 public:
  /// Maps `length` bytes (default: to the end) from `offset`, which need not be a multiple of the page size.
  /// Throws: Error(io), Error(not_found), Error(not_mappable) for what is no regular file, Error(truncated) where the
  /// file is shorter than offset + length.
  static std::shared_ptr<Mapping> open(const Path& path, MapMode mode, std::uint64_t offset = 0,
                                       std::optional<std::uint64_t> length = std::nullopt);
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping();

  Bytes bytes() const noexcept { return {data_, size_}; }
  /// Throws: Error(read_only) for MapMode::read_only.
  MutableBytes writable_bytes();
  MapMode mode() const noexcept { return mode_; }
  /// The file's path, as it was given.
  const std::string& name() const noexcept { return name_; }
  /// Writes changed pages back and waits for it (msync). Throws: Error(io).
  void sync();

 private:
  friend class MappedFile;
  Mapping() = default;
  void* base_ = nullptr;  // page aligned
  std::size_t mapped_ = 0;
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  MapMode mode_ = MapMode::none;
  std::string name_;
};

/// How durable a file must be when close() returns.
enum class Sync : std::uint8_t {
  none,         // atomic towards other processes and a crash of this one
  file,         // and the bytes are on the device (fsync before the rename)
  file_folder,  // and so is the name (fsync of the folder after the rename)
};

/// Writes a file that appears under its name only at close(): a temporary file in the same folder, then a rename. Keeps
/// owner, group, permissions and extended attributes of a file it replaces as far as the process may, follows symbolic
/// links, and finds its folder again after chdir(). Devices, FIFOs and names of open descriptors (/dev/stdout,
/// /dev/fd/3) are written directly, at the place where they are. The destructor of an unclosed one removes the
/// temporary file and leaves the old file as it was. In a child of fork() it only throws: Error(invalid_argument), and
/// the destructor leaves all to the parent. `in_place`: writes into a file that stands instead, at close(). For one
/// that cannot be replaced, such as a file that is mounted into a container; keeps all names of it. Not atomic: a crash
/// meanwhile leaves a damaged file.
std::unique_ptr<Sink> file_sink(const Path& path, Sync sync = Sync::none, bool in_place = false);
/// Writes to an open descriptor (file, pipe, socket), which stays open and the caller's.
std::unique_ptr<Sink> fd_sink(int fd);
/// Writes to a stream that must outlive the Sink; close() flushes it.
std::unique_ptr<Sink> stream_sink(std::ostream& stream);
/// Appends to a vector that must outlive the Sink.
std::unique_ptr<Sink> memory_sink(std::vector<std::byte>& out);

/// Reads a file by name: random access where it is a regular file, else (FIFO, device) in order. The name of an open
/// descriptor (/dev/stdin) is read through that, from its position on, which stays where it is for a regular file.
/// Throws: Error(not_found), Error(io).
std::unique_ptr<Source> file_source(const Path& path);
/// Reads from an open descriptor from its current position on; the descriptor stays open and the caller's. A regular
/// file has random access and its position is moved by seek() and read().
std::unique_ptr<Source> fd_source(int fd);
/// Reads from a stream that must outlive the Source, from its current position on; never takes more bytes than asked.
std::unique_ptr<Source> stream_source(std::istream& stream);
/// Reads memory that must outlive the Source.
std::unique_ptr<Source> memory_source(Bytes bytes);

}  // namespace stele

#pragma once
// Where bytes go and come from. A Sink takes bytes in order; a Source returns them in order and, if it can, at any
// offset. The library has Sinks and Sources for files (atomic), file descriptors, memory, iostreams and mappings;
// derive from Sink or Source to add another.

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

/// A path in the file system: a string, or anything with a `native()` string such as std::filesystem::path, so that
/// this header need not include `filesystem`.
/// Throws: Error(invalid_argument) for a path with a zero byte, which the system would take for its end.
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

  /// Writes all of `bytes`.
  /// Throws: Error(io).
  virtual void write(Bytes bytes) = 0;
  /// Makes the written bytes visible; called once, at the end.
  /// Throws: Error(io).
  virtual void close() {}
  /// Whether patch() works.
  virtual bool patchable() const noexcept { return false; }
  /// Overwrites bytes written earlier; `offset` counts from the first byte this Sink was given.
  virtual void patch(std::uint64_t offset, Bytes bytes);
};

/// Returns bytes in order. Not thread-safe, except read_at().
class Source {
 public:
  Source() = default;
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;
  virtual ~Source() = default;

  /// Reads between one and `into.size()` bytes, 0 only at the end. May wait until all of `into` has arrived.
  /// Throws: Error(io).
  virtual std::size_t read(MutableBytes into) = 0;
  /// Copies what read() will return next, without consuming it: between one and `into.size()` bytes, 0 only at the end.
  /// May wait for the first byte. Returns nothing if this Source cannot peek; a call with an empty `into` tells. With
  /// peek(), a decompressor that must not consume what follows its data need not read a few bytes at a time.
  virtual std::optional<std::size_t> peek(MutableBytes into);

  /// The number of bytes in the whole Source, if it is known beforehand.
  virtual std::optional<std::uint64_t> size() const { return std::nullopt; }
  /// Whether seek() and read_at() work; size() is then known.
  virtual bool random_access() const noexcept { return false; }
  /// Moves the position of read().
  /// Throws: Error(unsupported) if random_access() is false.
  virtual void seek(std::uint64_t offset);
  /// Fills `into` from `offset` without moving the position; several threads may call it at once.
  /// Throws: Error(truncated) past the end, Error(io), Error(unsupported) if random_access() is false.
  virtual void read_at(std::uint64_t offset, MutableBytes into) const;
  /// The offset at which a read that begins at `offset` is best split, when several threads share the work: an offset
  /// after it, such as the end of a compressed block. By default 1 MiB further. Thread-safe.
  virtual std::uint64_t next_cut(std::uint64_t offset) const;
  /// Says that these bytes will be read, from the first to the last or nearly so: where each read is slow to begin, such
  /// as of a remote object, they can be fetched together. Thread-safe.
  virtual void will_read(std::uint64_t /*offset*/, std::uint64_t /*size*/) const {}
  /// Consumes and verifies what the format has after the last byte read, such as a checksum and a block index, and
  /// nothing more. Called once after each archive that is read as a whole.
  /// Throws: Error(damaged), Error(truncated).
  virtual void finish() {}
  /// The whole content if it lies in memory, else empty. Valid as long as this Source.
  virtual Bytes memory() const noexcept { return {}; }
  /// The name in Errors: a path, "descriptor 3", the address of a remote object. May be empty.
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
  /// Throws: Error(io), Error(not_found), Error(not_mappable) if it is not a regular file, Error(truncated) if the file
  /// is shorter than offset + length.
  static std::shared_ptr<Mapping> open(const Path& path, MapMode mode, std::uint64_t offset = 0,
                                       std::optional<std::uint64_t> length = std::nullopt);
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping();

  Bytes bytes() const noexcept { return {data_, size_}; }
  /// Throws: Error(read_only) for MapMode::read_only.
  MutableBytes writable_bytes();
  MapMode mode() const noexcept { return mode_; }
  /// The file's path, as given.
  const std::string& name() const noexcept { return name_; }
  /// Writes changed pages back and waits until this is done (msync).
  /// Throws: Error(io).
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

/// Writes a file that appears under its name only at close(): a temporary file in the same folder, then a rename. It
/// takes over owner, group, permissions and extended attributes of the file it replaces where the process may set them,
/// follows symbolic links, and finds its folder again after chdir(). Devices, FIFOs and names of open descriptors
/// (/dev/stdout, /dev/fd/3) are written directly, at their position. The destructor of an unclosed Sink removes the
/// temporary file and leaves the old file unchanged. In a child of fork() every call throws Error(invalid_argument),
/// and the destructor does nothing. `in_place` writes into the existing file instead, at close(): for a file that
/// cannot be replaced, such as one mounted into a container; all its names stay. This is not atomic: a crash meanwhile
/// leaves a damaged file.
std::unique_ptr<Sink> file_sink(const Path& path, Sync sync = Sync::none, bool in_place = false);
/// Writes to an open descriptor (file, pipe, socket), which stays open and belongs to the caller.
std::unique_ptr<Sink> fd_sink(int fd);
/// Writes to a stream that must outlive the Sink; close() flushes it.
std::unique_ptr<Sink> stream_sink(std::ostream& stream);
/// Appends to a vector that must outlive the Sink.
std::unique_ptr<Sink> memory_sink(std::vector<std::byte>& out);

/// Reads a file by name: with random access if it is a regular file, else (FIFO, device) in order. The name of an open
/// descriptor (/dev/stdin) is read through that descriptor from its position, which does not move for a regular file.
/// Throws: Error(not_found), Error(io).
std::unique_ptr<Source> file_source(const Path& path);
/// Reads from an open descriptor from its current position; the descriptor stays open and belongs to the caller. A
/// regular file has random access, and seek() and read() move its position.
std::unique_ptr<Source> fd_source(int fd);
/// Reads from a stream that must outlive the Source, from its current position; never takes more bytes than asked for.
std::unique_ptr<Source> stream_source(std::istream& stream);
/// Reads memory that must outlive the Source.
std::unique_ptr<Source> memory_source(Bytes bytes);

}  // namespace stele

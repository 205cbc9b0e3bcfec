#pragma once
// An open file that others may append to. It is mapped beyond its end, so that appended bytes become visible. Or a file
// on another machine, whose parts are fetched.

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "io/descriptor.hpp"
#include "services/store/shard/source_pieces.hpp"
#include "stele/io.hpp"

namespace stele {

/// Thread-safe. The returned parts keep the mapping alive, not the file.
class GrowingFile {
 public:
  GrowingFile() = default;
  /// `reserve`: the size in bytes to which the file may grow without a new mapping. If there is not enough address
  /// space, only the file's current size is mapped. If that fails too, nothing is mapped; parts are then mapped one by
  /// one, or read.
  /// Throws: Error(io), Error(not_mappable).
  void open(OwnedDescriptor file, std::string path, std::uint64_t reserve);
  /// Uses the first `size` bytes of an existing mapping.
  void set(std::shared_ptr<Mapping> mapping, std::string path, std::uint64_t size);
  /// Uses the first `size` bytes of a file on another machine.
  void set(std::shared_ptr<const SourcePieces> pieces, std::string path, std::uint64_t size);

  const std::string& path() const noexcept { return path_; }
  /// The open file; -1 if there is only a mapping, or none.
  int descriptor() const noexcept { return file_.get(); }
  /// The current size of the file. Throws: Error(io).
  std::uint64_t size() const;

  /// `length` bytes at `offset`, and the mapping that holds them.
  /// Throws: Error(truncated) if the file is shorter, Error(io).
  struct Part {
    std::shared_ptr<Mapping> mapping;
    Bytes bytes;
  };
  Part part(std::uint64_t offset, std::uint64_t length) const;
  /// The same, copied to separate memory.
  Part read(std::uint64_t offset, std::uint64_t length) const;
  /// The bytes known to be in the file: at least `wanted` if the file has so many. They stay mapped as long as this
  /// object.
  /// Throws: Error(io) if there is not enough address space.
  Bytes all(std::uint64_t wanted) const;
  /// Asks the system to read a range ahead.
  void prefetch(std::uint64_t offset, std::uint64_t length) const noexcept;
  /// The pieces of a file on another machine; else null.
  const SourcePieces* pieces() const noexcept { return pieces_.get(); }
  /// The `reserve` it was opened with.
  std::uint64_t reserved() const noexcept { return reserved_; }

 private:
  /// Mappings of the file; the last is the longest. Earlier ones stay, as others may be reading them.
  struct Mapped {
    std::shared_ptr<Mapping> mapping;
  };
  const std::shared_ptr<Mapping>& mapping() const noexcept { return current_.load(std::memory_order_acquire)->mapping; }
  Bytes bytes() const noexcept;
  void require(std::uint64_t offset, std::uint64_t length) const;
  void lengthen(std::uint64_t least) const;
  void add(std::shared_ptr<Mapping> mapping) const;
  Part fetch(std::uint64_t offset, std::uint64_t length) const;

  OwnedDescriptor file_;
  std::string path_;
  std::shared_ptr<const SourcePieces> pieces_;
  std::uint64_t reserved_ = 0;
  mutable std::mutex mutex_;  // guards mapped_
  mutable std::vector<std::unique_ptr<const Mapped>> mapped_;
  mutable std::atomic<const Mapped*> current_{nullptr};
  mutable std::atomic<std::uint64_t> known_size_{0};  // a lower bound of the file's size
};

}  // namespace stele

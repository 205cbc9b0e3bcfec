#pragma once
// An open file that others may lengthen, mapped beyond its end so that what is appended appears.

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "io/descriptor.hpp"
#include "stele/io.hpp"

namespace stele {

/// Thread-safe. What it hands out keeps the mapping alive, not the file.
class GrowingFile {
 public:
  GrowingFile() = default;
  /// `reserve`: how many bytes the file may grow to without another mapping. Where there is not so much address space
  /// the mapping is as long as the file is, and where that is too long there is none: parts are mapped one by one then,
  /// or read. Throws: Error(io), Error(not_mappable).
  void open(OwnedDescriptor file, std::string path, std::uint64_t reserve);
  /// The first `size` bytes of a mapping that is complete.
  void set(std::shared_ptr<Mapping> mapping, std::string path, std::uint64_t size);

  const std::string& path() const noexcept { return path_; }
  /// The open file, or -1 where there is only a mapping.
  int descriptor() const noexcept { return file_.get(); }
  /// The bytes in the file now. Throws: Error(io).
  std::uint64_t size() const;

  /// `length` bytes from `offset` on, and the mapping that they lie in. Throws: Error(truncated) where the file ends
  /// before, Error(io).
  struct Part {
    std::shared_ptr<Mapping> mapping;
    Bytes bytes;
  };
  Part part(std::uint64_t offset, std::uint64_t length) const;
  /// The same in memory of its own.
  Part read(std::uint64_t offset, std::uint64_t length) const;
  /// All that is known to be in the file, up to `wanted` or more if it has so much; stays mapped as long as this.
  /// Throws: Error(io) where there is not so much address space.
  Bytes all(std::uint64_t wanted) const;
  /// Asks the system to read a part ahead.
  void prefetch(std::uint64_t offset, std::uint64_t length) const noexcept;
  /// How many bytes it was opened for.
  std::uint64_t reserved() const noexcept { return reserved_; }

 private:
  /// Mappings of the file, of which the last is the longest. Earlier ones stay, as others may be reading them.
  struct Mapped {
    std::shared_ptr<Mapping> mapping;
  };
  const std::shared_ptr<Mapping>& mapping() const noexcept { return current_.load(std::memory_order_acquire)->mapping; }
  Bytes bytes() const noexcept;
  void require(std::uint64_t offset, std::uint64_t length) const;
  void lengthen(std::uint64_t least) const;
  void add(std::shared_ptr<Mapping> mapping) const;

  OwnedDescriptor file_;
  std::string path_;
  std::uint64_t reserved_ = 0;
  mutable std::mutex mutex_;  // guards mapped_
  mutable std::vector<std::unique_ptr<const Mapped>> mapped_;
  mutable std::atomic<const Mapped*> current_{nullptr};
  mutable std::atomic<std::uint64_t> known_size_{0};  // that the file surely has
};

}  // namespace stele

#pragma once
// The elements of one array of an archive, read and decoded at any place.

#include <cstdint>
#include <memory>
#include <vector>

#include "archive/read/decoder/decoder.hpp"
#include "base/pool.hpp"

namespace stele {

/// The bytes of an array in the file, which may lie there in several chunks. Thread-safe.
class StoredBytes {
 public:
  /// `source` and what `options` points to must outlive this object.
  StoredBytes(const Source& source, const Input::Options& options, const Decoder::ArrayPlace& place);

  /// Fills `into` with the bytes from `at`. Checks those that are structure against the segments' checksums.
  /// Throws: Error(damaged), Error(limit_exceeded), Error(io).
  void read(std::uint64_t at, MutableBytes into) const;
  /// Where a read that begins at `at` is best split.
  std::uint64_t next_cut(std::uint64_t at) const;
  /// All bytes, if they lie in memory without gaps; else null.
  const std::byte* memory() const noexcept { return memory_; }
  bool compressed() const noexcept { return options_.stored_size.has_value(); }

 private:
  const Decoder::Chunk& chunk_at(std::uint64_t at) const;
  void check_head(const Decoder::Chunk& chunk) const;
  void read_at(std::uint64_t offset, MutableBytes into) const;

  const Source& source_;
  const Input::Options& options_;
  const bool structure_;
  const bool heads_unread_;
  const std::vector<Decoder::Chunk> chunks_;
  const std::byte* memory_ = nullptr;
};

/// The elements of an array in stored order. Thread-safe.
class StoredElements {
 public:
  explicit StoredElements(DType dtype) : dtype_(std::move(dtype)) {}
  StoredElements(const StoredElements&) = delete;
  StoredElements& operator=(const StoredElements&) = delete;
  virtual ~StoredElements() = default;

  const DType& dtype() const noexcept { return dtype_; }
  /// Reads `count` elements from element `first` on, as they are in memory.
  /// Throws: Error(damaged), Error(malformed), Error(limit_exceeded), Error(io).
  virtual void read(std::uint64_t first, std::uint64_t count, std::byte* to) const = 0;
  /// The element before which a read that begins at `first` is best split; greater than `first`.
  virtual std::uint64_t next_cut(std::uint64_t first) const = 0;
  /// So many unwanted elements between two wanted ones cost no more than a second read.
  virtual std::uint64_t worth_reading() const noexcept = 0;
  /// XXH3-64 of all `count` elements, as the directory has it.
  virtual std::uint64_t checksum(std::uint64_t count) const;
  /// The elements, if they lie in memory as they are; else null.
  virtual const std::byte* memory() const noexcept { return nullptr; }

 private:
  const DType dtype_;
};

/// Of an array that can be read in parts (place.whole is not set).
std::unique_ptr<StoredElements> stored_elements(const Source& source, const Input::Options& options,
                                                const Decoder::ArrayPlace& place);
/// Of a buffer that holds them.
std::unique_ptr<StoredElements> elements_in_memory(DType dtype, std::shared_ptr<Buffer> buffer);

}  // namespace stele

#pragma once
// The elements of one array of an archive, read and decoded at any place.

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "archive/read/decoder/decoder.hpp"
#include "base/threads/pool.hpp"

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
  /// As Source::will_read().
  void will_read(std::uint64_t at, std::uint64_t size) const;
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

/// Compares pieces of an array with their checksums, each when it is first read. Thread-safe.
class PieceCheck {
 public:
  using Read = std::function<void(std::uint64_t at, MutableBytes into)>;

  /// `entry` must outlive this object. `extend`: pieces of which only a part is wanted are read whole; otherwise they
  /// are not checked.
  PieceCheck(const ArrayEntry& entry, std::string file, bool extend);

  /// Fills `into` with the bytes of the elements from `at` on, by `read`, and with it reads what else the pieces have.
  /// Throws: Error(damaged), what `read` throws.
  void read(std::uint64_t at, MutableBytes into, const Read& read) const;
  /// Where the piece that holds the byte before `at` ends.
  std::uint64_t end_of_piece(std::uint64_t at) const noexcept;

 private:
  void compare(std::size_t piece, std::uint64_t checksum) const;
  void check_long(std::size_t piece, const Read& read) const;
  std::uint64_t end_of(std::size_t piece) const noexcept;

  const ArrayEntry& entry_;
  const std::string file_;
  const bool extend_;
  const std::uint64_t total_;
  const std::uint64_t piece_bytes_;  // more than a piece has only where the file has no checksums of pieces
  const std::unique_ptr<std::atomic<bool>[]> checked_;
  mutable std::mutex long_;  // held to check a piece that is too long for memory
  mutable Pool<std::vector<std::byte>> pieces_;
};

/// The elements of an array in stored order. Thread-safe.
class StoredElements {
 public:
  StoredElements(const StoredElements&) = delete;
  StoredElements& operator=(const StoredElements&) = delete;
  virtual ~StoredElements() = default;

  const DType& dtype() const noexcept { return dtype_; }
  /// Reads `count` elements from element `first` on, as they are in memory.
  /// Throws: Error(damaged), Error(malformed), Error(limit_exceeded), Error(io).
  void read(std::uint64_t first, std::uint64_t count, std::byte* to) const;
  /// The element before which a read that begins at `first` is best split; greater than `first`.
  std::uint64_t next_cut(std::uint64_t first) const;
  /// Says that these elements, or most of them, will be read; as Source::will_read().
  void will_read(std::uint64_t first, std::uint64_t count) const;
  /// So many unwanted elements between two wanted ones cost no more than a second read.
  virtual std::uint64_t worth_reading() const noexcept = 0;
  /// The elements, if they lie in memory as they are and need no check; else null.
  const std::byte* memory() const noexcept { return check_ == nullptr ? elements_in_place() : nullptr; }
  /// Compares what read() reads with the checksums of `entry`; arguments as PieceCheck has them.
  void check_against(const ArrayEntry& entry, std::string file, bool extend) {
    check_ = std::make_unique<PieceCheck>(entry, std::move(file), extend);
  }

 protected:
  explicit StoredElements(DType dtype, bool big_endian = false);
  /// The bytes of the elements as the checksums cover them, from byte `at` on.
  virtual void read_bytes(std::uint64_t at, MutableBytes to) const = 0;
  /// next_cut() in these bytes.
  virtual std::uint64_t next_byte_cut(std::uint64_t at) const = 0;
  /// will_read() in these bytes.
  virtual void will_read_bytes(std::uint64_t /*at*/, std::uint64_t /*size*/) const {}
  virtual const std::byte* elements_in_place() const noexcept { return nullptr; }
  bool as_in_memory() const noexcept { return !big_endian_ && !booleans_; }

 private:
  const DType dtype_;
  const bool big_endian_;
  const bool booleans_;
  std::unique_ptr<PieceCheck> check_;
};

/// Of an array that can be read in parts (place.whole is not set).
std::unique_ptr<StoredElements> stored_elements(const Source& source, const Input::Options& options,
                                                const Decoder::ArrayPlace& place);
/// Of a buffer that holds them.
std::unique_ptr<StoredElements> elements_in_memory(DType dtype, std::shared_ptr<Buffer> buffer);

}  // namespace stele

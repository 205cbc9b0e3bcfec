#pragma once
// How codecs read compressed files: Intake in order, never past what the format needs; Peek at offsets, for indices.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "stele/codec.hpp"

namespace stele {

/// The maximum number of blocks in the index of a file of `size` bytes, so that the index takes at most 4 MiB and an
/// eighth of the file's size. A file with more blocks is read in order.
constexpr std::size_t most_blocks(std::uint64_t size) {
  constexpr std::uint64_t free_bytes = std::uint64_t{4} << 20;
  return static_cast<std::size_t>((free_bytes + size / 8) / sizeof(Block));
}

/// Reads bytes from a compressed Source for an in-order decoder, and counts them. With random access, it starts at
/// offset 0 and reads ahead; settle() then moves back to the right position. If the decoder has the `whole` Source, it
/// reads ahead too. Otherwise it consumes no more than requested: if the Source can peek(), it peeks and consumes only
/// what was used; if not, it is exact.
class Intake {
 public:
  /// `stored` must outlive this object. No read asks for more than `most` bytes.
  Intake(Source& stored, std::size_t most, bool whole);

  /// The offset of the first byte not yet consumed.
  std::uint64_t position() const noexcept { return taken_ - (end_ - begin_); }
  bool random_access() const noexcept { return random_access_; }
  /// Whether it never reads more than was requested.
  bool exact() const noexcept { return way_ == Way::exact; }
  /// Whether extend() may request bytes that may not belong to the format.
  bool ahead() const noexcept { return way_ == Way::ahead; }

  /// The buffered bytes.
  Bytes ready() const noexcept { return Bytes(buffer_).subspan(begin_, end_ - begin_); }
  void consume(std::size_t count) noexcept { begin_ += count; }
  /// Makes the last `count` consumed bytes, at most most_unread, available again.
  void unread(std::size_t count) noexcept;
  static constexpr std::size_t most_unread = 8;
  /// Reads more bytes when ready() is empty: at least one and, if exact(), at most `limit` (1 or more). Returns false
  /// at the end of the Source.
  bool fill(std::uint64_t limit);
  /// Reads more bytes after the buffered ones. Unless ahead(), these and `limit` more must belong to the format. Reads
  /// at least one and, if exact(), at most `limit`. Returns false at the end of the Source.
  bool extend(std::uint64_t limit);
  /// Only if ahead(): buffers `size` bytes. Returns false if there are fewer.
  bool have(std::size_t size);

  /// Consumes as many bytes as `into` holds. Returns their number, which is smaller only at the end of the Source.
  std::size_t take(MutableBytes into);
  /// Skips `count` bytes. Returns false if the Source ends earlier.
  bool skip(std::uint64_t count);
  /// Moves the Source to `position`, which is or was position(), so that others can continue there. Without random
  /// access it must be position(), and the Source is there unless ahead().
  void settle(std::uint64_t position);

 private:
  enum class Way : std::uint8_t { ahead, peeking, exact };
  static Way way(Source& stored, bool whole);
  std::size_t get(MutableBytes into);
  void take_until(std::uint64_t position);

  Source& stored_;
  const std::size_t most_;
  const bool random_access_;
  const Way way_;
  std::uint64_t taken_ = 0;      // up to the end of the buffered bytes
  std::uint64_t source_at_ = 0;  // when peeking: bytes really consumed
  std::vector<std::byte> buffer_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

/// Reads small pieces of a Source with random access, at ascending or descending offsets, with few calls.
class Peek {
 public:
  static constexpr std::size_t window_size = 4096;

  /// `stored` must outlive this object.
  explicit Peek(const Source& stored);

  std::uint64_t size() const noexcept { return size_; }
  /// `count` bytes, at most window_size, at `offset`. The caller has checked them against size(). Valid until the next
  /// call.
  const std::byte* at(std::uint64_t offset, std::size_t count);

 private:
  const Source& stored_;
  const std::uint64_t size_;
  const Bytes memory_;
  std::vector<std::byte> window_;
  std::uint64_t window_offset_ = 0;
};

}  // namespace stele

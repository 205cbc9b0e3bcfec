#pragma once
// How codecs read compressed files: Intake in order, never past what the format needs; Peek at offsets, for indices.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "stele/codec.hpp"

namespace stele {

/// How many blocks the index of a file of `size` bytes may have, so that it takes at most 4 MiB and an eighth of the
/// file's size. A file of more is read in order.
constexpr std::size_t most_blocks(std::uint64_t size) {
  constexpr std::uint64_t free_bytes = std::uint64_t{4} << 20;
  return static_cast<std::size_t>((free_bytes + size / 8) / sizeof(Block));
}

/// Takes bytes from a compressed Source for a decoder that reads in order, and counts them. Where the Source has random
/// access, it starts at offset 0 and reads ahead, and settle() gives back what was taken too much. Where the `whole`
/// Source is the decoder's, it reads ahead as well. Else it takes no more than it is asked for: where the Source can
/// peek(), it looks ahead and takes what was consumed; where not, it is exact.
class Intake {
 public:
  /// `stored` must outlive it. No read asks for more than `most` bytes.
  Intake(Source& stored, std::size_t most, bool whole);

  /// The offset of the first byte not yet consumed.
  std::uint64_t position() const noexcept { return taken_ - (end_ - begin_); }
  bool random_access() const noexcept { return random_access_; }
  /// Whether there may be more at hand than was asked for.
  bool exact() const noexcept { return way_ == Way::exact; }
  /// Whether extend() may ask for what need not belong to the format.
  bool ahead() const noexcept { return way_ == Way::ahead; }

  /// The bytes at hand.
  Bytes ready() const noexcept { return Bytes(buffer_).subspan(begin_, end_ - begin_); }
  void consume(std::size_t count) noexcept { begin_ += count; }
  /// Makes the last bytes that were consumed, at most most_unread, be at hand again.
  void unread(std::size_t count) noexcept;
  static constexpr std::size_t most_unread = 8;
  /// Gets more bytes, once ready() is empty: at least one and, where it is exact(), at most `limit` (1 or more).
  /// Returns false at the end of the Source.
  bool fill(std::uint64_t limit);
  /// Gets more bytes behind those at hand, which must belong to the format as well as `limit` more, unless ahead(). At
  /// least one and, where it is exact(), at most `limit`. Returns false at the end of the Source.
  bool extend(std::uint64_t limit);
  /// Where it is ahead(): gets `size` bytes at hand. Returns false where there are fewer.
  bool have(std::size_t size);

  /// Consumes as many bytes as `into` holds and returns their number, which is smaller only at the end of the Source.
  std::size_t take(MutableBytes into);
  /// Consumes `count` bytes unseen. Returns false if the Source ends before.
  bool skip(std::uint64_t count);
  /// Makes the Source stand at `position`, which was or is position(), so that others can read on from there. Without
  /// random access it must be position(), and the Source stands there unless it is ahead().
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
  std::uint64_t taken_ = 0;      // up to the end of what is at hand
  std::uint64_t source_at_ = 0;  // when peeking: what was really taken
  std::vector<std::byte> buffer_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

/// Reads small pieces of a Source with random access at offsets that rise, or fall, with few calls.
class Peek {
 public:
  static constexpr std::size_t window_size = 4096;

  /// `stored` must outlive it.
  explicit Peek(const Source& stored);

  std::uint64_t size() const noexcept { return size_; }
  /// `count` bytes, at most window_size, from `offset`; the caller has compared with size(). Valid until the next call.
  const std::byte* at(std::uint64_t offset, std::size_t count);

 private:
  const Source& stored_;
  const std::uint64_t size_;
  const Bytes memory_;
  std::vector<std::byte> window_;
  std::uint64_t window_offset_ = 0;
};

}  // namespace stele

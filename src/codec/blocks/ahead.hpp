#pragma once
// Decodes several blocks at once when a file is read in order and the block headers state the sizes.

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "base/process.hpp"
#include "base/threads/crew.hpp"
#include "base/threads/pool.hpp"
#include "stele/codec.hpp"

namespace stele {

/// Holds the plain bytes of some blocks until they are returned. In a child of fork() it decodes nothing.
class BlocksAhead {
 public:
  // Limits for blocks that are decoded at once, in bytes of Block::plain_size and stored_size.
  static constexpr std::size_t most_plain = std::size_t{96} << 20;
  static constexpr std::size_t most_stored = std::size_t{32} << 20;
  // Enough bytes, plain or stored, if blocks are small.
  static constexpr std::size_t usual_size = std::size_t{4} << 20;

  /// `threads` as in DecodeOptions. `decoder` creates a decoder; it is called for each thread.
  BlocksAhead(unsigned threads, std::function<std::unique_ptr<BlockDecoder>()> decoder);

  /// Whether it decodes. It stops for good at the first block that fails to decode, so that no file makes it decode the
  /// same blocks again and again.
  bool active() const noexcept { return threads_ > 1 && !process_.in_child(); }
  /// Whether another block of this size may be added.
  bool has_room(std::uint64_t plain_size, std::uint64_t stored_size) const noexcept;
  /// Adds a block. Its offset must be after those added so far.
  void add(std::uint64_t plain_size, std::uint64_t stored_size, std::uint64_t check = 0);
  /// The stored size of all blocks that were added.
  std::size_t stored_size() const noexcept;
  /// Decodes the added blocks; `stored` begins with them. Returns the blocks before the first that fails to decode, or
  /// none if there are fewer than two. Pass the same `into` to the next give(): plain bytes may already be there.
  const std::vector<Block>& decode(Bytes stored, MutableBytes into);

  /// Moves plain bytes to `into`. Returns their number, 0 if there are no more.
  std::size_t give(MutableBytes into);
  /// The number of plain bytes left in the block of the last byte returned.
  std::size_t left_of_block() const noexcept;
  /// The number of stored bytes after the block of the last byte returned.
  std::size_t stored_after() const noexcept;
  std::size_t count() const noexcept { return blocks_.size(); }
  void clear() noexcept;

 private:
  std::size_t plain_size() const noexcept;
  const Block* current() const noexcept;

  unsigned threads_;
  const std::function<std::unique_ptr<BlockDecoder>()> make_decoder_;
  ProcessMark process_;
  const ProcessOwned<Crew> crew_;
  Pool<BlockDecoder> decoders_;
  std::vector<Block> blocks_;  // offsets count from the first one
  std::unique_ptr<std::byte[]> plain_;
  std::size_t capacity_ = 0;  // size of plain_
  bool in_place_ = false;     // the plain bytes were decoded into the destination, not into plain_
  std::size_t given_ = 0;
};

}  // namespace stele

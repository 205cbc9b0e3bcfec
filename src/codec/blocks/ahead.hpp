#pragma once
// Blocks of a file that is read in order, where their headers say how long they are: several are decoded at once.

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "base/crew.hpp"
#include "base/pool.hpp"
#include "base/process.hpp"
#include "stele/codec.hpp"

namespace stele {

/// Holds the plain bytes of some blocks until they have been given. A child of fork() decodes none.
class BlocksAhead {
 public:
  // What blocks decoded at once may take, as Block::plain_size and stored_size say.
  static constexpr std::size_t most_plain = std::size_t{96} << 20;
  static constexpr std::size_t most_stored = std::size_t{32} << 20;
  // Enough of small blocks, plain or stored.
  static constexpr std::size_t usual_size = std::size_t{4} << 20;

  /// `threads` as in DecodeOptions. `decoder` makes one for each thread.
  BlocksAhead(unsigned threads, std::function<std::unique_ptr<BlockDecoder>()> decoder);

  /// Whether it decodes. Once it has met a block that does not decode, it does no more, so that no file makes it decode
  /// the same blocks again and again.
  bool active() const noexcept { return threads_ > 1 && !process_.in_child(); }
  /// Whether another block of that size may be added.
  bool has_room(std::uint64_t plain_size, std::uint64_t stored_size) const noexcept;
  /// Adds a block that lies behind those added so far.
  void add(std::uint64_t plain_size, std::uint64_t stored_size, std::uint64_t check = 0);
  /// The stored size of all that was added.
  std::size_t stored_size() const noexcept;
  /// Decodes what was added, which `stored` begins with. What remains are those before the first that does not decode,
  /// or none where there were less than two. The next give() gets the same `into`, where plain bytes may be already.
  const std::vector<Block>& decode(Bytes stored, MutableBytes into);

  /// Moves plain bytes to `into` and returns their number, 0 where there are no more.
  std::size_t give(MutableBytes into);
  /// How many plain bytes of the block of the last byte given are left.
  std::size_t left_of_block() const noexcept;
  /// How many stored bytes lie after the block of the last byte given.
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
  std::vector<Block> blocks_;  // offsets count from the first
  std::unique_ptr<std::byte[]> plain_;
  std::size_t capacity_ = 0;  // of plain_
  bool in_place_ = false;     // they are where they are wanted, not in plain_
  std::size_t given_ = 0;
};

}  // namespace stele

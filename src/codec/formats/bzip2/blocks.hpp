#pragma once
// Decodes the blocks of one bzip2 stream on several threads. A block begins at any bit, with a magic of 48 bits and a
// checksum of 32. Data can look like a magic, so a block counts only after it was decoded and verified.

#if STELE_WITH_BZIP2

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/process.hpp"
#include "base/threads/crew.hpp"
#include "base/threads/pool.hpp"
#include "codec/formats/bzip2/bunzip.hpp"
#include "codec/stream/intake.hpp"

namespace stele::bzip2 {

/// Reads a stream block by block. Each block gets a header and an end and is decoded as a separate stream; it is valid
/// if libbz2 accepts that stream completely. The stream's checksum is computed from those of its blocks. On any
/// mismatch, the stream must be read in order from its start.
class Blocks {
 public:
  enum class Result : std::uint8_t {
    some,       // plain bytes
    ended,      // the whole stream was read and is valid
    not_known,  // must be read in order
  };

  /// `threads` includes the calling thread.
  explicit Blocks(unsigned threads) : threads_(threads), crew_(make_process_owned<Crew>(threads)) {}

  bool active() const noexcept { return threads_ > 1 && !process_.in_child(); }
  /// Begins a stream of this level; its header of four bytes was consumed from `in`.
  void begin(std::byte level);
  /// Returns plain bytes and adds their number to `made`.
  Result read(Intake& in, MutableBytes into, std::size_t& made);

 private:
  static constexpr std::size_t most_at_once = 16;                   // blocks
  static constexpr std::size_t most_stored = std::size_t{5} << 19;  // per block: 900,000 codes of at most 20 bits
  static constexpr std::size_t most_plain = std::size_t{2} << 20;   // per block that is decoded in parallel

  enum class State : std::uint8_t { waiting, good, large, bad };
  struct Block {
    std::vector<std::byte> stream;  // the stream made of it
    std::uint32_t crc = 0;
    State state = State::waiting;
    std::vector<std::byte> plain;
  };

  bool take(Intake& in);
  void add(Bytes bytes, std::size_t begin, std::size_t end);
  void decode(Block& block);

  const unsigned threads_;
  ProcessMark process_;
  const ProcessOwned<Crew> crew_;
  Pool<Bunzip> bunzips_;
  std::byte level_{};
  std::size_t begin_ = 0;   // where the next block begins, in bits of the buffered bytes
  std::size_t looked_ = 0;  // bits after it that contain no magic
  bool found_last_ = false;
  std::uint32_t crc_ = 0;         // of the blocks returned so far
  std::uint32_t stated_crc_ = 0;  // of the stream, if found_last_
  std::vector<Block> blocks_;
  std::size_t count_ = 0;           // used elements of blocks_
  std::size_t current_ = 0;         // the next one to return
  std::size_t given_ = 0;           // bytes of it already returned
  std::unique_ptr<Bunzip> bunzip_;  // decodes a large block
  std::size_t used_ = 0;            // consumed bytes of its stream
};

}  // namespace stele::bzip2

#endif  // STELE_WITH_BZIP2

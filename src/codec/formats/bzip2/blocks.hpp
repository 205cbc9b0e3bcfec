#pragma once
// The blocks of one bzip2 stream, decoded on several threads. They begin at any bit, with a magic of 48 bits and a
// checksum of 32. What looks like a magic can be data, so what is found is only good once it has proved to be.

#if STELE_WITH_BZIP2

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/crew.hpp"
#include "base/pool.hpp"
#include "base/process.hpp"
#include "codec/formats/bzip2/bunzip.hpp"
#include "codec/stream/intake.hpp"

namespace stele::bzip2 {

/// Reads a stream by its blocks. Each is decoded as a stream of its own, which it is made by a header and an end; so it
/// is good if it is one that libbz2 knows and takes as a whole. The checksum of the stream is made of those of its
/// blocks. Whatever is not as it should be, the stream is to be read in order from its start.
class Blocks {
 public:
  enum class Result : std::uint8_t {
    some,       // plain bytes
    ended,      // the whole stream is taken and good
    not_known,  // to be read in order
  };

  /// `threads` counts the calling one.
  explicit Blocks(unsigned threads) : threads_(threads), crew_(make_process_owned<Crew>(threads)) {}

  bool active() const noexcept { return threads_ > 1 && !process_.in_child(); }
  /// A stream of that level begins, of which `in` has given the header of four bytes.
  void begin(std::byte level);
  /// Gives plain bytes and counts them in `made`.
  Result read(Intake& in, MutableBytes into, std::size_t& made);

 private:
  static constexpr std::size_t most_at_once = 16;                   // blocks
  static constexpr std::size_t most_stored = std::size_t{5} << 19;  // of a block: 900,000 codes of at most 20 bits
  static constexpr std::size_t most_plain = std::size_t{2} << 20;   // of a block that is decoded beside others

  enum class State : std::uint8_t { waiting, good, large, bad };
  struct Block {
    std::vector<std::byte> stream;  // made of it
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
  std::size_t begin_ = 0;   // of the next block: bits in what is at hand
  std::size_t looked_ = 0;  // bits behind it in which there is no magic
  bool found_last_ = false;
  std::uint32_t crc_ = 0;         // of the blocks given
  std::uint32_t stated_crc_ = 0;  // of the stream, where found_last_
  std::vector<Block> blocks_;
  std::size_t count_ = 0;           // of blocks_ in use
  std::size_t current_ = 0;         // of those, to be given
  std::size_t given_ = 0;           // of its plain bytes
  std::unique_ptr<Bunzip> bunzip_;  // of a large one
  std::size_t used_ = 0;            // of its stream
};

}  // namespace stele::bzip2

#endif  // STELE_WITH_BZIP2

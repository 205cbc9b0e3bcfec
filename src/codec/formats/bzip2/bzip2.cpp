// bzip2. A file written by stele is a sequence of streams with one block each, as pbzip2 writes them. All but the last
// have the same plain size, because the format has no field for sizes. A stream begins at a whole byte with
//
//   'B' 'Z' 'h'  level '1' to '9'  314159265359 (BCD, the magic of a block)
//
// so a reader finds the streams by searching for these bytes.

#if STELE_WITH_BZIP2

#include <string.h>

#include <algorithm>
#include <array>
#include <limits>
#include <memory>
#include <string>

#include "base/bytes.hpp"
#include "base/threads/threads.hpp"
#include "codec/builtin.hpp"
#include "codec/formats/bzip2/blocks.hpp"
#include "codec/formats/bzip2/bunzip.hpp"
#include "codec/stream/intake.hpp"
#include "codec/stream/streams.hpp"
#include "stele/error.hpp"

namespace stele {
namespace {

using namespace bzip2;

// So that a block of any usual data fits one bzip2 block, which holds 100,000 bytes per level, less 19.
constexpr std::size_t block_per_level = std::size_t{96} << 10;

constexpr std::size_t least_stream_size = 14;       // a stream without blocks
constexpr std::size_t least_full_stream_size = 32;  // a stream with a block: about 36 bytes

std::uint64_t load_magic(const std::byte* from) {
  return std::uint64_t{load_be<std::uint16_t>(from)} << 32 | load_be<std::uint32_t>(from + 2);
}

/// Whether four bytes are the header of a stream.
bool is_header(const std::byte* bytes) {
  return bytes[0] == std::byte{'B'} && bytes[1] == std::byte{'Z'} && bytes[2] == std::byte{'h'} &&
         bytes[3] >= std::byte{'1'} && bytes[3] <= std::byte{'9'};
}

/// Decodes one or more complete streams, with nothing after them, and counts their plain bytes; stops after `most`.
/// Bytes from number n on are written to room(n), which is never empty.
/// Throws: Error(damaged).
template <class Room>
std::size_t decode_streams(Bunzip& bunzip, Bytes stored, std::size_t most, const Room& room) {
  std::size_t made = 0;
  do {
    bunzip.begin();
    for (Step step; !step.ended && made <= most;) {
      step = bunzip.step(stored, room(made));
      stored = stored.subspan(step.used);
      made += step.made;
      if (step.used == 0 && step.made == 0 && !step.ended) {
        fail(Errc::damaged, "it does not end where the next begins");
      }
    }
  } while (!stored.empty() && made <= most);
  return made;
}

class Bzip2Encoder final : public BlockEncoder {
 public:
  explicit Bzip2Encoder(int level) : level_(level) {}

  std::uint64_t encode(Bytes plain, std::vector<std::byte>& out) override {
    constexpr std::size_t most = std::size_t{1} << 30;
    if (plain.size() > most) {
      fail(Errc::invalid_argument, "a bzip2 block of " + std::to_string(plain.size()) + " bytes; 1 GiB is the most");
    }
    const std::size_t start = out.size();
    auto size = static_cast<unsigned>(plain.size() + plain.size() / 100 + 600);  // the bound of bzip2's manual
    out.resize(start + size);
    const std::byte none{};  // bzip2 does not accept a null pointer
    const int result =
        BZ2_bzBuffToBuffCompress(chars(out.data() + start), &size, chars(plain.empty() ? &none : plain.data()),
                                 static_cast<unsigned>(plain.size()), level_, 0, 0);
    if (result == BZ_MEM_ERROR) {
      fail(Errc::limit_exceeded, "bzip2: no memory for a compressor");
    }
    if (result != BZ_OK) {
      fail(Errc::io, "bzip2: the library cannot compress a block (" + std::to_string(result) + ")");
    }
    out.resize(start + size);
    return 0;
  }

 private:
  const int level_;
};

/// A block is the bytes from one magic to the next, so empty streams may follow in it.
class Bzip2Decoder final : public BlockDecoder {
 public:
  void decode(const Block& /*block*/, Bytes stored, MutableBytes plain) override {
    std::byte spare{};  // a full output does not show whether the stream has ended
    const auto room = [&](std::size_t at) { return at < plain.size() ? plain.subspan(at) : MutableBytes(&spare, 1); };
    if (decode_streams(bunzip_, stored, plain.size(), room) != plain.size()) {
      fail(Errc::damaged, "not " + std::to_string(plain.size()) + " bytes");
    }
  }

 private:
  Bunzip bunzip_;
};

constexpr unsigned end_magic_bits = 48;
constexpr unsigned end_check_bits = 32;

/// Whether the magic of an end can begin inside another one and end within the checksum after that.
constexpr bool end_overlaps_end() {
  for (unsigned distance = 1; distance <= end_check_bits; ++distance) {
    if (end_magic >> distance == (end_magic & ((std::uint64_t{1} << (end_magic_bits - distance)) - 1))) {
      return true;
    }
  }
  return false;
}
static_assert(!end_overlaps_end(), "StreamEnd knows of one at a time");

/// Computes a lower bound of the bytes left in a stream from the bytes seen: the stream ends with a magic of 48 bits,
/// which begins at any bit, and a checksum of 32.
class StreamEnd {
 public:
  void begin() { *this = {}; }

  void see(Bytes bytes) {
    for (std::byte byte : bytes) {
      for (int bit = 7; bit >= 0; --bit) {
        last_ = (last_ << 1 | (std::to_integer<std::uint64_t>(byte) >> bit & 1)) &
                ((std::uint64_t{1} << end_magic_bits) - 1);
        ++seen_;
        if (last_ == end_magic && seen_ >= end_magic_bits) {
          end_ = seen_ + end_check_bits;
        }
      }
    }
  }

  /// The minimum number of bytes to come if the stream has not ended: up to the end that seems to have begun (data can
  /// look like one), or else up to the earliest possible end.
  std::uint64_t to_come() const {
    std::uint64_t end = end_;
    if (end <= seen_) {
      unsigned begun = end_magic_bits - 1;
      while (begun > 0 &&
             (seen_ < begun || (last_ & ((std::uint64_t{1} << begun) - 1)) != end_magic >> (end_magic_bits - begun))) {
        --begun;
      }
      end = seen_ - begun + end_magic_bits + end_check_bits;
    }
    return (end + 7) / 8 - seen_ / 8;
  }

 private:
  std::uint64_t last_ = 0;  // bits
  std::uint64_t seen_ = 0;  // bits
  std::uint64_t end_ = 0;   // in bits, where an end seems to have begun
};

/// Reads streams in order. If the Source cannot go back, it reads about ten bytes at a time.
class Bzip2Source final : public StreamsSource {
 public:
  Bzip2Source(Source& stored, const DecodeOptions& options)
      : StreamsSource(stored, "bzip2", "stream", options.whole), blocks_(thread_count(options.threads)) {
    decoder_.watching = in_.exact();
  }

 private:
  bool begin() override {
    if (begin_blocks()) {
      return true;
    }
    const bool first = at_start();
    std::array<std::byte, least_stream_size> start{};
    const std::size_t count = in_.take(start);
    if (count == 0) {
      if (first) {
        ended_early();
      }
      return false;
    }
    if (!first && start[0] == std::byte{0}) {
      skip_zeros(Bytes(start).first(count));
      return false;
    }
    constexpr std::string_view letters = "BZh";
    for (std::size_t i = 0; i < std::min(count, letters.size()); ++i) {
      if (start[i] != static_cast<std::byte>(letters[i])) {
        not_a_stream();
      }
    }
    if (count < start.size()) {
      ended_early();
    }
    std::byte none{};  // there are no plain bytes this early
    ended_ = guarded([&] {
      decoder_.begin();
      return decoder_.step(start, {&none, 1}).ended;
    });
    return true;
  }

  std::size_t decode(MutableBytes into) override {
    if (by_blocks_) {
      std::size_t made = 0;
      switch (blocks_.read(in_, into, made)) {
        case Blocks::Result::some:
          given_ += made;
          return made;
        case Blocks::Result::ended:
          by_blocks_ = false;
          ended_ = true;
          break;
        case Blocks::Result::not_known:
          begin_again();
      }
    }
    if (ended_) {
      return 0;
    }
    const Step step = advance(decoder_, into, [this] { return decoder_.end.to_come(); });
    ended_ = step.ended;
    return step.made;
  }

  /// Begins a stream that is decoded on several threads, if the Source can be read again.
  bool begin_blocks() {
    if (!try_blocks_ || !in_.random_access() || !blocks_.active() || !in_.have(least_stream_size)) {
      return false;
    }
    const std::byte* start = in_.ready().data();
    if (!is_header(start) || load_magic(start + header_size) != block_magic) {
      return false;
    }
    stream_at_ = in_.position();
    given_ = 0;
    by_blocks_ = true;
    ended_ = false;
    blocks_.begin(start[header_size - 1]);
    in_.consume(header_size);
    return true;
  }

  /// Begins the stream again in order and skips the bytes that were returned. The rest of the stream is read in order.
  void begin_again() {
    by_blocks_ = false;
    try_blocks_ = false;
    in_.settle(stream_at_);
    begin();
    std::vector<std::byte> scratch(std::size_t{64} << 10);
    while (given_ > 0 && !ended_) {
      const auto piece =
          MutableBytes(scratch).first(static_cast<std::size_t>(std::min<std::uint64_t>(given_, scratch.size())));
      given_ -= decode(piece);
    }
  }

  void skip_zeros(Bytes bytes) {
    const auto check = [this](Bytes part) {
      if (std::any_of(part.begin(), part.end(), [](std::byte b) { return b != std::byte{0}; })) {
        not_a_stream();
      }
    };
    check(bytes);
    do {
      check(in_.ready());
      in_.consume(in_.ready().size());
    } while (in_.fill(std::numeric_limits<std::uint64_t>::max()));
  }

  struct Watched {
    void begin() {
      bunzip.begin();
      end.begin();
    }
    Step step(Bytes in, MutableBytes out) {
      const Step step = bunzip.step(in, out);
      if (watching) {
        end.see(in.first(step.used));
      }
      return step;
    }
    Bunzip bunzip;
    StreamEnd end;
    bool watching = false;
  };

  Watched decoder_;
  bool ended_ = false;
  Blocks blocks_;
  bool try_blocks_ = true;
  bool by_blocks_ = false;
  std::uint64_t stream_at_ = 0;  // by_blocks_: where the stream begins
  std::uint64_t given_ = 0;      // plain bytes of it that were returned
};

// A larger stream is not treated as a block.
constexpr std::size_t most_plain_size = std::size_t{16} << 20;
constexpr std::size_t most_stored_size = std::size_t{17} << 20;

/// Finds positions where streams seem to begin. Data can look like a start.
class StreamStarts {
 public:
  /// The places of the streams in the file, from its start to its end; nothing if they cannot all be blocks.
  static std::optional<std::vector<Block>> in(const Source& stored, std::uint64_t size) {
    StreamStarts starts;
    const Bytes memory = stored.memory();
    constexpr std::size_t overlap = header_size + magic_size - 1;
    constexpr std::size_t window_size = std::size_t{1} << 20;
    std::vector<std::byte> window;
    for (std::uint64_t offset = 0; offset + overlap < size; offset += window_size - overlap) {
      const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(window_size, size - offset));
      if (memory.empty()) {
        window.resize(count);
        stored.read_at(offset, window);
      }
      if (starts.streams_.size() > most_blocks(size) ||
          !starts.scan(memory.empty() ? Bytes(window) : memory.subspan(static_cast<std::size_t>(offset), count),
                       offset)) {
        return std::nullopt;
      }
    }
    return starts.end(size) ? std::optional(std::move(starts.streams_)) : std::nullopt;
  }

 private:
  bool scan(Bytes window, std::uint64_t offset) {
    static constexpr std::string_view magic = "1AY&SY";  // block_magic as text
    while (const void* found = ::memmem(window.data(), window.size(), magic.data(), magic.size())) {
      const auto at = static_cast<std::size_t>(static_cast<const std::byte*>(found) - window.data());
      if (at >= header_size && is_header(window.data() + at - header_size) && !start(offset + at - header_size)) {
        return false;
      }
      window = window.subspan(at + 1);
      offset += at + 1;
    }
    return !streams_.empty() && offset + window.size() - streams_.back().stored_offset <= most_stored_size;
  }

  bool start(std::uint64_t offset) {
    if (streams_.empty() ? offset != 0 : !end(offset)) {
      return false;
    }
    streams_.push_back({.stored_offset = offset});
    return true;
  }

  /// Ends the last stream. Returns whether it is long enough to be one.
  bool end(std::uint64_t offset) {
    if (streams_.empty()) {
      return false;
    }
    Block& last = streams_.back();
    last.stored_size = offset - last.stored_offset;
    return last.stored_size >= least_full_stream_size && last.stored_size <= most_stored_size;
  }

  std::vector<Block> streams_;
};

/// Decodes a block to get its plain size; nothing if it is damaged or too large.
std::optional<std::size_t> measure(const Source& stored, const Block& block) {
  std::vector<std::byte> bytes(static_cast<std::size_t>(block.stored_size));
  stored.read_at(block.stored_offset, bytes);
  Bunzip bunzip;
  std::vector<std::byte> scratch(std::size_t{64} << 10);
  try {
    const std::size_t size =
        decode_streams(bunzip, bytes, most_plain_size, [&](std::size_t /*at*/) { return MutableBytes(scratch); });
    return size <= most_plain_size ? std::optional(size) : std::nullopt;
  } catch (const Error&) {
    return std::nullopt;  // reading in order reports the error
  }
}

class Bzip2 final : public Codec {
 public:
  std::string_view name() const noexcept override { return "bzip2"; }
  std::span<const std::string_view> extensions() const noexcept override {
    static constexpr std::array<std::string_view, 2> list = {".bz2", ".bzip2"};
    return list;
  }
  bool recognises(Bytes first) const noexcept override {
    if (first.size() < header_size + magic_size || !is_header(first.data())) {
      return false;
    }
    const std::uint64_t magic = load_magic(first.data() + header_size);
    return magic == block_magic || magic == end_magic;
  }
  LevelRange levels() const noexcept override { return {.lowest = 1, .highest = 9, .standard = 9}; }
  std::string library() const override {
    const std::string version = BZ2_bzlibVersion();  // for example "1.0.8, 13-Jul-2019"
    return "bzip2 " + version.substr(0, version.find(','));
  }

  std::size_t block_size(int level) const noexcept override {
    return static_cast<std::size_t>(level) * block_per_level;
  }
  bool fixed_blocks() const noexcept override { return true; }
  std::unique_ptr<BlockEncoder> encoder(int level) const override { return std::make_unique<Bzip2Encoder>(level); }
  std::unique_ptr<BlockDecoder> decoder(const DecodeOptions& /*options*/) const override {
    return std::make_unique<Bzip2Decoder>();
  }

  void epilogue(std::span<const Block> blocks, std::vector<std::byte>& out) const override {
    if (blocks.empty()) {
      Bzip2Encoder(levels().standard).encode({}, out);
    }
  }

  /// A file of one stream is read in order, so it is decoded once. For others, the first and the last stream are
  /// decoded.
  std::optional<BlockIndex> index(const Source& stored) const override {
    auto blocks = StreamStarts::in(stored, stored.size().value_or(0));
    if (!blocks || blocks->size() < 2) {
      return std::nullopt;
    }
    const auto first = measure(stored, blocks->front());
    const auto last = first ? measure(stored, blocks->back()) : std::nullopt;
    if (!last) {
      return std::nullopt;
    }
    std::uint64_t plain = 0;
    for (Block& block : *blocks) {
      block.plain_offset = plain;
      block.plain_size = *first;
      plain += *first;
    }
    blocks->back().plain_size = *last;
    const bool certain = blocks->size() == 2;
    return BlockIndex{std::move(*blocks), certain};
  }

  std::unique_ptr<Source> in_order(Source& stored, const DecodeOptions& options) const override {
    return std::make_unique<Bzip2Source>(stored, options);
  }
};

}  // namespace

std::shared_ptr<const Codec> bzip2_codec() { return std::make_shared<Bzip2>(); }

}  // namespace stele

#endif  // STELE_WITH_BZIP2

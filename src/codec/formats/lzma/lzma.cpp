// The legacy .lzma format ("LZMA_Alone"): a header of 13 bytes and one range-coded stream. It has no blocks and no
// checksum.
//
//   u8 properties  u32 size of the dictionary  u64 plain size, or all ones if a mark ends the data  (little-endian)

#if STELE_WITH_LIBLZMA

#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <memory>
#include <string>
#include <utility>

#include "base/bytes.hpp"
#include "codec/builtin.hpp"
#include "codec/formats/lzma/coder.hpp"
#include "codec/stream/streams.hpp"
#include "stele/error.hpp"

namespace stele {
namespace {

constexpr std::size_t header_size = 13;
constexpr unsigned range_coder_size = 5;   // bytes before the first symbol
constexpr std::size_t size_at = 5;         // in the header
constexpr std::size_t most_end_size = 32;  // of an end mark: about 13 bytes

/// Whether a file begins with a header that liblzma or the LZMA SDK would write: dictionary sizes are a power of two or
/// one and a half times that, plain sizes are under 256 GiB, and the range coder begins with a zero.
bool is_header(Bytes first) {
  constexpr std::size_t least = 12;
  if (first.size() < least) {
    return false;
  }
  const auto properties = std::to_integer<unsigned>(first[0]);
  const unsigned literal_bits = properties % 9 + properties / 9 % 5;  // lc + lp
  if (properties >= 9 * 5 * 5 || literal_bits > 4) {
    return false;
  }
  const auto dictionary = load_le<std::uint32_t>(first.data() + 1);
  const std::uint32_t rest = dictionary & (dictionary - 1);  // without the lowest bit
  const bool usual = std::has_single_bit(dictionary) ||
                     (std::has_single_bit(rest) && rest >> 1 == (dictionary ^ rest)) ||
                     dictionary == std::numeric_limits<std::uint32_t>::max();
  if (!usual || dictionary < 4096) {
    return false;
  }
  std::array<std::byte, 8> size{};
  const Bytes stored = first.subspan(5, std::min(size.size(), first.size() - 5));
  const bool unknown = std::all_of(stored.begin(), stored.end(), [](std::byte b) { return b == std::byte{0xff}; });
  std::copy(stored.begin(), stored.end(), size.begin());
  if (!unknown && load_le<std::uint64_t>(size.data()) >= std::uint64_t{1} << 38) {
    return false;
  }
  return first.size() <= header_size || first[header_size] == std::byte{0};
}

/// Compresses in order.
class LzmaSink final : public Sink {
 public:
  LzmaSink(Sink& to, int level) : to_(to) {
    const lzma_options_lzma options = lzma_level(level);
    if (const lzma_ret result = lzma_alone_encoder(coder_.get(), &options); result != LZMA_OK) {
      fail_lzma(result);
    }
  }

  void write(Bytes bytes) override {
    enter();
    while (!bytes.empty()) {
      bytes = bytes.subspan(step(bytes, LZMA_RUN).used);
    }
    state_ = State::open;
  }

  void close() override {
    enter();
    while (!step({}, LZMA_FINISH).ended) {
    }
    to_.write(Bytes(out_).first(made_));
    state_ = State::closed;
  }

 private:
  enum class State : std::uint8_t { open, failed, closed };

  // A call counts as failed until it returns, so that nothing follows a call that threw.
  void enter() {
    if (state_ != State::open) {
      fail(Errc::io, state_ == State::closed ? "a write to compressed output that is closed"
                                             : "compressed output is incomplete, as an earlier write has failed");
    }
    state_ = State::failed;
  }

  Step step(Bytes in, lzma_action action) {
    if (made_ == out_.size()) {
      to_.write(out_);
      made_ = 0;
    }
    const Step step = coder_.step(in, MutableBytes(out_).subspan(made_), action);
    made_ += step.made;
    return step;
  }

  Sink& to_;
  LzmaCoder coder_;
  std::vector<std::byte> out_ = std::vector<std::byte>(std::size_t{64} << 10);
  std::size_t made_ = 0;  // bytes in out_
  State state_ = State::open;
};

/// Decodes a stream. If `careful`, it consumes one byte at a time, so that it knows how many must still come. A stream
/// of unknown size ends with a match of an impossible distance. Its 26 direct bits alone make the range coder read
/// three bytes, and if the last byte completed a symbol, none of them has been read yet.
///
/// A stream of known size may have this end mark as well. liblzma 5.4 recognises it there only if it gets it at once,
/// so a second decoder, which is not told the size, follows the first.
class LzmaDecoder {
 public:
  /// `exact`: other data may follow the last bytes it gets; `ahead`: never.
  LzmaDecoder(bool exact, bool ahead) : exact_(exact), ahead_(ahead) {}

  void begin(Bytes header, std::uint64_t memory_limit) {
    begin(coder_, header, memory_limit);
    left_ = load_le<std::uint64_t>(header.data() + size_at);
    size_is_stated_ = left_ != std::numeric_limits<std::uint64_t>::max();
    careful_ = exact_ || (size_is_stated_ && !ahead_);
    if (careful_ && size_is_stated_) {
      std::array<std::byte, header_size> open{};
      std::copy_n(header.begin(), size_at, open.begin());
      std::fill(open.begin() + size_at, open.end(), std::byte{0xff});
      begin(follower_, open, memory_limit);
    }
    between_symbols_ = false;
    at_end_mark_ = false;
    taken_ = 0;
  }

  Step step(Bytes in, MutableBytes out) {
    if (!careful_) {
      return coder_.step(in, out);
    }
    if (at_end_mark_) {
      return follow(in.first(std::min<std::size_t>(in.size(), 1)), 1);
    }
    out = out.first(std::min(out.size(), scratch_.size()));
    Step step = step_both({}, out);  // output from earlier input
    if (step.made == 0 && !step.ended && !in.empty()) {
      at_end_mark_ = at_end() && taken_ == range_coder_size;
      taken_ = std::min(taken_ + 1, range_coder_size);
      step = step_both(in.first(1), out);
      between_symbols_ = false;
    }
    between_symbols_ = between_symbols_ || step.made > 0;
    return step;
  }

  bool size_is_stated() const { return size_is_stated_; }
  std::uint64_t to_come() const { return between_symbols_ && !size_is_stated_ ? 3 : 1; }

 private:
  static void begin(LzmaCoder& coder, Bytes header, std::uint64_t memory_limit) {
    if (const lzma_ret result = lzma_alone_decoder(coder.get(), memory_limit); result != LZMA_OK) {
      fail_lzma(result);
    }
    std::byte none{};  // a header gives no plain bytes
    coder.step(header, {&none, 1});
  }

  /// Whether all plain bytes were decoded: the stream has ended, needs one more byte to end, or has an end mark.
  bool at_end() const { return size_is_stated_ && left_ == 0; }

  Step step_both(Bytes in, MutableBytes out) {
    const Step step = coder_.step(in, out);
    if (size_is_stated_ && !step.ended) {
      if (!at_end()) {
        follow(in, static_cast<std::size_t>(std::min<std::uint64_t>(out.size(), left_)));
      } else if (!in.empty()) {
        follow(in, 1);
      }
      left_ -= step.made;
    }
    return step;
  }

  /// Runs the follower up to the output of the first decoder.
  Step follow(Bytes in, std::size_t room) {
    const Step step = follower_.step(in, MutableBytes(scratch_).first(room));
    if (step.made > 0 && at_end()) {
      fail_lzma(LZMA_DATA_ERROR);
    }
    return step;
  }

  LzmaCoder coder_;
  LzmaCoder follower_;
  std::array<std::byte, 4096> scratch_{};  // receives the plain bytes of the follower
  const bool exact_;
  const bool ahead_;
  bool careful_ = false;
  bool size_is_stated_ = false;
  std::uint64_t left_ = 0;  // plain bytes, if their number is known
  unsigned taken_ = 0;      // of the initial bytes of the range coder
  bool between_symbols_ = false;
  bool at_end_mark_ = false;
};

/// Reads streams in order. Their length is not stated, so when reads must be exact it reads one to three bytes at a
/// time.
class LzmaSource final : public StreamsSource {
 public:
  LzmaSource(Source& stored, const DecodeOptions& options)
      : StreamsSource(stored, "lzma", "stream", options.whole),
        memory_limit_(lzma_memory_limit(options.window)),
        decoder_(in_.exact(), in_.ahead()) {}

 private:
  bool begin() override {
    const bool first = at_start();
    std::array<std::byte, header_size> header{};
    const std::size_t count = in_.take(header);
    if (count == 0 && !first) {
      return false;
    }
    if (count < header.size()) {
      if (!first) {
        not_a_stream();
      }
      ended_early();
    }
    if (!is_header(header)) {
      not_a_stream();
    }
    guarded([&] { decoder_.begin(header, memory_limit_); });
    ended_ = false;
    return true;
  }

  std::size_t decode(MutableBytes into) override {
    if (ended_) {
      return 0;
    }
    const Step step = decoder_.size_is_stated() && in_.ahead()
                          ? advance_to_end(into)
                          : advance(decoder_, into, [this] { return decoder_.to_come(); });
    ended_ = step.ended;
    return step.made;
  }

  /// As advance(), but passes the last bytes of the input to the decoder at once.
  Step advance_to_end(MutableBytes into) {
    while (true) {
      while (in_.ready().size() < 2 * most_end_size && in_.extend(1)) {
      }
      Bytes piece = in_.ready();
      if (piece.size() >= 2 * most_end_size) {
        piece = piece.first(piece.size() - most_end_size);
      }
      const Step step = guarded([&] { return decoder_.step(piece, into); });
      in_.consume(step.used);
      if (step.made > 0 || step.ended) {
        return step;
      }
      if (piece.empty()) {
        ended_early();
      }
      if (step.used == 0) {
        failed(Errc::damaged, "its data cannot be decoded further");
      }
    }
  }

  const std::uint64_t memory_limit_;
  LzmaDecoder decoder_;
  bool ended_ = false;
};

class Lzma final : public Codec {
 public:
  std::string_view name() const noexcept override { return "lzma"; }
  std::span<const std::string_view> extensions() const noexcept override {
    static constexpr std::array<std::string_view, 1> list = {".lzma"};
    return list;
  }
  bool recognises(Bytes first) const noexcept override { return is_header(first); }
  LevelRange levels() const noexcept override { return {.lowest = 0, .highest = 9, .standard = 6}; }
  std::string library() const override { return liblzma_text(); }

  std::size_t block_size(int /*level*/) const noexcept override { return std::size_t{64} << 10; }
  std::unique_ptr<BlockEncoder> encoder(int /*level*/) const override { no_blocks(); }
  std::unique_ptr<BlockDecoder> decoder(const DecodeOptions& /*options*/) const override { no_blocks(); }

  std::unique_ptr<Sink> in_order_sink(Sink& to, int level) const override {
    return std::make_unique<LzmaSink>(to, level);
  }
  std::optional<BlockIndex> index(const Source& /*stored*/) const override { return std::nullopt; }
  std::unique_ptr<Source> in_order(Source& stored, const DecodeOptions& options) const override {
    return std::make_unique<LzmaSource>(stored, options);
  }

 private:
  [[noreturn]] static void no_blocks() { fail(Errc::unsupported, "lzma has no blocks"); }
};

}  // namespace

std::shared_ptr<const Codec> lzma_codec() { return std::make_shared<Lzma>(); }

}  // namespace stele

#endif  // STELE_WITH_LIBLZMA

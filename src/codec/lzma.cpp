// The legacy .lzma format ("LZMA_Alone"): a header of 13 bytes and one range-coded stream. It has no blocks and no
// checksum.
//
//   u8 properties  u32 size of the dictionary  u64 plain size, or all ones where a mark ends the data  (little-endian)

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
#include "codec/lzma_coder.hpp"
#include "codec/streams.hpp"
#include "stele/error.hpp"

namespace stele {
namespace {

constexpr std::size_t header_size = 13;

/// Whether the first bytes of a file are a header that liblzma or the LZMA SDK would write: sizes of dictionaries are a
/// power of two or one and a half, plain sizes under 256 GiB, and the range coder begins with a zero.
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

  // Until a call is through, it counts as failed, so that nothing follows one that an exception has left.
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
  std::size_t made_ = 0;  // bytes of out_
  State state_ = State::open;
};

/// Decodes a stream. Where it is `careful`, it takes one byte at a time, so that it knows how many must still come: a
/// stream of unstated size ends with a match of an impossible distance, whose 26 direct bits alone make the range coder
/// take three bytes; and where the last byte completed a symbol, that match has not taken any of them yet.
class LzmaDecoder {
 public:
  explicit LzmaDecoder(bool careful) : careful_(careful) {}

  void begin(Bytes header, std::uint64_t memory_limit) {
    if (const lzma_ret result = lzma_alone_decoder(coder_.get(), memory_limit); result != LZMA_OK) {
      fail_lzma(result);
    }
    size_is_stated_ = std::any_of(header.begin() + 5, header.end(), [](std::byte b) { return b != std::byte{0xff}; });
    between_symbols_ = false;
    std::byte none{};  // from a header, no plain bytes come
    coder_.step(header, {&none, 1});
  }

  Step step(Bytes in, MutableBytes out) {
    if (!careful_) {
      return coder_.step(in, out);
    }
    Step step = coder_.step({}, out);  // what the bytes before still give
    if (step.made == 0 && !step.ended && !in.empty()) {
      step = coder_.step(in.first(1), out);
      between_symbols_ = false;
    }
    between_symbols_ = between_symbols_ || step.made > 0;
    return step;
  }

  std::uint64_t to_come() const { return between_symbols_ && !size_is_stated_ ? 3 : 1; }

 private:
  LzmaCoder coder_;
  const bool careful_;
  bool size_is_stated_ = false;
  bool between_symbols_ = false;
};

/// Reads streams in order. Nothing says how long one is: where the Source cannot go back, it takes one to three bytes
/// at a time. (So liblzma 5.4 takes a file of stated size that marks its end as well for damaged; no common tool writes
/// one.)
class LzmaSource final : public StreamsSource {
 public:
  LzmaSource(Source& stored, std::uint64_t window)
      : StreamsSource(stored, "lzma"), memory_limit_(lzma_memory_limit(window)), decoder_(!in_.random_access()) {}

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
    const Step step = advance(decoder_, into, [this] { return decoder_.to_come(); });
    ended_ = step.ended;
    return step.made;
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
    return std::make_unique<LzmaSource>(stored, options.window);
  }

 private:
  [[noreturn]] static void no_blocks() { fail(Errc::unsupported, "lzma has no blocks"); }
};

}  // namespace

std::shared_ptr<const Codec> lzma_codec() { return std::make_shared<Lzma>(); }

}  // namespace stele

#endif  // STELE_WITH_LIBLZMA

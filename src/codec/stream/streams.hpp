#pragma once
// Reads compressed files in order. A file is a series of streams; a format may call them members, frames or files.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "codec/stream/intake.hpp"
#include "stele/error.hpp"
#include "stele/io.hpp"

namespace stele {

/// The result of one call of a decompressor. Unless it has ended, it leaves room in the output only if it needs input.
struct Step {
  std::size_t used = 0;  // stored bytes consumed
  std::size_t made = 0;  // plain bytes produced
  bool ended = false;    // the stream is complete
};

/// Reads streams in order. A format derives from it and defines how a stream begins, continues and ends. After an
/// error, nothing more can be read.
class StreamsSource : public Source {
 public:
  /// Returns as soon as there are plain bytes.
  std::size_t read(MutableBytes into) final;
  /// Reads the rest of the stream that the last read() was in; before the first read(), the first stream. Returns 0
  /// once that stream has ended: then all of it was read and checked, including the block table of its archive, and the
  /// compressed Source is at its end.
  std::size_t read_rest(MutableBytes into);
  /// Throws: Error(damaged) if read_rest() would not return 0.
  void finish() final;

 protected:
  /// `format` is the format's name and `unit` its word for a stream, both for messages. They and `stored` must outlive
  /// this object. `piece` is the maximum number of bytes read at a time.
  StreamsSource(Source& stored, std::string_view format, std::string_view unit, bool whole,
                std::size_t piece = std::size_t{64} << 10);

  /// Reads the start of the next stream. At the end of the input, returns false after reading optional padding.
  virtual bool begin() = 0;
  /// Decodes at least one byte into `into`, which is not empty. Returns 0 at the end of the stream; then all of the
  /// stream was consumed and nothing after it.
  virtual std::size_t decode(MutableBytes into) = 0;
  /// decode() for a format that decodes several streams at once: ends at the end of the stream that was read last.
  virtual std::size_t decode_rest(MutableBytes into) { return decode(into); }
  /// Called between streams when no more is wanted. Reads and checks what belongs to the previous streams and moves the
  /// compressed Source to their end. Returns true if another stream follows and had to be begun to find out.
  virtual bool settle();

  /// Calls `action`; adds the current stream to the message of an Error.
  template <class Action>
  auto guarded(const Action& action) const {
    try {
      return action();
    } catch (const Error& error) {
      failed(error.code(), error.message());
    }
  }

  /// Runs `coder` until it has produced plain bytes or ended. When it needs input, at least `to_come()` bytes (1 or
  /// more) must still come before the stream can end; that many are read.
  template <class Coder, class ToCome>
  Step advance(Coder& coder, MutableBytes into, const ToCome& to_come) {
    while (true) {
      const Bytes piece = in_.ready();
      const Step step = guarded([&] { return coder.step(piece, into); });
      in_.consume(step.used);
      if (step.made > 0 || step.ended) {
        return step;
      }
      if (!in_.ready().empty()) {
        if (step.used == 0) {
          failed(Errc::damaged, "its data cannot be decoded further");
        }
      } else if (!in_.fill(to_come())) {
        ended_early();
      }
    }
  }

  /// Reads as many bytes as `into` holds; they must exist.
  void need(MutableBytes into);
  /// Reads a little-endian number of four bytes.
  std::uint32_t need_u32();
  /// The same; nothing at the end of the input.
  std::optional<std::uint32_t> take_u32();
  /// The stream named in messages begins here, or `before` bytes earlier.
  void stream_begins(std::uint64_t before = 0) noexcept { stream_offset_ = in_.position() - before; }
  std::uint64_t stream_offset() const noexcept { return stream_offset_; }
  bool at_start() const noexcept { return in_.position() == 0; }

  [[noreturn]] void failed(Errc code, const std::string& message) const;
  [[noreturn]] void ended_early() const { failed(Errc::truncated, "the input ends inside it"); }
  /// Fails because no stream begins where one is expected.
  [[noreturn]] void not_a_stream() const;

  Intake in_;

 private:
  enum class State : std::uint8_t { between, inside, ended, failed };

  /// Returns the state. A call counts as failed until it returns.
  State enter();

  const std::string_view format_;
  const std::string_view unit_;
  State state_ = State::between;
  std::uint64_t stream_offset_ = 0;
};

}  // namespace stele

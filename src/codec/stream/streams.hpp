#pragma once
// Reading compressed files in order. Each format's file is a series of streams; the format may call them members,
// frames or files.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "codec/stream/intake.hpp"
#include "stele/error.hpp"
#include "stele/io.hpp"

namespace stele {

/// What one call of a decompressor did. Unless it has ended, it leaves room in the output only where it needs input.
struct Step {
  std::size_t used = 0;  // of the stored bytes
  std::size_t made = 0;  // plain bytes
  bool ended = false;    // whether what it decodes is complete
};

/// Reads streams in order. A format derives from it and says how a stream begins, goes on and ends. After an error it
/// cannot be read on.
class StreamsSource : public Source {
 public:
  /// Returns as soon as there are plain bytes.
  std::size_t read(MutableBytes into) final;
  /// Reads what is left of the stream that the last read() was in; before that, of the first one. Returns 0 once that
  /// stream has ended: then all of it was taken and checked, the block table of its archive too, and the compressed
  /// Source stands at its end.
  std::size_t read_rest(MutableBytes into);
  /// Throws: Error(damaged) where read_rest() would not return 0.
  void finish() final;

 protected:
  /// `format` is the format's name and `unit` what it calls a stream, for messages. They and `stored` must outlive the
  /// Source. `piece` is how many bytes are read at a time at most.
  StreamsSource(Source& stored, std::string_view format, std::string_view unit, bool whole,
                std::size_t piece = std::size_t{64} << 10);

  /// Takes the start of the next stream. Returns false at the end of the input, where it has taken the padding that may
  /// be there.
  virtual bool begin() = 0;
  /// Decodes one byte or more into `into`, which has room. Returns 0 at the end of the stream, of which everything is
  /// then taken and nothing of what follows.
  virtual std::size_t decode(MutableBytes into) = 0;
  /// decode() for a format that decodes several streams at once: ends at the end of the one that was read last.
  virtual std::size_t decode_rest(MutableBytes into) { return decode(into); }
  /// Called between streams when no more is wanted: takes and checks what belongs to the streams before, and makes the
  /// compressed Source stand at its end. Returns true where another stream follows and had to be begun to tell.
  virtual bool settle();

  /// Calls `action`, and names this stream before the message of its Error.
  template <class Action>
  auto guarded(const Action& action) const {
    try {
      return action();
    } catch (const Error& error) {
      failed(error.code(), error.message());
    }
  }

  /// Steps `coder` until it has made plain bytes or ended. Where it needs input, `to_come()` bytes (1 or more) must
  /// still come before the stream can end; so many are taken.
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
          failed(Errc::damaged, "its data leads nowhere");
        }
      } else if (!in_.fill(to_come())) {
        ended_early();
      }
    }
  }

  /// Takes as many bytes as `into` holds.
  void need(MutableBytes into);
  /// Takes a little-endian number of four bytes.
  std::uint32_t need_u32();
  /// The same; nothing at the end of the input.
  std::optional<std::uint32_t> take_u32();
  /// The stream that messages name begins here, or `before` bytes earlier.
  void stream_begins(std::uint64_t before = 0) noexcept { stream_offset_ = in_.position() - before; }
  std::uint64_t stream_offset() const noexcept { return stream_offset_; }
  bool at_start() const noexcept { return in_.position() == 0; }

  [[noreturn]] void failed(Errc code, const std::string& message) const;
  [[noreturn]] void ended_early() const { failed(Errc::truncated, "the input ends inside it"); }
  /// For bytes where a stream ought to begin.
  [[noreturn]] void not_a_stream() const;

  Intake in_;

 private:
  enum class State : std::uint8_t { between, inside, ended, failed };

  /// Returns the state. Until a call is through, it counts as failed.
  State enter();

  const std::string_view format_;
  const std::string_view unit_;
  State state_ = State::between;
  std::uint64_t stream_offset_ = 0;
};

}  // namespace stele

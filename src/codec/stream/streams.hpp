#pragma once
// Reading in order the formats whose files are streams one behind another: bzip2, xz, lzma.

#include <cstddef>
#include <cstdint>
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

/// Reads streams in order. A format derives from it and says how a stream begins and goes on.
class StreamsSource : public Source {
 public:
  std::size_t read(MutableBytes into) final;
  void finish() final;

 protected:
  /// `name` is the format's, for messages; it and `stored` must outlive the Source.
  StreamsSource(Source& stored, std::string_view name, bool whole);

  /// Takes the start of the next stream. Returns false at the end of the input, where it has taken the padding that may
  /// be there.
  virtual bool begin() = 0;
  /// Decodes one byte or more into `into`, which has room. Returns 0 at the end of the stream, of which everything is
  /// then taken and nothing of what follows.
  virtual std::size_t decode(MutableBytes into) = 0;

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
  /// What begins here is the stream that messages name.
  void stream_begins() noexcept { stream_offset_ = in_.position(); }
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

  const std::string_view name_;
  State state_ = State::between;
  std::uint64_t stream_offset_ = 0;
};

}  // namespace stele

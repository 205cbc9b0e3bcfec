// zlib, RFC 1950, read in order.

#include <algorithm>
#include <array>
#include <limits>
#include <memory>
#include <string>

#include "base/bytes.hpp"
#include "codec/formats/deflate.hpp"
#include "codec/formats/zlib/marker.hpp"
#include "codec/stream/intake.hpp"
#include "stele/error.hpp"

namespace stele {
namespace {

constexpr std::size_t trailer_size = 4;
/// What is still to come where inflate asks for more: a byte of deflate and the checksum.
constexpr std::size_t least_left = 1 + trailer_size;

/// Reads streams in order, in bounded memory. At the start of each block it looks for a marker, a
/// few bytes at a time; a block that has one is then taken in large pieces. In any other it takes five bytes at a time
/// where the Source cannot go back.
class ZlibSource final : public Source {
 public:
  ZlibSource(Source& stored, bool whole) : in_(stored, std::size_t{64} << 10, whole) {}

  std::size_t read(MutableBytes into) override {
    while (!into.empty()) {
      switch (state_) {
        case State::between:
          if (!begin_stream()) {
            return 0;
          }
          break;
        case State::inflating:
          if (const std::size_t count = inflate_some(into); count > 0) {
            return count;
          }
          break;
        case State::trailer:
          end_stream();
          break;
        case State::ended:
          return 0;
        case State::failed:
          failed(Errc::damaged, "cannot be read on after an error");
      }
    }
    return 0;
  }

  void finish() override {
    if (state_ == State::failed) {
      failed(Errc::damaged, "cannot be read on after an error");
    }
    if (state_ == State::inflating) {
      std::byte extra{};
      if (inflate_some({&extra, 1}) > 0) {
        failed(Errc::damaged, "data behind the end of the archive");
      }
    }
    if (state_ == State::trailer) {
      end_stream();
    }
    in_.settle(in_.position());
  }

 private:
  enum class State : std::uint8_t { between, inflating, trailer, ended, failed };

  [[noreturn]] void failed(Errc code, const std::string& message) {
    state_ = State::failed;
    fail(code, "zlib stream at byte " + std::to_string(stream_offset_) + ": " + message);
  }
  [[noreturn]] void ended_early() { failed(Errc::truncated, "the input ends inside it"); }
  [[noreturn]] void wrong_marker() { failed(Errc::damaged, "a block marker is wrong"); }

  /// Returns false at the end of the input.
  bool begin_stream() {
    stream_offset_ = in_.position();
    std::array<std::byte, 2> header{};
    const std::size_t count = in_.take(header);
    if (count == 0 && stream_offset_ > 0) {
      state_ = State::ended;
      return false;
    }
    if (count > 0 && (header[0] & std::byte{0x0f}) != std::byte{8}) {
      not_zlib();
    }
    if (count < header.size()) {
      ended_early();
    }
    if (!zlib::is_header(header[0], header[1])) {
      if (stream_offset_ == 0 && zlib::is_header(header[0], header[1], true)) {
        failed(Errc::unsupported, "it needs a preset dictionary");
      }
      not_zlib();
    }
    inflate_.begin();
    adler_ = 1;
    block_.reset();
    looking_ = true;
    state_ = State::inflating;
    return true;
  }
  [[noreturn]] void not_zlib() {
    failed(Errc::damaged, stream_offset_ == 0 ? "not zlib" : "bytes that are not zlib follow the last stream");
  }

  /// Gets a marker, or as many bytes as show that there is none. A stream that may still have one goes on for
  /// least_left bytes or more, as a marker is no last block.
  void look_for_marker() {
    looking_ = false;
    while (in_.ready().size() < zlib::marker_size) {
      const std::size_t there = in_.ready().size();
      if (!zlib::begins_marker(in_.ready()) || !in_.extend(std::min(least_left, zlib::marker_size - there))) {
        return;  // inflate says what is missing
      }
    }
    block_ = zlib::read_marker(in_.ready().first(zlib::marker_size));
    if (block_) {
      stored_left_ = zlib::marker_size + std::uint64_t{block_->stored_size};
      plain_left_ = block_->plain_size;
    }
  }

  /// Returns the number of plain bytes, 0 only at the end of the stream.
  std::size_t inflate_some(MutableBytes into) {
    while (true) {
      if (looking_) {
        look_for_marker();
      }
      if (block_ && stored_left_ == 0 && inflate_.starved()) {
        if (plain_left_ > 0 || !inflate_.between_blocks()) {
          wrong_marker();
        }
        block_.reset();
        looking_ = true;
        continue;
      }
      if (inflate_.starved() && in_.ready().empty() && !in_.fill(block_ ? stored_left_ : least_left)) {
        ended_early();
      }
      Bytes piece = in_.ready();
      if (block_) {
        piece = piece.first(static_cast<std::size_t>(std::min<std::uint64_t>(piece.size(), stored_left_)));
      }
      const auto step = inflate_(piece, into);
      if (!step) {
        failed(Errc::damaged, inflate_.error());
      }
      in_.consume(step->used);
      in_.unread(step->unused);
      adler_ = adler32_of(adler_, into.first(step->made));
      if (block_) {
        stored_left_ -= step->used;
        if (step->made > plain_left_ || inflate_.ended()) {
          wrong_marker();
        }
        plain_left_ -= step->made;
      }
      if (inflate_.ended()) {
        state_ = State::trailer;
        return step->made;
      }
      if (step->made > 0) {
        return step->made;
      }
    }
  }

  void end_stream() {
    std::array<std::byte, trailer_size> trailer{};
    if (in_.take(trailer) < trailer.size()) {
      ended_early();
    }
    if (load_be<std::uint32_t>(trailer.data()) != adler_) {
      failed(Errc::damaged, "its checksum is wrong");
    }
    state_ = State::between;
  }

  Intake in_;
  StreamInflate inflate_;
  State state_ = State::between;
  std::uint64_t stream_offset_ = 0;
  std::uint32_t adler_ = 1;

  bool looking_ = false;               // for a marker, before the next byte
  std::optional<zlib::Marker> block_;  // that of the block being read
  std::uint64_t stored_left_ = 0;      // of it, with the marker
  std::uint64_t plain_left_ = 0;
};

}  // namespace

std::unique_ptr<Source> zlib::in_order(Source& stored, bool whole) {
  return std::make_unique<ZlibSource>(stored, whole);
}

}  // namespace stele

// zlib, RFC 1950, read in order.

#include <algorithm>
#include <array>
#include <limits>
#include <memory>
#include <string>

#include "base/bytes.hpp"
#include "codec/formats/deflate.hpp"
#include "codec/formats/zlib/marker.hpp"
#include "codec/stream/streams.hpp"
#include "stele/error.hpp"

namespace stele {
namespace {

constexpr std::size_t trailer_size = 4;
/// The least that follows when inflate needs more input: one byte of deflate and the checksum.
constexpr std::size_t least_left = 1 + trailer_size;

/// Reads streams in order, in bounded memory. At the start of each block it looks for a marker, a few bytes at a time.
/// A block with a marker is read in large pieces. Other blocks are read five bytes at a time if the Source cannot go
/// back.
class ZlibSource final : public StreamsSource {
 public:
  ZlibSource(Source& stored, bool whole) : StreamsSource(stored, "zlib", "stream", whole) {}

 private:
  bool begin() override {
    std::array<std::byte, 2> header{};
    const std::size_t count = in_.take(header);
    if (count == 0 && stream_offset() > 0) {
      return false;
    }
    if (count > 0 && (header[0] & std::byte{0x0f}) != std::byte{8}) {
      not_a_stream();
    }
    if (count < header.size()) {
      ended_early();
    }
    if (!zlib::is_header(header[0], header[1])) {
      if (stream_offset() == 0 && zlib::is_header(header[0], header[1], true)) {
        failed(Errc::unsupported, "it needs a preset dictionary");
      }
      not_a_stream();
    }
    inflate_.begin();
    adler_ = 1;
    block_.reset();
    looking_ = true;
    return true;
  }

  std::size_t decode(MutableBytes into) override {
    if (inflate_.ended()) {
      end_stream();
      return 0;
    }
    return inflate_some(into);
  }

  [[noreturn]] void wrong_marker() { failed(Errc::damaged, "a block marker is wrong"); }

  /// Reads a marker, or enough bytes to see that there is none. As a marker is never the last block, a stream that may
  /// have one continues for least_left bytes or more.
  void look_for_marker() {
    looking_ = false;
    while (in_.ready().size() < zlib::marker_size) {
      const std::size_t there = in_.ready().size();
      if (!zlib::begins_marker(in_.ready()) || !in_.extend(std::min(least_left, zlib::marker_size - there))) {
        return;  // inflate reports what is missing
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
        if (step->made == 0) {
          end_stream();
        }
        return step->made;
      }
      if (step->made > 0) {
        return step->made;
      }
    }
  }

  void end_stream() {
    std::array<std::byte, trailer_size> trailer{};
    need(trailer);
    if (load_be<std::uint32_t>(trailer.data()) != adler_) {
      failed(Errc::damaged, "its checksum is wrong");
    }
  }

  StreamInflate inflate_;
  std::uint32_t adler_ = 1;

  bool looking_ = false;               // looking for a marker at the next byte
  std::optional<zlib::Marker> block_;  // the marker of the current block
  std::uint64_t stored_left_ = 0;      // bytes of the block left, including the marker
  std::uint64_t plain_left_ = 0;
};

}  // namespace

std::unique_ptr<Source> zlib::in_order(Source& stored, bool whole) {
  return std::make_unique<ZlibSource>(stored, whole);
}

}  // namespace stele

// gzip, RFC 1952, read in order.

#include <algorithm>
#include <array>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "codec/blocks/ahead.hpp"
#include "codec/formats/deflate.hpp"
#include "codec/formats/gzip/member.hpp"
#include "codec/stream/streams.hpp"
#include "stele/error.hpp"

namespace stele {
namespace {

/// Reads members in order, in bounded memory. If the size of a member is unknown and reads must be exact, it reads
/// eight bytes at a time: while inflate needs more input, at least eight follow, the size of the trailer.
class GzipSource final : public StreamsSource {
 public:
  GzipSource(Source& stored, const DecodeOptions& options)
      : StreamsSource(stored, "gzip", "member", options.whole), members_(options.threads, gzip::make_decoder) {}

 private:
  bool begin() override {
    members_.clear();
    ahead_ = add_members() ? Ahead::found : Ahead::none;
    return ahead_ == Ahead::found || begin_member();
  }

  std::size_t decode(MutableBytes into) override {
    if (ahead_ == Ahead::found && !decode_members(into)) {
      ahead_ = Ahead::none;
      if (!begin_member()) {
        return 0;
      }
    }
    if (ahead_ == Ahead::decoded) {
      return members_.give(into);
    }
    if (inflate_.ended()) {
      end_member();
      return 0;
    }
    return inflate_some(into);
  }

  std::size_t decode_rest(MutableBytes into) override {
    return decode(ahead_ == Ahead::decoded ? into.first(std::min(into.size(), members_.left_of_block())) : into);
  }

  bool settle() override {
    in_.settle(in_.position() - (in_.random_access() ? members_.stored_after() : 0));
    members_.clear();
    return false;
  }

  /// Finds the next members whose headers state their size. Returns false if there are fewer than two.
  bool add_members() {
    if (!in_.ahead() || !members_.active()) {
      return false;
    }
    while (add_member()) {
    }
    return members_.count() > 1;
  }

  /// Returns false if none of them is valid; reading in order reports the error.
  bool decode_members(MutableBytes into) {
    ahead_ = Ahead::decoded;
    const bool good = !members_.decode(in_.ready(), into).empty();
    in_.consume(members_.stored_size());
    return good;
  }

  bool add_member() {
    const std::size_t offset = members_.stored_size();
    const auto have = [&](std::size_t size) { return in_.have(offset + size); };
    constexpr std::size_t before_extra = gzip::fixed_size + 2;
    if (!have(before_extra)) {
      return false;
    }
    const std::byte* header = in_.ready().data() + offset;
    // The header's checksum is only checked when reading in order.
    if (!gzip::begins_member(header) || (header[3] & gzip::flag_extra) == std::byte{0} ||
        (header[3] & (gzip::flags_reserved | gzip::flag_header_crc)) != std::byte{0}) {
      return false;
    }
    const std::size_t before = before_extra + load_le<std::uint16_t>(header + gzip::fixed_size);
    if (!have(before)) {
      return false;
    }
    const auto sizes = gzip::find_sizes(in_.ready().subspan(offset + before_extra, before - before_extra));
    if (!sizes || sizes->stored < before + gzip::trailer_size || !members_.has_room(0, sizes->stored) ||
        !have(static_cast<std::size_t>(sizes->stored))) {
      return false;
    }
    const std::byte* end = in_.ready().data() + offset + sizes->stored;
    const std::uint32_t plain = sizes->plain ? *sizes->plain : load_le<std::uint32_t>(end - 4);
    if (plain > sizes->stored * most_expansion || !members_.has_room(plain, sizes->stored)) {
      return false;
    }
    members_.add(plain, sizes->stored);
    return true;
  }

  /// Reads bytes of the header.
  void take(MutableBytes into) {
    need(into);
    header_crc_ = crc32_of(header_crc_, into);
  }

  /// Returns false at the end of the input.
  bool begin_member() {
    header_crc_ = 0;
    std::array<std::byte, gzip::fixed_size> fixed{};
    const auto first = MutableBytes(fixed).first(1);
    if (in_.take(first) == 0) {
      if (stream_offset() == 0) {
        ended_early();
      }
      return false;
    }
    if (stream_offset() > 0 && fixed[0] == std::byte{0}) {
      skip_zeros();
      return false;
    }
    header_crc_ = crc32_of(0, first);
    if (fixed[0] != std::byte{0x1f}) {
      not_a_stream();
    }
    take(MutableBytes(fixed).subspan(1, 1));
    if (fixed[1] != std::byte{0x8b}) {
      not_a_stream();
    }
    take(MutableBytes(fixed).subspan(2));
    if (fixed[2] != std::byte{8}) {
      failed(Errc::damaged, "compression method " + std::to_string(std::to_integer<int>(fixed[2])) + ", not deflate");
    }
    const std::byte flags = fixed[3];
    if ((flags & gzip::flags_reserved) != std::byte{0}) {
      failed(Errc::damaged, "unknown flags");
    }
    sizes_.reset();
    if ((flags & gzip::flag_extra) != std::byte{0}) {
      std::array<std::byte, 2> length{};
      take(length);
      std::vector<std::byte> extra(load_le<std::uint16_t>(length.data()));
      take(extra);
      sizes_ = gzip::find_sizes(extra);
    }
    for (std::byte text : {gzip::flag_name, gzip::flag_comment}) {
      if ((flags & text) != std::byte{0}) {
        std::byte c{};
        do {
          take({&c, 1});
        } while (c != std::byte{0});
      }
    }
    if ((flags & gzip::flag_header_crc) != std::byte{0}) {
      const std::uint32_t expected = header_crc_ & 0xffff;
      std::array<std::byte, 2> stored{};
      take(stored);
      if (load_le<std::uint16_t>(stored.data()) != expected) {
        failed(Errc::damaged, "the checksum of its header is wrong");
      }
    }
    deflate_left_ = std::numeric_limits<std::uint64_t>::max();
    if (sizes_) {
      const std::uint64_t before = in_.position() - stream_offset();
      if (sizes_->stored <= before + gzip::trailer_size) {
        wrong_sizes();
      }
      deflate_left_ = sizes_->stored - before - gzip::trailer_size;
    }
    inflate_.begin();
    crc_ = 0;
    plain_size_ = 0;
    return true;
  }

  [[noreturn]] void wrong_sizes() { failed(Errc::damaged, "the sizes in its header are wrong"); }

  void skip_zeros() {
    do {
      const Bytes bytes = in_.ready();
      if (std::any_of(bytes.begin(), bytes.end(), [](std::byte b) { return b != std::byte{0}; })) {
        not_a_stream();
      }
      in_.consume(bytes.size());
    } while (in_.fill(std::numeric_limits<std::uint64_t>::max()));
  }

  /// Returns the number of plain bytes, 0 only at the end of the member's deflate stream.
  std::size_t inflate_some(MutableBytes into) {
    while (true) {
      if (inflate_.starved() && in_.ready().empty()) {
        if (deflate_left_ == 0) {
          wrong_sizes();
        }
        if (!in_.fill(sizes_ ? deflate_left_ : gzip::trailer_size)) {
          ended_early();
        }
      }
      Bytes piece = in_.ready();
      piece = piece.first(static_cast<std::size_t>(std::min<std::uint64_t>(piece.size(), deflate_left_)));
      if (inflate_.starved() && piece.empty()) {
        wrong_sizes();
      }
      const auto step = inflate_(piece, into);
      if (!step) {
        failed(Errc::damaged, inflate_.error());
      }
      in_.consume(step->used);
      in_.unread(step->unused);
      if (sizes_) {
        deflate_left_ += step->unused - step->used;
      }
      crc_ = crc32_of(crc_, into.first(step->made));
      plain_size_ += step->made;
      if (inflate_.ended()) {
        if (sizes_ && deflate_left_ > 0) {
          wrong_sizes();
        }
        if (step->made == 0) {
          end_member();
        }
        return step->made;
      }
      if (step->made > 0) {
        return step->made;
      }
    }
  }

  void end_member() {
    std::array<std::byte, gzip::trailer_size> trailer{};
    need(trailer);
    if (load_le<std::uint32_t>(trailer.data()) != crc_) {
      failed(Errc::damaged, "its checksum is wrong");
    }
    if (load_le<std::uint32_t>(trailer.data() + 4) != static_cast<std::uint32_t>(plain_size_)) {
      failed(Errc::damaged, "its plain size is wrong");
    }
    if (sizes_ && sizes_->plain && *sizes_->plain != plain_size_) {
      wrong_sizes();
    }
  }

  enum class Ahead : std::uint8_t { none, found, decoded };

  BlocksAhead members_;
  Ahead ahead_ = Ahead::none;
  StreamInflate inflate_;

  std::uint32_t header_crc_ = 0;
  std::optional<gzip::MemberSizes> sizes_;
  std::uint64_t deflate_left_ = 0;  // valid if sizes_ is known
  std::uint32_t crc_ = 0;
  std::uint64_t plain_size_ = 0;
};

}  // namespace

std::unique_ptr<Source> gzip::in_order(Source& stored, const DecodeOptions& options) {
  return std::make_unique<GzipSource>(stored, options);
}

}  // namespace stele

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
#include "codec/stream/intake.hpp"
#include "stele/error.hpp"

namespace stele {
namespace {

/// Reads members in order, in bounded memory. Of a member whose size is unknown it takes eight bytes at a time where it
/// must be exact: as long as inflate asks for more, at least as many are to come, as the
/// trailer has eight.
class GzipSource final : public Source {
 public:
  GzipSource(Source& stored, const DecodeOptions& options)
      : in_(stored, std::size_t{64} << 10, options.whole), members_(options.threads, gzip::make_decoder) {}

  std::size_t read(MutableBytes into) override {
    while (!into.empty()) {
      switch (state_) {
        case State::between:
          if (const std::size_t count = members_.give(into); count > 0) {
            return count;
          }
          if (!take_members(into) && !begin_member()) {
            return 0;
          }
          break;
        case State::inflating:
          if (const std::size_t count = inflate_some(into); count > 0) {
            return count;
          }
          break;
        case State::trailer:
          end_member();
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
      end_member();
    }
    const auto behind = members_.stored_behind();
    if (!behind) {
      failed(Errc::damaged, "data behind the end of the archive");
    }
    in_.settle(in_.position() - (in_.random_access() ? *behind : 0));
    members_.clear();
  }

 private:
  enum class State : std::uint8_t { between, inflating, trailer, ended, failed };

  [[noreturn]] void failed(Errc code, const std::string& message) {
    state_ = State::failed;
    fail(code, "gzip member at byte " + std::to_string(member_offset_) + ": " + message);
  }
  [[noreturn]] void ended_early() { failed(Errc::truncated, "the input ends inside it"); }

  /// Takes the members that come next, as far as their headers say how long they are, and decodes them. Returns false
  /// where there are none, or none that is good: reading in order says what is there.
  bool take_members(MutableBytes into) {
    members_.clear();
    if (!in_.ahead() || !members_.active()) {
      return false;
    }
    while (add_member()) {
    }
    if (members_.decode(in_.ready(), into).empty()) {
      members_.clear();
      return false;
    }
    in_.consume(members_.stored_size());
    return true;
  }

  bool add_member() {
    const std::size_t offset = members_.stored_size();
    const auto have = [&](std::size_t size) { return in_.have(offset + size); };
    constexpr std::size_t before_extra = gzip::fixed_size + 2;
    if (!have(before_extra)) {
      return false;
    }
    const std::byte* header = in_.ready().data() + offset;
    // The checksum of a header is checked in order only.
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

  /// Takes bytes of the header.
  void take(MutableBytes into) {
    if (in_.take(into) < into.size()) {
      ended_early();
    }
    header_crc_ = crc32_of(header_crc_, into);
  }

  /// Returns false at the end of the input.
  bool begin_member() {
    member_offset_ = in_.position();
    header_crc_ = 0;
    std::array<std::byte, gzip::fixed_size> fixed{};
    const auto first = MutableBytes(fixed).first(1);
    if (in_.take(first) == 0) {
      if (member_offset_ == 0) {
        ended_early();
      }
      state_ = State::ended;
      return false;
    }
    if (member_offset_ > 0 && fixed[0] == std::byte{0}) {
      skip_zeros();
      state_ = State::ended;
      return false;
    }
    header_crc_ = crc32_of(0, first);
    if (fixed[0] != std::byte{0x1f}) {
      not_a_member();
    }
    take(MutableBytes(fixed).subspan(1, 1));
    if (fixed[1] != std::byte{0x8b}) {
      not_a_member();
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
      const std::uint64_t before = in_.position() - member_offset_;
      if (sizes_->stored <= before + gzip::trailer_size) {
        wrong_sizes();
      }
      deflate_left_ = sizes_->stored - before - gzip::trailer_size;
    }
    inflate_.begin();
    crc_ = 0;
    plain_size_ = 0;
    state_ = State::inflating;
    return true;
  }

  [[noreturn]] void not_a_member() {
    failed(Errc::damaged, member_offset_ == 0 ? "not gzip" : "neither a gzip member nor zeros follow the last one");
  }
  [[noreturn]] void wrong_sizes() { failed(Errc::damaged, "the sizes in its header are wrong"); }

  void skip_zeros() {
    do {
      const Bytes bytes = in_.ready();
      if (std::any_of(bytes.begin(), bytes.end(), [](std::byte b) { return b != std::byte{0}; })) {
        not_a_member();
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
        state_ = State::trailer;
        return step->made;
      }
      if (step->made > 0) {
        return step->made;
      }
    }
  }

  void end_member() {
    std::array<std::byte, gzip::trailer_size> trailer{};
    if (in_.take(trailer) < trailer.size()) {
      ended_early();
    }
    if (load_le<std::uint32_t>(trailer.data()) != crc_) {
      failed(Errc::damaged, "its checksum is wrong");
    }
    if (load_le<std::uint32_t>(trailer.data() + 4) != static_cast<std::uint32_t>(plain_size_)) {
      failed(Errc::damaged, "its plain size is wrong");
    }
    if (sizes_ && sizes_->plain && *sizes_->plain != plain_size_) {
      wrong_sizes();
    }
    state_ = State::between;
  }

  Intake in_;
  BlocksAhead members_;
  StreamInflate inflate_;
  State state_ = State::between;

  std::uint64_t member_offset_ = 0;
  std::uint32_t header_crc_ = 0;
  std::optional<gzip::MemberSizes> sizes_;
  std::uint64_t deflate_left_ = 0;  // where sizes_ is known
  std::uint32_t crc_ = 0;
  std::uint64_t plain_size_ = 0;
};

}  // namespace

std::unique_ptr<Source> gzip::in_order(Source& stored, const DecodeOptions& options) {
  return std::make_unique<GzipSource>(stored, options);
}

}  // namespace stele

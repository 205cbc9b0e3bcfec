// LZ4 read in order: frames of any kind, and the legacy format.

#if STELE_WITH_LZ4

#include <lz4.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "codec/blocks/table.hpp"
#include "codec/formats/lz4/frame.hpp"
#include "codec/stream/streams.hpp"
#include "stele/error.hpp"

namespace stele {
namespace {

constexpr std::size_t history_size = std::size_t{64} << 10;  // how far back a block may refer
constexpr std::size_t legacy_block_size = std::size_t{8} << 20;

/// Decodes block by block and reads at most one block at a time.
class Lz4Source final : public StreamsSource {
 public:
  Lz4Source(Source& stored, bool whole) : StreamsSource(stored, "lz4", "frame", whole) {}

 private:
  std::size_t decode(MutableBytes into) override {
    while (true) {
      if (const std::size_t count = take_ready(into); count > 0) {
        return count;
      }
      const auto direct = read_block(into);
      if (!direct || *direct > 0) {
        return direct.value_or(0);
      }
    }
  }

  bool settle() override {
    if (next_magic_) {
      if (!in_.random_access()) {
        return begin() || StreamsSource::settle();
      }
      in_.settle(in_.position() - 4);
      next_magic_.reset();
    }
    if (std::exchange(table_follows_, false)) {
      if (need_u32() != lz4::table_magic) {
        failed(Errc::damaged, "bytes that are not its block index follow");
      }
      compare_table();
    }
    return StreamsSource::settle();
  }

  /// Skips skippable frames. Returns false at the end of the input.
  bool begin() override {
    while (true) {
      stream_begins(next_magic_ ? 4 : 0);
      const auto magic = next_magic_ ? std::exchange(next_magic_, std::nullopt) : take_u32();
      if (!magic) {
        if (stream_offset() == 0 || table_follows_) {
          ended_early();
        }
        return false;
      }
      if (*magic == lz4::table_magic && lz4::may_have_table(frame_) && tally_.count() > 0) {
        compare_table();
        tally_.reset();
        table_follows_ = false;
        continue;
      }
      table_follows_ = false;
      if (*magic == lz4::frame_magic) {
        read_descriptor();
        break;
      }
      if (*magic == lz4::legacy_magic) {
        frame_ = lz4::Descriptor();
        frame_.independent = true;
        frame_.block_size = legacy_block_size;
        legacy_ = true;
        break;
      }
      if (!lz4::is_skippable(*magic)) {
        not_a_stream();
      }
      if (!in_.skip(need_u32())) {
        ended_early();
      }
    }
    tally_.reset();
    group_ = {};
    if (history_size + frame_.block_size > room_) {
      room_ = history_size + frame_.block_size;
      plain_ = std::make_unique_for_overwrite<std::byte[]>(room_);
    }
    begin_ = end_ = history_size;
    history_ = 0;
    frame_plain_ = 0;
    content_.reset();
    last_block_ = false;
    return true;
  }

  void read_descriptor() {
    std::array<std::byte, lz4::most_descriptor_size> bytes{};
    need(MutableBytes(bytes).first(lz4::least_descriptor_size));
    const MutableBytes all = MutableBytes(bytes).first(lz4::descriptor_size(bytes[0]));
    need(all.subspan(lz4::least_descriptor_size));
    const auto descriptor = lz4::read_descriptor(all);
    if (!descriptor) {
      failed(Errc::damaged, "its header is wrong, or of a version that is not known");
    }
    if (descriptor->dictionary) {
      failed(Errc::unsupported, "it needs a dictionary");
    }
    frame_ = *descriptor;
    legacy_ = false;
  }

  /// Returns the rest of the last block.
  std::size_t take_ready(MutableBytes into) {
    const std::size_t count = std::min(into.size(), end_ - begin_);
    std::copy_n(plain_.get() + begin_, count, into.begin());
    begin_ += count;
    return count;
  }

  /// Decodes the next block. At the end of the frame, ends it and returns nothing. If the block certainly fits in
  /// `into`, decodes it there and returns its size, else 0.
  std::optional<std::size_t> read_block(MutableBytes into) {
    const auto size = next_block_size();
    if (!size) {
      return std::nullopt;
    }
    const bool direct = frame_.independent && into.size() >= frame_.block_size;
    if (!frame_.independent) {
      keep_history();
    }
    const MutableBytes room =
        direct ? into.first(frame_.block_size) : MutableBytes(plain_.get() + history_size, frame_.block_size);
    const std::size_t stored_size = *size & ~lz4::stored_plain;
    const Bytes plain =
        (*size & lz4::stored_plain) != 0 ? take_plain(stored_size, room) : decompress(stored_size, room);
    table_follows_ = plain.empty() && lz4::may_have_table(frame_);
    const bool is_last_byte = plain.size() == 1 && (*size & lz4::stored_plain) != 0;
    if (group_.plain_size == lz4::large_block && !is_last_byte) {  // one of that very size, which was not divided
      tally_.add(group_.stored_size, group_.plain_size);
      group_ = {};
    }
    if (!plain.empty()) {
      group_.stored_size += 8 + std::uint64_t{stored_size};
      group_.plain_size += plain.size();
      if ((*size & lz4::stored_plain) != 0 || plain.size() < lz4::large_block) {
        tally_.add(group_.stored_size, group_.plain_size);
        group_ = {};
      }
    }
    if (frame_.content_checksum) {
      content_.update(plain);
    }
    frame_plain_ += plain.size();
    last_block_ = legacy_ && plain.size() < frame_.block_size;
    begin_ = history_size;
    end_ = direct ? begin_ : begin_ + plain.size();
    return direct ? plain.size() : 0;
  }

  /// Reads the size before a block. At the end of the frame, ends it and returns nothing.
  std::optional<std::uint32_t> next_block_size() {
    if (!legacy_) {
      const std::uint32_t size = need_u32();
      if (size == 0) {
        end_frame();
        return std::nullopt;
      }
      if ((size & ~lz4::stored_plain) > frame_.block_size) {
        failed(Errc::damaged, "a block that is too large");
      }
      return size;
    }
    // A legacy frame ends at the end of the input or at the next frame. Only its last block is not full.
    if (last_block_) {
      return std::nullopt;
    }
    const auto size = take_u32();
    if (!size) {
      return std::nullopt;
    }
    if (*size > LZ4_COMPRESSBOUND(legacy_block_size)) {
      next_magic_ = size;
      return std::nullopt;
    }
    return size;
  }

  /// Moves the last bytes in front of the place of the next block.
  void keep_history() {
    const std::size_t size = end_ - history_size;  // bytes of the block that are part of it
    const std::size_t kept = std::min(history_size, history_ + size);
    std::memmove(plain_.get() + history_size - kept, plain_.get() + end_ - kept, kept);
    history_ = kept;
  }

  Bytes take_plain(std::size_t size, MutableBytes room) {
    need(room.first(size));
    check_block(room.first(size));
    return room.first(size);
  }
  Bytes decompress(std::size_t stored_size, MutableBytes room) {
    stored_.resize(stored_size);
    need(stored_);
    check_block(stored_);
    const int size = LZ4_decompress_safe_usingDict(
        reinterpret_cast<const char*>(stored_.data()), reinterpret_cast<char*>(room.data()),
        static_cast<int>(stored_size), static_cast<int>(room.size()),
        reinterpret_cast<const char*>(plain_.get() + history_size - history_), static_cast<int>(history_));
    if (size < 0) {
      failed(Errc::damaged, "a block that is not lz4");
    }
    return room.first(static_cast<std::size_t>(size));
  }
  void check_block(Bytes stored) {
    if (frame_.block_checksum && need_u32() != xxh32(stored)) {
      failed(Errc::damaged, "the checksum of a block is wrong");
    }
  }

  void end_frame() {
    if (frame_.content_checksum && need_u32() != content_.digest()) {
      failed(Errc::damaged, "its checksum is wrong");
    }
    if (frame_.content_size && *frame_.content_size != frame_plain_) {
      failed(Errc::damaged, "its plain size is wrong");
    }
  }

  /// Reads the block index of the last frame, after its magic number.
  void compare_table() {
    if (need_u32() != block_table_size(tally_.count())) {
      wrong_table();
    }
    switch (tally_.compare(in_)) {
      case BlockTally::Result::same:
        break;
      case BlockTally::Result::different:
        wrong_table();
      case BlockTally::Result::truncated:
        ended_early();
    }
  }
  [[noreturn]] void wrong_table() { failed(Errc::damaged, "a block index that contradicts the blocks"); }

  lz4::Descriptor frame_;
  bool legacy_ = false;
  bool last_block_ = false;                  // of a legacy frame
  std::optional<std::uint32_t> next_magic_;  // read where a legacy frame might have continued
  std::uint64_t frame_plain_ = 0;
  Xxh32 content_;
  BlockTally tally_;  // of the last frame
  Block group_;       // a large block, until its last byte was read
  bool table_follows_ = false;

  std::vector<std::byte> stored_;
  std::unique_ptr<std::byte[]> plain_;  // history_size bytes, followed by the block
  std::size_t room_ = 0;
  std::size_t history_ = 0;           // bytes before the block, for linked blocks
  std::size_t begin_ = history_size;  // start of the bytes of the block that were not returned yet
  std::size_t end_ = history_size;
};

}  // namespace

std::unique_ptr<Source> lz4::in_order(Source& stored, bool whole) { return std::make_unique<Lz4Source>(stored, whole); }

}  // namespace stele

#endif  // STELE_WITH_LZ4

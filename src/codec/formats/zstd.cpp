// Zstandard, RFC 8878. A file written by stele has frames of one block each with content size and checksum. Two or more
// are followed by the seek table of zstd's contrib/seekable_format, a skippable frame:
//
//   u32 0x184D2A5E  u32 size  { u32 size of the frame  u32 size of the plain block }*  u32 count  u8 0  u32 0x8F92EAB1

#if STELE_WITH_ZSTD

#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <array>
#include <limits>
#include <memory>
#include <string>

#include "base/bytes.hpp"
#include "codec/builtin.hpp"
#include "codec/first_bytes.hpp"
#include "codec/stream/streams.hpp"
#include "stele/error.hpp"

namespace stele {
namespace {

constexpr std::uint32_t frame_magic = 0xfd2fb528;
constexpr std::uint32_t skippable_magic = 0x184d2a50;  // to 0x184d2a5f
constexpr std::uint32_t seek_table_magic = 0x184d2a5e;
constexpr std::uint32_t seek_table_end = 0x8f92eab1;
constexpr std::size_t skippable_header_size = 8;
constexpr std::size_t seek_table_footer_size = 9;
constexpr std::size_t most_frames = std::size_t{1} << 27;  // of a seek table
constexpr std::size_t least_frame_size = 9;

constexpr int most_window_log = sizeof(std::size_t) == 4 ? 30 : 31;  // ZSTD_WINDOWLOG_MAX; each window is checked here

constexpr std::size_t before_header = 5;  // the magic number and the byte that gives the length of the header
constexpr std::size_t most_header_size = 18;
constexpr std::size_t zstd_header_size = 3;

/// The fields of a frame header.
struct FrameHeader {
  std::size_t size = 0;  // of the header, including the magic number
  bool single_segment = false;
  bool checksum = false;
  bool reserved = false;
  bool dictionary = false;
  std::optional<std::uint64_t> content_size;
  std::uint64_t window = 0;
};

/// The size of a header, given the byte after the magic number.
std::size_t header_size(std::byte descriptor) {
  constexpr std::array<std::size_t, 4> id_sizes = {0, 1, 2, 4};
  const auto bits = std::to_integer<unsigned>(descriptor);
  const bool single_segment = (bits & 0x20) != 0;
  const std::size_t content_size = bits >> 6 == 0 ? (single_segment ? 1 : 0) : std::size_t{1} << (bits >> 6);
  return before_header + (single_segment ? 0 : 1) + id_sizes[bits & 3] + content_size;
}

/// Reads a complete header of header_size() bytes.
FrameHeader read_header(const std::byte* bytes) {
  const auto bits = std::to_integer<unsigned>(bytes[4]);
  FrameHeader header{.size = header_size(bytes[4]),
                     .single_segment = (bits & 0x20) != 0,
                     .checksum = (bits & 0x04) != 0,
                     .reserved = (bits & 0x08) != 0,
                     .dictionary = (bits & 0x03) != 0,
                     .content_size = std::nullopt};
  if (bits >> 6 != 0 || header.single_segment) {
    const std::size_t width = std::size_t{1} << (bits >> 6);
    header.content_size = load_le(bytes + header.size - width, width) + (width == 2 ? 256 : 0);
  }
  if (header.single_segment) {
    header.window = *header.content_size;
  } else {
    const auto window = std::to_integer<unsigned>(bytes[before_header]);
    const std::uint64_t base = std::uint64_t{1} << (10 + (window >> 3));
    header.window = base + base / 8 * (window & 7);
  }
  return header;
}

constexpr const char* window_too_large = "its window is larger than limits.window allows";
constexpr const char* wrong_plain_size = "its plain size is wrong";

/// The fields of a block header.
struct ZstdBlock {
  bool last = false;
  unsigned type = 0;  // raw, RLE, compressed, reserved
  std::uint64_t size = 0;

  std::uint64_t stored_size() const { return zstd_header_size + (type == 1 ? 1 : size); }
};

ZstdBlock read_zstd_block(const std::byte* bytes) {
  const std::uint64_t bits = load_le(bytes, zstd_header_size);
  return {(bits & 1) != 0, static_cast<unsigned>(bits >> 1 & 3), bits >> 3};
}

bool is_skippable(std::uint32_t magic) { return (magic & 0xfffffff0) == skippable_magic; }

std::size_t block_size_of(int level) { return std::size_t{level <= 9 ? 1U : 4U} << 20; }

class ZstdEncoder final : public BlockEncoder {
 public:
  explicit ZstdEncoder(int level) : context_(ZSTD_createCCtx()) {
    if (context_ == nullptr || ZSTD_isError(ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_compressionLevel, level)) ||
        ZSTD_isError(ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_checksumFlag, 1))) {
      fail(Errc::limit_exceeded, "zstd: no memory for a compressor");
    }
  }

  std::uint64_t encode(Bytes plain, std::vector<std::byte>& out) override {
    const std::size_t start = out.size();
    const std::size_t bound = ZSTD_compressBound(plain.size());
    if (ZSTD_isError(bound)) {
      fail(Errc::invalid_argument, "a zstd block of " + std::to_string(plain.size()) + " bytes");
    }
    out.resize(start + bound);
    const std::size_t size = ZSTD_compress2(context_.get(), out.data() + start, bound, plain.data(), plain.size());
    if (ZSTD_isError(size)) {
      fail(Errc::io, std::string("zstd: ") + ZSTD_getErrorName(size));
    }
    out.resize(start + size);
    return 0;
  }

 private:
  struct Free {
    void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
  };
  const std::unique_ptr<ZSTD_CCtx, Free> context_;
};

struct FreeDecompressor {
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};
using Decompressor = std::unique_ptr<ZSTD_DCtx, FreeDecompressor>;

Decompressor make_decompressor() {
  Decompressor context(ZSTD_createDCtx());
  if (context == nullptr) {
    fail(Errc::limit_exceeded, "zstd: no memory for a decompressor");
  }
  return context;
}

class ZstdDecoder final : public BlockDecoder {
 public:
  explicit ZstdDecoder(std::uint64_t window) : window_(window) {}

  void decode(const Block& /*block*/, Bytes stored, MutableBytes plain) override {
    // libzstd would also accept several frames, and skippable ones.
    if (stored.size() < 4 || load_le<std::uint32_t>(stored.data()) != frame_magic ||
        ZSTD_findFrameCompressedSize(stored.data(), stored.size()) != stored.size()) {
      fail(Errc::damaged, "not one zstd frame");
    }
    const FrameHeader header = read_header(stored.data());
    if (header.window > window_) {
      fail(Errc::limit_exceeded, window_too_large);
    }
    if (header.content_size.value_or(plain.size()) != plain.size()) {
      fail(Errc::damaged, wrong_plain_size);
    }
    const bool at_once = header.single_segment && blocks_fit(stored.subspan(header.size), header.window);
    const std::size_t size = at_once ? decode_at_once(stored, plain) : decode_in_steps(stored, plain);
    if (size != plain.size()) {
      fail(Errc::damaged,
           "a frame of " + std::to_string(size) + " bytes, where the index says " + std::to_string(plain.size()));
    }
  }

 private:
  /// Whether no block is larger than the window allows. libzstd checks this only when it decodes in steps.
  static bool blocks_fit(Bytes blocks, std::uint64_t window) {
    constexpr std::uint64_t most = std::uint64_t{128} << 10;
    for (ZstdBlock block; !block.last; blocks = blocks.subspan(static_cast<std::size_t>(block.stored_size()))) {
      block = read_zstd_block(blocks.data());
      if (block.size > std::min(window, most)) {
        return false;
      }
    }
    return true;
  }

  std::size_t decode_at_once(Bytes stored, MutableBytes plain) {
    const std::size_t size =
        ZSTD_decompressDCtx(context_.get(), plain.data(), plain.size(), stored.data(), stored.size());
    check(size);
    return size;
  }

  /// Passes the bytes after the magic number separately; otherwise libzstd would decode everything at once.
  std::size_t decode_in_steps(Bytes stored, MutableBytes plain) {
    ZSTD_DCtx_reset(context_.get(), ZSTD_reset_session_only);
    ZSTD_DCtx_setParameter(context_.get(), ZSTD_d_windowLogMax, most_window_log);
    std::byte spare{};  // a full output does not show whether the frame has ended
    std::size_t made = 0;
    std::size_t piece = 4;
    while (true) {
      const MutableBytes room = made < plain.size() ? plain.subspan(made) : MutableBytes(&spare, 1);
      ZSTD_inBuffer in{stored.data(), piece, 0};
      ZSTD_outBuffer out{room.data(), room.size(), 0};
      const std::size_t result = ZSTD_decompressStream(context_.get(), &out, &in);
      check(result);
      made += out.pos;
      stored = stored.subspan(in.pos);
      piece = stored.size();
      if (result == 0) {
        return stored.empty() ? made : plain.size() + 1;
      }
      if (made > plain.size() || (in.pos == 0 && out.pos == 0)) {
        return plain.size() + 1;
      }
    }
  }

  static void check(std::size_t result) {
    if (ZSTD_isError(result)) {
      fail(Errc::damaged, ZSTD_getErrorName(result));
    }
  }

  const std::uint64_t window_;
  const Decompressor context_ = make_decompressor();
};

/// A summary of frame sizes, to compare them with a seek table in constant memory.
class FrameSizes {
 public:
  void add(std::uint64_t stored, std::uint64_t plain) {
    ++count_;
    sum_ = (sum_ ^ (stored << 32 | (plain & 0xffffffff))) * 0x9e3779b97f4a7c15;
    sum_ ^= sum_ >> 32;
  }
  std::uint64_t count() const { return count_; }
  friend bool operator==(const FrameSizes&, const FrameSizes&) = default;

 private:
  std::uint64_t count_ = 0;
  std::uint64_t sum_ = 0;
};

/// Whether a seek table of `size` bytes after its header lists as many frames as `frames`. If not, it belongs to the
/// last of several archives, and the earlier ones have one frame each and no table.
bool lists_as_many(const FrameSizes& frames, std::uint64_t size) {
  return size == frames.count() * 8 + seek_table_footer_size || size == frames.count() * 12 + seek_table_footer_size;
}

/// Whether a seek table, with `size` bytes after its header, matches `frames`, which is not empty. `need(bytes)` reads
/// that many of its bytes.
template <class Need>
bool is_seek_table(const FrameSizes& frames, std::uint64_t size, const Need& need) {
  const std::uint64_t entries_size = size - seek_table_footer_size;
  const std::uint64_t entry_size = entries_size / frames.count();
  if (size < seek_table_footer_size || entries_size % frames.count() != 0 || (entry_size != 8 && entry_size != 12)) {
    return false;
  }
  FrameSizes listed;
  for (std::uint64_t i = 0; i < frames.count(); ++i) {
    std::array<std::byte, 12> entry{};
    need(MutableBytes(entry).first(static_cast<std::size_t>(entry_size)));
    listed.add(load_le<std::uint32_t>(entry.data()), load_le<std::uint32_t>(entry.data() + 4));
  }
  std::array<std::byte, seek_table_footer_size> footer{};
  need(footer);
  return listed == frames && load_le<std::uint32_t>(footer.data()) == frames.count() &&
         footer[4] == std::byte{entry_size == 12 ? std::uint8_t{0x80} : std::uint8_t{0}} &&
         load_le<std::uint32_t>(footer.data() + 5) == seek_table_end;
}

/// Reads frames in order and consumes exactly their bytes: libzstd says how many it needs.
class ZstdSource final : public StreamsSource {
 public:
  ZstdSource(Source& stored, const DecodeOptions& options)
      : StreamsSource(stored, "zstd", "frame", options.whole, ZSTD_DStreamInSize()), window_(options.window) {
    ZSTD_DCtx_setParameter(context_.get(), ZSTD_d_windowLogMax, most_window_log);
  }

 private:
  /// Skips skippable frames. Returns false at the end of the input.
  bool begin() override {
    while (true) {
      stream_begins();
      const auto magic = take_u32();
      if (!magic) {
        if (stream_offset() == 0) {
          ended_early();
        }
        return false;
      }
      if (*magic == frame_magic) {
        break;
      }
      if (!is_skippable(*magic)) {
        not_a_stream();
      }
      const std::uint32_t size = need_u32();
      if (*magic == seek_table_magic) {
        pass_seek_table(size);
        sizes_ = {};  // the next archive begins
      } else if (!in_.skip(size)) {
        ended_early();
      }
    }
    begin_frame();
    return true;
  }

  /// After the magic number.
  void begin_frame() {
    std::array<std::byte, most_header_size> bytes{};
    store_le<std::uint32_t>(bytes.data(), frame_magic);
    need(MutableBytes(bytes).subspan(4, 1));
    const std::size_t size = header_size(bytes[4]);
    need(MutableBytes(bytes).first(size).subspan(before_header));
    const FrameHeader header = read_header(bytes.data());
    if (header.window > window_) {
      failed(Errc::limit_exceeded, window_too_large);
    }
    content_size_ = header.content_size;
    ZSTD_DCtx_reset(context_.get(), ZSTD_reset_session_only);
    ZSTD_outBuffer out{nullptr, 0, 0};
    for (const Bytes piece : {Bytes(bytes).first(4), Bytes(bytes).first(size).subspan(4)}) {
      ZSTD_inBuffer in{piece.data(), piece.size(), 0};
      wanted_ = ZSTD_decompressStream(context_.get(), &out, &in);
      check(wanted_);
    }
    frame_plain_ = 0;
  }

  void check(std::size_t result) {
    if (ZSTD_isError(result)) {
      const ZSTD_ErrorCode code = ZSTD_getErrorCode(result);
      if (code == ZSTD_error_frameParameter_windowTooLarge) {
        failed(Errc::limit_exceeded, window_too_large);
      }
      failed(code == ZSTD_error_memory_allocation ? Errc::limit_exceeded : Errc::damaged, ZSTD_getErrorName(result));
    }
  }

  std::size_t decode(MutableBytes into) override {
    while (wanted_ > 0) {
      const Bytes piece = in_.ready();
      ZSTD_inBuffer in{piece.data(), piece.size(), 0};
      ZSTD_outBuffer out{into.data(), into.size(), 0};
      wanted_ = ZSTD_decompressStream(context_.get(), &out, &in);
      check(wanted_);
      in_.consume(in.pos);
      frame_plain_ += out.pos;
      if (wanted_ == 0) {
        if (content_size_.value_or(frame_plain_) != frame_plain_) {
          failed(Errc::damaged, wrong_plain_size);
        }
        sizes_.add(in_.position() - stream_offset(), frame_plain_);
        return out.pos;
      }
      if (out.pos > 0) {
        return out.pos;
      }
      // The call had room but produced nothing, so all input was used. libzstd fails by itself if it repeatedly uses no
      // input.
      if (in_.ready().empty() && !in_.fill(wanted_)) {
        ended_early();
      }
    }
    return 0;
  }

  /// An archive of several frames has a seek table after them. Files of other programs may have none, and a frame may
  /// belong to the next archive. The table of several archives in one file lists more frames than the last one has.
  bool settle() override {
    if (sizes_.count() > 1 || in_.random_access()) {
      const std::uint64_t end = in_.position();
      stream_begins();
      const auto magic = in_.random_access() ? look_at_magic() : take_u32();
      if (magic == seek_table_magic) {
        pass_seek_table(need_u32());
      } else if (in_.random_access()) {
        in_.settle(end);
      } else if (magic == frame_magic) {
        sizes_ = {};
        begin_frame();
        return true;
      } else if (magic) {
        failed(Errc::damaged, "bytes that are not the seek table follow the last frame");
      }
    }
    sizes_ = {};
    return StreamsSource::settle();
  }

  /// Of an input that can go back; nothing where fewer bytes follow.
  std::optional<std::uint32_t> look_at_magic() {
    std::array<std::byte, 4> bytes{};
    const std::size_t count = in_.take(bytes);
    return count == bytes.size() ? std::optional(load_le<std::uint32_t>(bytes.data())) : std::nullopt;
  }

  /// Reads a seek table, `size` bytes after its header, and compares it if it is that of the frames so far.
  void pass_seek_table(std::uint32_t size) {
    if (sizes_.count() < 2 || !lists_as_many(sizes_, size)) {
      if (!in_.skip(size)) {
        ended_early();
      }
    } else if (!is_seek_table(sizes_, size, [this](MutableBytes into) { need(into); })) {
      failed(Errc::damaged, "a seek table that contradicts the frames");
    }
  }

  const Decompressor context_ = make_decompressor();
  std::size_t wanted_ = 0;  // number of bytes libzstd wants next
  std::uint64_t frame_plain_ = 0;
  const std::uint64_t window_;
  std::optional<std::uint64_t> content_size_;  // as stated by the frame
  FrameSizes sizes_;                           // of the frames of this archive
};

/// The blocks according to the seek table at the end; nothing if there is none that covers exactly the file.
std::optional<std::vector<Block>> index_by_table(Peek& file) {
  constexpr std::size_t least_table_size = skippable_header_size + seek_table_footer_size;
  if (file.size() < least_table_size) {
    return std::nullopt;
  }
  const std::byte* footer = file.at(file.size() - seek_table_footer_size, seek_table_footer_size);
  const std::uint64_t count = load_le<std::uint32_t>(footer);
  const auto descriptor = std::to_integer<unsigned>(footer[4]);
  if (load_le<std::uint32_t>(footer + 5) != seek_table_end || (descriptor & 0x7f) != 0 || count > most_frames ||
      count > most_blocks(file.size())) {
    return std::nullopt;
  }
  const std::size_t entry_size = (descriptor & 0x80) != 0 ? 12 : 8;
  const std::uint64_t table_size = least_table_size + count * entry_size;
  if (table_size > file.size()) {
    return std::nullopt;
  }
  const std::uint64_t table_offset = file.size() - table_size;
  const std::byte* header = file.at(table_offset, skippable_header_size);
  if (load_le<std::uint32_t>(header) != seek_table_magic ||
      load_le<std::uint32_t>(header + 4) != table_size - skippable_header_size) {
    return std::nullopt;
  }
  std::vector<Block> blocks;
  Block block;
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::byte* entry = file.at(table_offset + skippable_header_size + i * entry_size, entry_size);
    block.stored_size = load_le<std::uint32_t>(entry);
    block.plain_size = load_le<std::uint32_t>(entry + 4);
    if (block.stored_size < least_frame_size || block.stored_size > table_offset - block.stored_offset ||
        block.plain_size == 0) {
      return std::nullopt;
    }
    blocks.push_back(block);
    block.stored_offset += block.stored_size;
    block.plain_offset += block.plain_size;
  }
  if (block.stored_offset != table_offset) {
    return std::nullopt;
  }
  return blocks;
}

/// The frame at `offset` according to its headers; nothing if it does not state its plain size, is empty, is too large
/// to be a block, or is damaged.
std::optional<Block> frame_at(Peek& file, std::uint64_t offset) {
  constexpr std::uint64_t most_plain_size = std::uint64_t{64} << 20;
  const std::uint64_t end = file.size();
  if (end - offset < least_frame_size) {
    return std::nullopt;
  }
  const std::size_t size = header_size(file.at(offset, before_header)[4]);
  if (end - offset < size) {
    return std::nullopt;
  }
  const FrameHeader header = read_header(file.at(offset, size));
  if (header.reserved || header.dictionary || !header.content_size || *header.content_size == 0 ||
      *header.content_size > most_plain_size) {
    return std::nullopt;
  }
  Block frame{.plain_size = *header.content_size, .stored_offset = offset};
  std::uint64_t at = offset + size;
  for (ZstdBlock block; !block.last; at += block.stored_size()) {
    if (at > end || end - at < zstd_header_size) {
      return std::nullopt;
    }
    block = read_zstd_block(file.at(at, zstd_header_size));
    if (block.type == 3) {
      return std::nullopt;
    }
  }
  at += header.checksum ? 4 : 0;
  if (at > end) {
    return std::nullopt;
  }
  frame.stored_size = at - offset;
  return frame;
}

/// The blocks of a file of frames without a seek table. A single large frame is not a block: it is read in order.
std::optional<std::vector<Block>> index_by_frames(Peek& file) {
  const std::size_t most = most_blocks(file.size());
  std::vector<Block> blocks;
  FrameSizes sizes;  // frames since the last seek table
  std::uint64_t plain = 0;
  for (std::uint64_t offset = 0; offset < file.size();) {
    const std::uint64_t left = file.size() - offset;
    if (left < skippable_header_size) {
      return std::nullopt;
    }
    const std::byte* header = file.at(offset, skippable_header_size);
    const auto magic = load_le<std::uint32_t>(header);
    if (is_skippable(magic)) {
      const std::uint64_t size = skippable_header_size + load_le<std::uint32_t>(header + 4);
      if (size > left) {
        return std::nullopt;
      }
      if (magic == seek_table_magic) {
        std::uint64_t at = offset + skippable_header_size;
        const auto need = [&](MutableBytes into) {
          std::copy_n(file.at(at, into.size()), into.size(), into.begin());
          at += into.size();
        };
        const std::uint64_t table_size = size - skippable_header_size;
        if (sizes.count() > 1 && lists_as_many(sizes, table_size) && !is_seek_table(sizes, table_size, need)) {
          return std::nullopt;
        }
        sizes = {};
      }
      offset += size;
      continue;
    }
    const auto frame = magic == frame_magic ? frame_at(file, offset) : std::nullopt;
    if (!frame || blocks.size() == most) {
      return std::nullopt;
    }
    sizes.add(frame->stored_size, frame->plain_size);
    blocks.push_back(*frame);
    blocks.back().plain_offset = plain;
    plain += frame->plain_size;
    offset += frame->stored_size;
  }
  if (blocks.empty() || (blocks.size() == 1 && plain > block_size_of(std::numeric_limits<int>::max()))) {
    return std::nullopt;
  }
  return blocks;
}

class Zstd final : public Codec {
 public:
  std::string_view name() const noexcept override { return "zstd"; }
  std::span<const std::string_view> extensions() const noexcept override {
    static constexpr std::array<std::string_view, 2> list = {".zst", ".zstd"};
    return list;
  }
  /// pzstd puts a frame of four bytes before its first; if nothing else is known, that is enough.
  bool recognises(Bytes first) const noexcept override {
    const Bytes frame = behind_skippable(first);
    return (frame.size() >= 4 && load_le<std::uint32_t>(frame.data()) == frame_magic) ||
           (frame.empty() && first.size() == 12 && load_le<std::uint32_t>(first.data()) == skippable_magic &&
            load_le<std::uint32_t>(first.data() + 4) == 4);
  }
  LevelRange levels() const noexcept override { return {.lowest = 1, .highest = 19, .standard = 3}; }
  std::string library() const override { return std::string("zstd ") + ZSTD_versionString(); }

  std::size_t block_size(int level) const noexcept override { return block_size_of(level); }
  std::unique_ptr<BlockEncoder> encoder(int level) const override { return std::make_unique<ZstdEncoder>(level); }
  std::unique_ptr<BlockDecoder> decoder(const DecodeOptions& options) const override {
    return std::make_unique<ZstdDecoder>(options.window);
  }

  void epilogue(std::span<const Block> blocks, std::vector<std::byte>& out) const override {
    if (blocks.empty()) {
      ZstdEncoder(levels().lowest).encode({}, out);
    }
    if (blocks.size() < 2 || blocks.size() > most_frames) {
      return;
    }
    const std::size_t start = out.size();
    const std::size_t table_size = blocks.size() * 8 + seek_table_footer_size;
    out.resize(start + skippable_header_size + table_size);
    std::byte* at = out.data() + start;
    const auto put = [&at](std::uint64_t value) {
      store_le<std::uint32_t>(at, static_cast<std::uint32_t>(value));
      at += 4;
    };
    put(seek_table_magic);
    put(table_size);
    for (const Block& block : blocks) {
      put(block.stored_size);
      put(block.plain_size);
    }
    put(blocks.size());
    *at++ = std::byte{0};  // descriptor: entries without checksums
    put(seek_table_end);
  }

  std::optional<BlockIndex> index(const Source& stored) const override {
    Peek file(stored);
    auto blocks = index_by_table(file);
    if (!blocks) {
      blocks = index_by_frames(file);
    }
    return blocks ? std::optional(BlockIndex{std::move(*blocks)}) : std::nullopt;
  }

  std::unique_ptr<Source> in_order(Source& stored, const DecodeOptions& options) const override {
    return std::make_unique<ZstdSource>(stored, options);
  }
};

}  // namespace

std::shared_ptr<const Codec> zstd_codec() { return std::make_shared<Zstd>(); }

}  // namespace stele

#endif  // STELE_WITH_ZSTD

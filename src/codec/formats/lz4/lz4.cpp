// LZ4. A file written by stele is one frame of independent blocks with a checksum each, followed by the block index
// (table.hpp) in a skippable frame. The index also reveals damage to block sizes, which no checksum of the format
// covers. The last block is empty; it means that the index follows:
//
//   u32 0x184D2204  70 60 33  { u32 size  block  u32 XXH32 }*  u32 1  00  u32 XXH32  u32 0
//   u32 0x184D2A5D  u32 size  block table

#if STELE_WITH_LZ4

#include <lz4.h>
#include <lz4hc.h>

#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "codec/blocks/table.hpp"
#include "codec/builtin.hpp"
#include "codec/first_bytes.hpp"
#include "codec/formats/lz4/frame.hpp"
#include "codec/stream/intake.hpp"
#include "stele/error.hpp"

namespace stele {
namespace {

constexpr std::size_t largest_block = std::size_t{1} << 20;
constexpr std::uint64_t most_lz4_expansion = 255;
constexpr std::size_t magic_size = 4;
constexpr std::size_t block_header_size = 4;
constexpr std::size_t checksum_size = 4;
constexpr std::size_t around_block = block_header_size + checksum_size;
constexpr std::size_t end_mark_size = 4;
constexpr std::size_t skippable_header_size = 8;
constexpr std::size_t before_table_size = 5 + checksum_size + end_mark_size + skippable_header_size;

// Flag in Block::check. If a frame has one block and a content checksum, the block extends to the frame's end.
constexpr std::uint64_t with_checksum = 1;
constexpr std::uint64_t with_content_checksum = 2;

/// The first bytes of every file written by stele: independent blocks of at most 1 MiB with checksums.
std::array<std::byte, magic_size + lz4::least_descriptor_size> frame_header() {
  std::array<std::byte, magic_size + lz4::least_descriptor_size> header{};
  store_le<std::uint32_t>(header.data(), lz4::frame_magic);
  header[4] = std::byte{0x70};
  header[5] = std::byte{0x60};
  header[6] = std::byte{static_cast<unsigned char>(xxh32(Bytes(header).subspan(4, 2)) >> 8)};
  return header;
}

/// The bytes between the last block with data and a table of `table_size` bytes.
std::array<std::byte, before_table_size> before_table(std::uint64_t table_size) {
  std::array<std::byte, before_table_size> bytes{};
  bytes[0] = std::byte{1};  // the size of the empty block, a single 0
  store_le<std::uint32_t>(bytes.data() + 5, xxh32(Bytes(bytes).subspan(4, 1)));
  store_le<std::uint32_t>(bytes.data() + 13, lz4::table_magic);
  store_le<std::uint32_t>(bytes.data() + 17, static_cast<std::uint32_t>(table_size));
  return bytes;
}

const char* chars(const std::byte* bytes) { return reinterpret_cast<const char*>(bytes); }
char* chars(std::byte* bytes) { return reinterpret_cast<char*>(bytes); }

/// Level 1 is LZ4's fast compressor, the others are LZ4 HC.
class Lz4Encoder final : public BlockEncoder {
 public:
  explicit Lz4Encoder(int level)
      : level_(level),
        state_((static_cast<std::size_t>(level == 1 ? LZ4_sizeofState() : LZ4_sizeofStateHC()) + 7) / 8) {}

  std::uint64_t encode(Bytes plain, std::vector<std::byte>& out) override {
    if (plain.size() > largest_block) {
      fail(Errc::invalid_argument, "an lz4 block of " + std::to_string(plain.size()) + " bytes; 1 MiB is the most");
    }
    const std::size_t start = out.size();
    const Bytes last = plain.size() > lz4::large_block ? plain.last(1) : Bytes();
    const Bytes first = plain.first(plain.size() - last.size());
    out.resize(start + around_block + plain.size());
    std::byte* data = out.data() + start + block_header_size;
    const int room = static_cast<int>(first.size()) - static_cast<int>(last.empty() ? 1 : around_block);
    // A block of exactly that size would look like all but the last byte of a larger one.
    const bool is_plain = room <= 0 || plain.size() == lz4::large_block;
    const int size = is_plain ? 0 : compress(first, data, room);
    if (size <= 0) {  // it does not shrink
      out.resize(start);
      append_plain(plain, out);
      return with_checksum;
    }
    const auto stored_size = static_cast<std::size_t>(size);
    store_le<std::uint32_t>(out.data() + start, static_cast<std::uint32_t>(stored_size));
    store_le<std::uint32_t>(data + stored_size, xxh32({data, stored_size}));
    out.resize(start + around_block + stored_size);
    if (!last.empty()) {
      append_plain(last, out);
    }
    return with_checksum;
  }

 private:
  static void append_plain(Bytes plain, std::vector<std::byte>& out) {
    const std::size_t start = out.size();
    out.resize(start + block_header_size);
    store_le<std::uint32_t>(out.data() + start, static_cast<std::uint32_t>(plain.size()) | lz4::stored_plain);
    out.insert(out.end(), plain.begin(), plain.end());
    out.resize(out.size() + checksum_size);
    store_le<std::uint32_t>(out.data() + out.size() - checksum_size, xxh32(plain));
  }
  int compress(Bytes plain, std::byte* into, int room) {
    const int size = static_cast<int>(plain.size());
    return level_ == 1
               ? LZ4_compress_fast_extState(state_.data(), chars(plain.data()), chars(into), size, room, 1)
               : LZ4_compress_HC_extStateHC(state_.data(), chars(plain.data()), chars(into), size, room, level_);
  }

  const int level_;
  std::vector<std::uint64_t> state_;
};

/// Decodes one block of the index: one or two blocks of the format.
class Lz4Decoder final : public BlockDecoder {
 public:
  void decode(const Block& block, Bytes stored, MutableBytes plain) override {
    const MutableBytes all = plain;
    const bool checked = (block.check & with_checksum) != 0;
    const std::size_t around = block_header_size + (checked ? checksum_size : 0);
    Bytes frame_end;
    if ((block.check & with_content_checksum) != 0) {
      frame_end = stored.last(end_mark_size + checksum_size);
      stored = stored.first(stored.size() - frame_end.size());
    }
    while (!stored.empty()) {
      const std::uint32_t header =
          stored.size() > around ? load_le<std::uint32_t>(stored.data()) : lz4::stored_plain - 1;
      const std::size_t size = header & ~lz4::stored_plain;
      if (size > stored.size() - std::min(stored.size(), around)) {
        fail(Errc::damaged, "its size is not the one in the index");
      }
      const Bytes data = stored.subspan(block_header_size, size);
      if (checked && load_le<std::uint32_t>(data.data() + size) != xxh32(data)) {
        fail(Errc::damaged, "its checksum is wrong");
      }
      const std::size_t count = (header & lz4::stored_plain) != 0 ? copy(data, plain) : decompress(data, plain);
      plain = plain.subspan(count);
      stored = stored.subspan(around + size);
    }
    if (!plain.empty()) {
      fail(Errc::damaged, "not an lz4 block of " + std::to_string(all.size()) + " bytes");
    }
    if (!frame_end.empty() && load_le<std::uint32_t>(frame_end.data() + end_mark_size) != xxh32(all)) {
      fail(Errc::damaged, "the checksum of its frame is wrong");
    }
  }

 private:
  static std::size_t copy(Bytes data, MutableBytes plain) {
    if (data.size() > plain.size()) {
      fail(Errc::damaged, "more bytes than the index says");
    }
    std::copy(data.begin(), data.end(), plain.begin());
    return data.size();
  }
  static std::size_t decompress(Bytes data, MutableBytes plain) {
    const int size = LZ4_decompress_safe(chars(data.data()), chars(plain.data()), static_cast<int>(data.size()),
                                         static_cast<int>(plain.size()));
    if (size < 0) {
      fail(Errc::damaged, "not lz4, or more bytes than the index says");
    }
    return static_cast<std::size_t>(size);
  }
};

/// The blocks according to the table at the end; nothing if there is none that covers exactly the file.
std::optional<BlockIndex> index_by_table(Peek& file) {
  const auto header = frame_header();
  if (file.size() < header.size() || !std::equal(header.begin(), header.end(), file.at(0, header.size()))) {
    return std::nullopt;
  }
  auto table = find_block_table(file, header.size());
  if (!table || table->blocks.empty()) {
    return std::nullopt;
  }
  const std::uint64_t blocks_end = table->blocks.back().stored_offset + table->blocks.back().stored_size;
  const auto between = before_table(file.size() - table->offset);
  if (table->offset < blocks_end || table->offset - blocks_end != between.size() ||
      !std::equal(between.begin(), between.end(), file.at(blocks_end, between.size()))) {
    return std::nullopt;
  }
  for (Block& block : table->blocks) {
    if (block.plain_size > largest_block || block.stored_size <= around_block) {
      return std::nullopt;
    }
    block.check = with_checksum;
  }
  return BlockIndex{std::move(table->blocks)};
}

/// Whether only skippable frames without a block index are between `offset` and the end.
bool only_skippable(Peek& file, std::uint64_t offset) {
  while (offset < file.size()) {
    const std::uint64_t left = file.size() - offset;
    if (left < skippable_header_size) {
      return false;
    }
    const std::byte* header = file.at(offset, skippable_header_size);
    const std::uint64_t size = skippable_header_size + load_le<std::uint32_t>(header + 4);
    const auto magic = load_le<std::uint32_t>(header);
    if (!lz4::is_skippable(magic) || magic == lz4::table_magic || size > left) {
      return false;
    }
    offset += size;
  }
  return true;
}

/// Whether a block with this header may have the maximum size.
bool may_be_full(std::uint32_t header, std::size_t block_size) {
  const std::uint32_t size = header & ~lz4::stored_plain;
  return (header & lz4::stored_plain) != 0 ? size == block_size : size * most_lz4_expansion >= block_size;
}

/// Decodes a block to get its plain size; nothing if that fails.
std::optional<std::uint64_t> plain_size_of(const Source& stored, const Block& block, std::size_t block_size) {
  std::vector<std::byte> bytes(static_cast<std::size_t>(block.stored_size));
  stored.read_at(block.stored_offset, bytes);
  const std::size_t around = block_header_size + (block.check == with_checksum ? checksum_size : 0);
  const std::size_t size = bytes.size() - around;
  if ((load_le<std::uint32_t>(bytes.data()) & lz4::stored_plain) != 0) {
    return size;
  }
  const auto plain = std::make_unique_for_overwrite<char[]>(block_size);
  const int plain_size = LZ4_decompress_safe(chars(bytes.data() + block_header_size), plain.get(),
                                             static_cast<int>(size), static_cast<int>(block_size));
  return plain_size > 0 ? std::optional(static_cast<std::uint64_t>(plain_size)) : std::nullopt;
}

/// The blocks of a single frame of independent blocks, found by walking their sizes. By custom, all but the last are
/// full.
std::optional<BlockIndex> index_by_headers(Peek& file, const Source& stored) {
  const std::uint64_t end = file.size();
  if (end < magic_size + lz4::least_descriptor_size + end_mark_size) {
    return std::nullopt;
  }
  const std::byte* head = file.at(0, magic_size + lz4::least_descriptor_size);
  const std::size_t descriptor_size = lz4::descriptor_size(head[magic_size]);
  if (load_le<std::uint32_t>(head) != lz4::frame_magic || magic_size + descriptor_size > end) {
    return std::nullopt;
  }
  const auto frame = lz4::read_descriptor({file.at(magic_size, descriptor_size), descriptor_size});
  if (!frame || frame->dictionary) {
    return std::nullopt;
  }
  const std::size_t most = most_blocks(end);
  BlockIndex index;
  Block block{.stored_offset = magic_size + descriptor_size,
              .check = frame->block_checksum ? with_checksum : std::uint64_t{0}};
  bool full = true;  // of the last block
  while (true) {
    if (block.stored_offset > end || end - block.stored_offset < block_header_size) {
      return std::nullopt;
    }
    const auto header = load_le<std::uint32_t>(file.at(block.stored_offset, block_header_size));
    if (header == 0) {
      break;
    }
    const std::uint64_t size = header & ~lz4::stored_plain;
    if (!full || size == 0 || size > frame->block_size || (!frame->independent && !index.blocks.empty()) ||
        index.blocks.size() == most) {
      return std::nullopt;
    }
    full = may_be_full(header, frame->block_size);
    block.plain_size = frame->block_size;
    block.stored_size = block_header_size + size + (frame->block_checksum ? checksum_size : 0);
    index.blocks.push_back(block);
    block.plain_offset += block.plain_size;
    block.stored_offset += block.stored_size;
  }
  const std::uint64_t frame_end = block.stored_offset + end_mark_size + (frame->content_checksum ? checksum_size : 0);
  if (frame_end > end || !only_skippable(file, frame_end)) {
    return std::nullopt;
  }
  std::uint64_t plain_size = 0;
  if (!index.blocks.empty()) {
    Block& last = index.blocks.back();
    const auto last_size = plain_size_of(stored, last, frame->block_size);
    if (!last_size) {
      return std::nullopt;
    }
    last.plain_size = *last_size;
    plain_size = last.plain_offset + last.plain_size;
  }
  if (frame->content_size && *frame->content_size != plain_size) {
    return std::nullopt;
  }
  if (frame->content_checksum && index.blocks.size() == 1) {
    index.blocks[0].check |= with_content_checksum;
    index.blocks[0].stored_size += end_mark_size + checksum_size;
  }
  index.certain = index.blocks.size() < 2;
  index.complete = !frame->content_checksum || index.blocks.size() == 1;
  return index;
}

class Lz4 final : public Codec {
 public:
  std::string_view name() const noexcept override { return "lz4"; }
  std::span<const std::string_view> extensions() const noexcept override {
    static constexpr std::array<std::string_view, 1> list = {".lz4"};
    return list;
  }
  bool recognises(Bytes first) const noexcept override {
    first = behind_skippable(first);
    if (first.size() < magic_size) {
      return false;
    }
    const auto magic = load_le<std::uint32_t>(first.data());
    return magic == lz4::frame_magic || magic == lz4::legacy_magic;
  }
  LevelRange levels() const noexcept override { return {.lowest = 1, .highest = LZ4HC_CLEVEL_MAX, .standard = 1}; }
  std::string library() const override { return std::string("lz4 ") + LZ4_versionString(); }

  std::size_t block_size(int /*level*/) const noexcept override { return largest_block; }
  std::unique_ptr<BlockEncoder> encoder(int level) const override { return std::make_unique<Lz4Encoder>(level); }
  std::unique_ptr<BlockDecoder> decoder(const DecodeOptions& /*options*/) const override {
    return std::make_unique<Lz4Decoder>();
  }

  void prologue(int /*level*/, std::vector<std::byte>& out) const override {
    const auto header = frame_header();
    out.insert(out.end(), header.begin(), header.end());
  }
  void epilogue(std::span<const Block> blocks, std::vector<std::byte>& out) const override {
    if (blocks.empty() || blocks.size() > most_table_blocks) {
      out.resize(out.size() + end_mark_size);
      return;
    }
    const auto between = before_table(block_table_size(blocks.size()));
    out.insert(out.end(), between.begin(), between.end());
    append_block_table(blocks, out);
  }

  std::optional<BlockIndex> index(const Source& stored) const override {
    Peek file(stored);
    auto index = index_by_table(file);
    return index ? index : index_by_headers(file, stored);
  }

  std::unique_ptr<Source> in_order(Source& stored, const DecodeOptions& options) const override {
    return lz4::in_order(stored, options.whole);
  }
};

}  // namespace

std::shared_ptr<const Codec> lz4_codec() { return std::make_shared<Lz4>(); }

}  // namespace stele

#endif  // STELE_WITH_LZ4

// zlib, RFC 1950: one stream. A file written by stele consists of deflate blocks that do not refer to earlier ones and
// end at a byte boundary. Before each is a marker (marker.hpp) with its length. Then the end follows:
//
//   78 xx  { marker  deflate … 00 00 ff ff }*  03 00  u32 Adler-32 (big-endian)

#include <algorithm>
#include <array>
#include <limits>
#include <memory>
#include <string>

#include "base/bytes.hpp"
#include "codec/builtin.hpp"
#include "codec/formats/deflate.hpp"
#include "codec/formats/zlib/marker.hpp"
#include "codec/stream/intake.hpp"
#include "stele/error.hpp"

namespace stele {
namespace {

constexpr std::size_t header_size = 2;
constexpr std::array<std::byte, 2> last_block = {std::byte{3}, std::byte{0}};  // an empty block
constexpr std::size_t ending_size = last_block.size() + 4;

class ZlibEncoder final : public BlockEncoder {
 public:
  explicit ZlibEncoder(int level) : deflate_(make_deflate(level, DeflateEnd::full_flush)) {}

  std::uint64_t encode(Bytes plain, std::vector<std::byte>& out) override {
    if (plain.size() > most_deflated) {
      fail(Errc::invalid_argument, "a zlib block of " + std::to_string(plain.size()) + " bytes; 1 GiB is the most");
    }
    const std::size_t start = out.size();
    const std::size_t bound = deflate_->bound(plain.size());
    out.resize(start + zlib::marker_size + bound);
    const std::size_t size = (*deflate_)(plain, {out.data() + start + zlib::marker_size, bound});
    const std::uint32_t adler = adler32_of(1, plain);
    const auto marker =
        zlib::make_marker({static_cast<std::uint32_t>(size), static_cast<std::uint32_t>(plain.size()), adler});
    std::copy(marker.begin(), marker.end(), out.begin() + static_cast<std::ptrdiff_t>(start));
    out.resize(start + zlib::marker_size + size);
    return adler;
  }

 private:
  const std::unique_ptr<Deflate> deflate_;
};

class ZlibDecoder final : public BlockDecoder {
 public:
  void decode(const Block& block, Bytes stored, MutableBytes plain) override {
    stream_.assign(stored.begin(), stored.end());
    stream_.insert(stream_.end(), last_block.begin(), last_block.end());
    if (!(*inflate_)(stream_, plain) || adler32_of(1, plain) != block.check) {
      fail(Errc::damaged, "not a zlib block of " + std::to_string(plain.size()) + " bytes with the right checksum");
    }
  }

 private:
  const std::unique_ptr<Inflate> inflate_ = make_inflate(Inflate::Format::deflate);
  std::vector<std::byte> stream_;  // a block, completed to a whole stream
};

/// Lists the blocks of the stream at `offset` from their markers, and moves `offset` after the stream. Returns false if
/// a block has no marker, or the checksum is not that of the blocks.
bool list_stream(Peek& file, std::uint64_t& offset, std::vector<Block>& blocks) {
  const std::uint64_t end = file.size();
  if (end - offset < header_size + ending_size) {
    return false;
  }
  const std::byte* header = file.at(offset, header_size);
  if (!zlib::is_header(header[0], header[1])) {
    return false;
  }
  offset += header_size;
  std::uint32_t adler = 1;
  while (end - offset >= zlib::marker_size + ending_size) {
    const auto marker = zlib::read_marker({file.at(offset, zlib::marker_size), zlib::marker_size});
    if (!marker) {
      break;
    }
    Block block{.stored_offset = offset, .check = marker->adler};
    block.stored_size = zlib::marker_size + std::uint64_t{marker->stored_size};
    block.plain_size = marker->plain_size;
    if (block.stored_size > end - offset || block.plain_size == 0 ||
        block.plain_size > block.stored_size * most_expansion || blocks.size() == most_blocks(end)) {
      return false;
    }
    block.plain_offset = blocks.empty() ? 0 : blocks.back().plain_offset + blocks.back().plain_size;
    blocks.push_back(block);
    adler = adler32_of_both(adler, marker->adler, block.plain_size);
    offset += block.stored_size;
  }
  if (end - offset < ending_size) {
    return false;
  }
  const std::byte* trailer = file.at(offset, ending_size);
  offset += ending_size;
  return std::equal(last_block.begin(), last_block.end(), trailer) &&
         load_be<std::uint32_t>(trailer + last_block.size()) == adler;
}

class Zlib final : public Codec {
 public:
  std::string_view name() const noexcept override { return "zlib"; }
  std::span<const std::string_view> extensions() const noexcept override {
    static constexpr std::array<std::string_view, 3> list = {".z", ".zz", ".zlib"};
    return list;
  }
  /// The header has no magic number, so this also checks the first deflate block.
  bool recognises(Bytes first) const noexcept override {
    if (first.size() < header_size + ending_size || !zlib::is_header(first[0], first[1])) {
      return false;
    }
    const auto bits = load_le<std::uint32_t>(first.data() + header_size);
    switch (bits >> 1 & 3) {
      case 0:  // stored: the length and its complement
        return first.size() >= header_size + 5 &&
               (load_le<std::uint16_t>(first.data() + 3) ^ load_le<std::uint16_t>(first.data() + 5)) == 0xffff;
      case 1:
        return true;
      case 2:  // at most 286 literals and lengths, and 30 distances
        return (bits >> 3 & 31) <= 29 && (bits >> 8 & 31) <= 29;
      default:
        return false;
    }
  }
  LevelRange levels() const noexcept override { return deflate_levels(DeflateEnd::full_flush); }
  std::string library() const override { return deflate_libraries(); }

  std::size_t block_size(int /*level*/) const noexcept override { return std::size_t{1} << 20; }
  std::unique_ptr<BlockEncoder> encoder(int level) const override { return std::make_unique<ZlibEncoder>(level); }
  std::unique_ptr<BlockDecoder> decoder(const DecodeOptions& /*options*/) const override {
    return std::make_unique<ZlibDecoder>();
  }

  void prologue(int level, std::vector<std::byte>& out) const override {
    const std::byte flags{level <= 1   ? std::uint8_t{0x01}
                          : level <= 5 ? std::uint8_t{0x5e}
                          : level == 6 ? std::uint8_t{0x9c}
                                       : std::uint8_t{0xda}};
    out.insert(out.end(), {std::byte{0x78}, flags});  // a window of 32 KiB
  }
  void epilogue(std::span<const Block> blocks, std::vector<std::byte>& out) const override {
    std::uint32_t adler = 1;
    for (const Block& block : blocks) {
      adler = adler32_of_both(adler, static_cast<std::uint32_t>(block.check), block.plain_size);
    }
    out.insert(out.end(), last_block.begin(), last_block.end());
    out.resize(out.size() + 4);
    store_be<std::uint32_t>(out.data() + out.size() - 4, adler);
  }

  std::optional<BlockIndex> index(const Source& stored) const override {
    Peek file(stored);
    std::vector<Block> blocks;
    std::uint64_t offset = 0;
    do {
      if (!list_stream(file, offset, blocks)) {
        return std::nullopt;
      }
    } while (offset < file.size());
    return BlockIndex{std::move(blocks)};
  }

  std::unique_ptr<Source> in_order(Source& stored, const DecodeOptions& options) const override {
    return zlib::in_order(stored, options.whole);
  }
};

}  // namespace

std::shared_ptr<const Codec> zlib_codec() { return std::make_shared<Zlib>(); }

}  // namespace stele

// gzip, RFC 1952. A file written by stele has one block per member, with this subfield in FEXTRA:
//
//   'S' 't'  u16 8  u32 size of the whole member  u32 size of the plain block          (all little-endian)
//
// A reader finds every member by walking the headers, and any gunzip can read the file.

#include <algorithm>
#include <array>
#include <iterator>
#include <limits>
#include <memory>
#include <string>

#include "base/bytes.hpp"
#include "codec/builtin.hpp"
#include "codec/formats/deflate.hpp"
#include "codec/formats/gzip/member.hpp"
#include "codec/stream/intake.hpp"
#include "stele/error.hpp"

namespace stele {
namespace {

constexpr std::size_t header_size = 24;  // of a member written by stele
constexpr std::size_t empty_deflate_size = 2;
/// What follows the header of an empty member: an empty deflate stream, and 0 for checksum and size.
constexpr std::array<std::byte, empty_deflate_size + gzip::trailer_size> empty_member_end = {std::byte{3}};

/// Writes the header of a member with stele's subfield.
void store_header(std::byte* to, std::uint32_t member_size, std::uint32_t plain_size) {
  constexpr std::array<unsigned char, 16> fixed = {0x1f, 0x8b, 8,  4, 0,   0,   0, 0,   // deflate, FEXTRA, no time
                                                   0,    255,  12, 0, 'S', 't', 8, 0};  // no hint, no system, XLEN
  std::transform(fixed.begin(), fixed.end(), to, [](unsigned char c) { return std::byte{c}; });
  store_le<std::uint32_t>(to + 16, member_size);
  store_le<std::uint32_t>(to + 20, plain_size);
}

class GzipEncoder final : public BlockEncoder {
 public:
  explicit GzipEncoder(int level) : deflate_(make_deflate(level, DeflateEnd::final_block)) {}

  std::uint64_t encode(Bytes plain, std::vector<std::byte>& out) override {
    if (plain.size() > most_deflated) {
      fail(Errc::invalid_argument, "a gzip block of " + std::to_string(plain.size()) + " bytes; 1 GiB is the most");
    }
    const std::size_t start = out.size();
    const std::size_t bound = deflate_->bound(plain.size());
    out.resize(start + header_size + bound + gzip::trailer_size);
    std::byte* member = out.data() + start;
    const std::size_t size = (*deflate_)(plain, {member + header_size, bound});
    const std::uint32_t crc = crc32_of(0, plain);
    const std::size_t member_size = header_size + size + gzip::trailer_size;
    store_header(member, static_cast<std::uint32_t>(member_size), static_cast<std::uint32_t>(plain.size()));
    store_le<std::uint32_t>(member + header_size + size, crc);
    store_le<std::uint32_t>(member + header_size + size + 4, static_cast<std::uint32_t>(plain.size()));
    out.resize(start + member_size);
    return crc;
  }

 private:
  const std::unique_ptr<Deflate> deflate_;
};

class GzipDecoder final : public BlockDecoder {
 public:
  void decode(const Block& /*block*/, Bytes stored, MutableBytes plain) override {
    if (!(*gunzip_)(stored, plain)) {
      fail(Errc::damaged, "not a gzip member of " + std::to_string(plain.size()) + " bytes with the right checksum");
    }
  }

 private:
  const std::unique_ptr<Inflate> gunzip_ = make_inflate(Inflate::Format::gzip);
};

/// The size of the member at `offset` from the subfield of mgzip and pgzip ("IG") or of MiGz ("MZ"). It is the size of
/// the whole member or only of its deflate stream: the bytes after it tell which. `before` is the size of the header.
std::optional<std::uint64_t> size_by_other_tools(Peek& file, std::uint64_t offset, Bytes extra, std::size_t before) {
  const std::byte* value = gzip::find_subfield(extra, 'I', 'G', 4);
  if (value == nullptr) {
    value = gzip::find_subfield(extra, 'M', 'Z', 4);
  }
  if (value == nullptr) {
    return std::nullopt;
  }
  const std::uint64_t left = file.size() - offset;
  const std::uint64_t counted = load_le<std::uint32_t>(value);
  for (std::uint64_t size : {counted, counted + before + gzip::trailer_size}) {
    if (size == left || (left > 3 && size <= left - 3 && gzip::begins_member(file.at(offset + size, 3)))) {
      return size;
    }
  }
  return std::nullopt;
}

/// The member at `offset` according to its header; nothing if the header does not state the size. Needs at least 20
/// bytes of the file.
std::optional<Block> block_at(Peek& file, std::uint64_t offset) {
  const std::uint64_t left = file.size() - offset;
  const std::size_t before_extra = gzip::fixed_size + 2;
  if (left < before_extra + empty_deflate_size + gzip::trailer_size) {
    return std::nullopt;
  }
  const std::byte* header = file.at(offset, before_extra);
  const std::byte flags = header[3];
  // The header's checksum is only checked when reading in order.
  if (!gzip::begins_member(header) || (flags & gzip::flag_extra) == std::byte{0} ||
      (flags & (gzip::flags_reserved | gzip::flag_header_crc)) != std::byte{0}) {
    return std::nullopt;
  }
  const std::size_t extra_size = load_le<std::uint16_t>(header + gzip::fixed_size);
  const std::size_t before = before_extra + extra_size;
  const std::size_t least = before + empty_deflate_size + gzip::trailer_size;
  if (least > left || before > Peek::window_size) {
    return std::nullopt;
  }
  const std::byte* extra = file.at(offset, before) + before_extra;
  auto sizes = gzip::find_sizes({extra, extra_size});
  if (!sizes) {
    if (const auto size = size_by_other_tools(file, offset, {extra, extra_size}, before)) {
      sizes = gzip::MemberSizes{*size, std::nullopt};
    }
  }
  if (!sizes || sizes->stored < least || sizes->stored > left) {
    return std::nullopt;
  }
  Block block{.stored_offset = offset, .stored_size = sizes->stored};
  block.plain_size = sizes->plain ? *sizes->plain : load_le<std::uint32_t>(file.at(offset + sizes->stored - 4, 4));
  if (block.plain_size > block.stored_size * most_expansion) {
    return std::nullopt;
  }
  // An empty member is skipped, so check it completely.
  if (block.plain_size == 0 && (flags != gzip::flag_extra || block.stored_size != least ||
                                !std::equal(empty_member_end.begin(), empty_member_end.end(),
                                            file.at(offset + before, empty_member_end.size())))) {
    return std::nullopt;
  }
  return block;
}

class Gzip final : public Codec {
 public:
  std::string_view name() const noexcept override { return "gzip"; }
  std::span<const std::string_view> extensions() const noexcept override {
    static constexpr std::array<std::string_view, 2> list = {".gz", ".gzip"};
    return list;
  }
  bool recognises(Bytes first) const noexcept override {
    return first.size() >= 3 && gzip::begins_member(first.data());
  }
  LevelRange levels() const noexcept override { return deflate_levels(DeflateEnd::final_block); }
  std::string library() const override { return deflate_libraries(); }

  std::size_t block_size(int /*level*/) const noexcept override { return std::size_t{1} << 20; }
  std::unique_ptr<BlockEncoder> encoder(int level) const override { return std::make_unique<GzipEncoder>(level); }
  std::unique_ptr<BlockDecoder> decoder(const DecodeOptions& /*options*/) const override {
    return gzip::make_decoder();
  }

  void epilogue(std::span<const Block> blocks, std::vector<std::byte>& out) const override {
    if (blocks.empty()) {
      constexpr std::size_t size = header_size + empty_deflate_size + gzip::trailer_size;
      const std::size_t start = out.size();
      out.resize(start + size);
      store_header(out.data() + start, size, 0);
      out[start + header_size] = std::byte{3};
    }
  }

  std::optional<BlockIndex> index(const Source& stored) const override {
    Peek file(stored);
    if (file.size() == 0) {
      return std::nullopt;
    }
    const std::size_t most = most_blocks(file.size());
    std::vector<Block> blocks;
    std::uint64_t plain = 0;
    for (std::uint64_t offset = 0; offset < file.size();) {
      const auto block = block_at(file, offset);
      if (!block) {
        return std::nullopt;
      }
      if (block->plain_size > 0) {
        if (blocks.size() == most) {
          return std::nullopt;
        }
        blocks.push_back(*block);
        blocks.back().plain_offset = plain;
        plain += block->plain_size;
      }
      offset += block->stored_size;
    }
    return BlockIndex{std::move(blocks)};
  }

  std::unique_ptr<Source> in_order(Source& stored, const DecodeOptions& options) const override {
    return gzip::in_order(stored, options);
  }
};

/// Deflate blocks that do not refer to earlier ones.
class MemberEncoder final : public BlockEncoder {
 public:
  explicit MemberEncoder(int level) : deflate_(make_deflate(level, DeflateEnd::full_flush)) {}

  std::uint64_t encode(Bytes plain, std::vector<std::byte>& out) override {
    const std::size_t start = out.size();
    const std::size_t bound = deflate_->bound(plain.size());
    out.resize(start + bound);
    out.resize(start + (*deflate_)(plain, {out.data() + start, bound}));
    return crc32_of(0, plain);
  }

 private:
  const std::unique_ptr<Deflate> deflate_;
};

class GzipMember final : public Codec {
 public:
  std::string_view name() const noexcept override { return all_.name(); }
  std::span<const std::string_view> extensions() const noexcept override { return all_.extensions(); }
  bool recognises(Bytes first) const noexcept override { return all_.recognises(first); }
  LevelRange levels() const noexcept override { return deflate_levels(DeflateEnd::full_flush); }
  std::string library() const override { return all_.library(); }
  std::size_t block_size(int level) const noexcept override { return all_.block_size(level); }
  std::unique_ptr<BlockEncoder> encoder(int level) const override { return std::make_unique<MemberEncoder>(level); }
  std::unique_ptr<BlockDecoder> decoder(const DecodeOptions& options) const override { return all_.decoder(options); }

  void prologue(int /*level*/, std::vector<std::byte>& out) const override {
    constexpr std::array<unsigned char, 10> fixed = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255};
    std::ranges::transform(fixed, std::back_inserter(out), [](unsigned char c) { return std::byte{c}; });
  }
  void epilogue(std::span<const Block> blocks, std::vector<std::byte>& out) const override {
    std::uint32_t crc = 0;
    std::uint64_t size = 0;
    for (const Block& block : blocks) {
      crc = crc32_of_both(crc, static_cast<std::uint32_t>(block.check), block.plain_size);
      size += block.plain_size;
    }
    const std::size_t start = out.size();
    out.resize(start + empty_deflate_size + gzip::trailer_size);
    out[start] = std::byte{3};
    store_le<std::uint32_t>(out.data() + start + empty_deflate_size, crc);
    store_le<std::uint32_t>(out.data() + start + empty_deflate_size + 4, static_cast<std::uint32_t>(size));
  }

  std::optional<BlockIndex> index(const Source& stored) const override { return all_.index(stored); }
  std::unique_ptr<Source> in_order(Source& stored, const DecodeOptions& options) const override {
    return all_.in_order(stored, options);
  }

 private:
  const Gzip all_;
};

}  // namespace

std::unique_ptr<BlockDecoder> gzip::make_decoder() { return std::make_unique<GzipDecoder>(); }

std::shared_ptr<const Codec> gzip_codec() { return std::make_shared<Gzip>(); }

std::shared_ptr<const Codec> gzip_member_codec() { return std::make_shared<GzipMember>(); }

}  // namespace stele

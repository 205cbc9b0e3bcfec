#pragma once
// The LZ4 frame format, version 1.6 (https://github.com/lz4/lz4, doc/lz4_Frame_format.md), shared by lz4.cpp, which
// writes frames and finds their blocks, and source.cpp, which reads them in order.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "base/bytes.hpp"
#include "base/checksum.hpp"
#include "stele/io.hpp"

namespace stele::lz4 {

constexpr std::uint32_t frame_magic = 0x184d2204;
constexpr std::uint32_t legacy_magic = 0x184c2102;
constexpr std::uint32_t skippable_magic = 0x184d2a50;  // to 0x184d2a5f
constexpr std::uint32_t table_magic = 0x184d2a5d;      // the skippable frame with stele's block index
constexpr std::uint32_t stored_plain = 0x80000000;     // flag in a block size: not compressed

constexpr bool is_skippable(std::uint32_t magic) { return (magic & 0xfffffff0) == skippable_magic; }

/// The fields between the magic number and the first block.
struct Descriptor {
  bool independent = false;  // no block refers to the previous one
  bool block_checksum = false;
  bool content_checksum = false;
  bool dictionary = false;
  std::optional<std::uint64_t> content_size;
  std::size_t block_size = 0;  // maximum plain size of a block
};

constexpr std::size_t least_descriptor_size = 3;
constexpr std::size_t most_descriptor_size = 15;

/// The size of a descriptor, given its first byte.
constexpr std::size_t descriptor_size(std::byte flags) {
  return least_descriptor_size + ((flags & std::byte{0x08}) != std::byte{0} ? 8 : 0) +
         ((flags & std::byte{0x01}) != std::byte{0} ? 4 : 0);
}

/// Reads a complete descriptor. Nothing for another version or a wrong checksum.
inline std::optional<Descriptor> read_descriptor(Bytes bytes) {
  const auto flags = std::to_integer<unsigned>(bytes[0]);
  const auto sizes = std::to_integer<unsigned>(bytes[1]);
  const unsigned size_code = sizes >> 4;
  if (flags >> 6 != 1 || (flags & 0x02) != 0 || (sizes & 0x8f) != 0 || size_code < 4 ||
      std::byte{static_cast<unsigned char>(xxh32(bytes.first(bytes.size() - 1)) >> 8)} != bytes.back()) {
    return std::nullopt;
  }
  Descriptor descriptor{.independent = (flags & 0x20) != 0,
                        .block_checksum = (flags & 0x10) != 0,
                        .content_checksum = (flags & 0x04) != 0,
                        .dictionary = (flags & 0x01) != 0,
                        .content_size = std::nullopt,
                        .block_size = std::size_t{1} << (8 + 2 * size_code)};
  if ((flags & 0x08) != 0) {
    descriptor.content_size = load_le<std::uint64_t>(bytes.data() + 2);
  }
  return descriptor;
}

/// Whether a frame has the form that stele writes. If it ends with an empty block, the block index follows.
constexpr bool may_have_table(const Descriptor& frame) {
  return frame.independent && frame.block_checksum && !frame.content_checksum && !frame.content_size;
}

/// If a block has more plain bytes than this, its last byte is stored in a second, uncompressed block. Otherwise
/// the lz4 tool (1.9.4 at least) reads four bytes too many after a frame that ends with a block checksum:
/// LZ4F_decompress() counts the checksum twice when it asks for the rest of a compressed block.
constexpr std::size_t large_block = std::size_t{32} << 10;

/// Codec::in_order(), with DecodeOptions::whole.
std::unique_ptr<Source> in_order(Source& stored, bool whole);

}  // namespace stele::lz4

#pragma once
// The members of gzip files, shared by gzip.cpp, which writes and finds them, and source.cpp, which reads them in
// order.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "base/bytes.hpp"
#include "stele/codec.hpp"

namespace stele::gzip {

constexpr auto flag_header_crc = std::byte{0x02};
constexpr auto flag_extra = std::byte{0x04};
constexpr auto flag_name = std::byte{0x08};
constexpr auto flag_comment = std::byte{0x10};
constexpr auto flags_reserved = std::byte{0xe0};

constexpr std::size_t fixed_size = 10;  // of a header, without the optional fields
constexpr std::size_t trailer_size = 8;

/// Whether three bytes begin a member.
inline bool begins_member(const std::byte* bytes) {
  return bytes[0] == std::byte{0x1f} && bytes[1] == std::byte{0x8b} && bytes[2] == std::byte{8};
}

/// The sizes that FEXTRA states for its member.
struct MemberSizes {
  std::uint64_t stored = 0;
  std::optional<std::uint32_t> plain;
};

/// The value of a subfield of `length` bytes, or null.
inline const std::byte* find_subfield(Bytes extra, char first, char second, std::size_t length) {
  while (extra.size() >= 4) {
    const std::size_t size = load_le<std::uint16_t>(extra.data() + 2);
    const Bytes value = extra.subspan(4);
    if (size > value.size()) {
      break;
    }
    if (extra[0] == static_cast<std::byte>(first) && extra[1] == static_cast<std::byte>(second) && size == length) {
      return value.data();
    }
    extra = value.subspan(size);
  }
  return nullptr;
}

/// From stele's subfield, or else from BGZF's.
inline std::optional<MemberSizes> find_sizes(Bytes extra) {
  if (const std::byte* value = find_subfield(extra, 'S', 't', 8)) {
    return MemberSizes{load_le<std::uint32_t>(value), load_le<std::uint32_t>(value + 4)};
  }
  if (const std::byte* value = find_subfield(extra, 'B', 'C', 2)) {
    return MemberSizes{load_le<std::uint16_t>(value) + std::uint64_t{1}, std::nullopt};
  }
  return std::nullopt;
}

/// Codec::in_order() and Codec::decoder().
std::unique_ptr<Source> in_order(Source& stored, const DecodeOptions& options);
std::unique_ptr<BlockDecoder> make_decoder();

}  // namespace stele::gzip

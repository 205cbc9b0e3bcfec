#pragma once
// The numbers of zip files, as APPNOTE.TXT gives them. All integers are little-endian.

#include <cstddef>
#include <cstdint>

namespace stele {

/// A record's signature, and the bytes of its fixed part with the signature.
struct ZipRecord {
  std::uint32_t signature;
  std::size_t bytes;
};

constexpr ZipRecord zip_local{0x04034b50, 30};       // a member's header: name, extra fields and content follow
constexpr ZipRecord zip_descriptor{0x08074b50, 16};  // after a content: checksum and sizes, 8 bytes more in ZIP64
constexpr ZipRecord zip_central{0x02014b50, 46};     // a member in the directory: name, extra fields, comment follow
constexpr ZipRecord zip_end{0x06054b50, 22};         // where the directory is; a comment follows
constexpr ZipRecord zip64_end{0x06064b50, 56};       // the same with 8 bytes for a number
constexpr ZipRecord zip64_locator{0x07064b50, 20};   // where that is; lies before the end

constexpr std::size_t zip_crc_at = 14;  // in a member's header

constexpr std::uint16_t zip_stored = 0;
constexpr std::uint16_t zip_deflated = 8;

constexpr std::uint16_t zip_encrypted = 1U << 0;
constexpr std::uint16_t zip_has_descriptor = 1U << 3;  // sizes and checksum follow the content
constexpr std::uint16_t zip_is_patch = 1U << 5;
constexpr std::uint16_t zip_has_utf8 = 1U << 11;
constexpr std::uint16_t zip_is_masked = 1U << 13;  // values in headers are hidden

/// In place of a number that only a ZIP64 field has room for.
constexpr std::uint64_t zip_elsewhere16 = 0xffff;
constexpr std::uint64_t zip_elsewhere32 = 0xffffffff;

// Extra fields: 2 bytes of type, 2 of size.
constexpr std::uint16_t zip64_extra = 1;
constexpr std::uint16_t alignment_extra = 0xd935;  // Android's: 2 bytes of the alignment, and zeros up to it

constexpr std::uint16_t zip_version = 20;  // needed for deflate
constexpr std::uint16_t zip64_version = 45;

}  // namespace stele

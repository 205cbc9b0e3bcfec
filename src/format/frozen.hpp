#pragma once
// The numbers on disk. None of them may ever change. docs/format.md lists the same numbers; golden files pin them.

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace stele::frozen {

/// Item 1: tag 55800 (RFC 9277) of tag "STEL" of the bytes "BOR".
inline constexpr std::array<std::uint8_t, 12> label = {0xd9, 0xd9, 0xf8, 0xda, 0x53, 0x54,
                                                       0x45, 0x4c, 0x43, 0x42, 0x4f, 0x52};

// Tags (IANA registry "CBOR Tags").
inline constexpr std::uint64_t tag_typed_first = 64;  // RFC 8746: 64 to 87
inline constexpr std::uint64_t tag_typed_last = 87;
inline constexpr std::uint64_t tag_row_major = 40;       // RFC 8746
inline constexpr std::uint64_t tag_column_major = 1040;  // RFC 8746
inline constexpr std::uint64_t tag_generic_object = 27;

/// The names of types of Python's objects begin so. Of a generic object, the values of these fields hold its members.
inline constexpr std::string_view object_prefix = "py:";
inline constexpr std::string_view object_members[] = {"state", "entries"};

inline constexpr std::uint64_t tag_shareable = 28;
inline constexpr std::uint64_t tag_shared_reference = 29;
inline constexpr std::uint64_t tag_record_definition = 105;
inline constexpr std::uint64_t tag_record_first = 26880;
inline constexpr std::uint64_t tag_record_last = 27135;
inline constexpr std::uint64_t tag_no_op = 55799;

// Tags of stele, from the first-come-first-served range.
inline constexpr std::uint64_t tag_dtype_array = 0x53544501;    // [dtype, bytes]
inline constexpr std::uint64_t tag_growing_rows = 0x53544502;   // [extents after the first, typed array]
inline constexpr std::uint64_t tag_array_view = 0x53544503;     // [base array, first element, extents, element strides]
inline constexpr std::uint64_t tag_encoded_array = 0x53544504;  // [dtype, items, description of the encoding, bytes]

inline constexpr std::uint64_t tag_deferred = 0x53544505;         // index, or [index, type name], of a deferred value
inline constexpr std::uint64_t tag_deferred_values = 0x53544506;  // index of the first deferred value that follows

inline constexpr std::size_t deferring_depth = 100;  // shared objects below this many open containers are deferred

inline constexpr std::size_t array_alignment = 64;
inline constexpr std::uint64_t listed_array_bytes = 4096;  // arrays of this size or more are aligned and listed
inline constexpr std::uint64_t listed_node_bytes = 65536;
inline constexpr std::uint64_t step_bytes = 65536;

/// Larger arrays have a checksum for each piece of so many bytes of their elements.
inline constexpr std::uint64_t checked_piece_bytes = std::uint64_t{1} << 20;

/// The trailer: a byte string of six little-endian 64-bit numbers.
inline constexpr std::size_t trailer_payload = 48;
inline constexpr std::size_t trailer_bytes = trailer_payload + 2;
inline constexpr std::string_view end_magic = "STELEEND";

/// A linked archive (docs/format.md): the first bytes of its file, the magic of its trailer, the folder of files that
/// are kept because others refer to them, and what the place of bytes in a file and in the archive agree in.
inline constexpr std::array<std::uint8_t, 12> link_label = {0xd9, 0xd9, 0xf8, 0xda, 0x53, 0x54,
                                                            0x45, 0x4c, 0x43, 0x4c, 0x4e, 0x4b};
inline constexpr std::string_view link_end_magic = "STELELNK";
inline constexpr std::string_view kept_folder = "parts";
inline constexpr std::uint64_t link_alignment = 4096;

/// What follows each commit of a growing file of zstd or lz4: a skippable frame of this number that holds end_magic.
inline constexpr std::uint32_t commit_mark = 0x184d2a53;

}  // namespace stele::frozen

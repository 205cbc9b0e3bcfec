#pragma once
// The numbers in a store's files. None of them may ever change. docs/store.md lists the same numbers; golden files pin
// them.

#include <array>
#include <cstddef>
#include <cstdint>

namespace stele::store_frozen {

/// The first item of a shard: tag 55800 (RFC 9277) of tag "STES" of the bytes "BOR".
inline constexpr std::array<std::uint8_t, 12> label = {0xd9, 0xd9, 0xf8, 0xda, 0x53, 0x54,
                                                       0x45, 0x53, 0x43, 0x42, 0x4f, 0x52};
inline constexpr std::uint64_t format = 1;
inline constexpr std::size_t header_bytes = 128;  // label and header with padding; the first record follows

// Records are CBOR arrays. The number of items gives the kind.
inline constexpr std::uint64_t record_commit = 1;  // [check, number and id]
inline constexpr std::uint64_t record_erased = 2;  // [check, key]
inline constexpr std::uint64_t record_plain = 3;   // [check, key, value]
inline constexpr std::uint64_t record_packed = 4;  // [check, key, dictionary, [size, compressed value]]
inline constexpr std::uint64_t record_large = 5;   // [check, key, value's check, dictionary + 1 or 0, value]
// The number of a commit, ascending from 1. With the flag commit_part, the records before the mark are part of a
// commit. They count if another shard has a mark with this number or a greater one, without the flag.
inline constexpr std::uint64_t commit_part = std::uint64_t{1} << 63;
inline constexpr std::byte filler{0xf7};  // undefined, between records

inline constexpr std::uint64_t tag_item = 24;     // a CBOR item in a byte string (RFC 8949, section 3.4.5.1)
inline constexpr std::uint64_t tag_archive = 63;  // a CBOR sequence in a byte string (registry of CBOR tags)
inline constexpr std::size_t alignment = 64;
inline constexpr std::size_t aligned_value = 4096;                 // payloads of at least this size are aligned
inline constexpr std::size_t large_value = std::size_t{64} << 10;  // larger values have their own checksum
inline constexpr std::size_t compressed_least = 32;                // smaller values are never compressed

// Keys in the index, the first byte of each.
inline constexpr char index_state = 1;  // one entry
inline constexpr char index_shard = 2;  // and the shard's number
inline constexpr char index_order = 3;  // and the order's number, the value to sort by, the key
inline constexpr char index_block = 4;  // and the first key it may hold

}  // namespace stele::store_frozen

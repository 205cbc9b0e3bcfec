#pragma once
// The numbers of a cache's files (docs/cache.md). Version 1 never changes: another layout is another version, and a
// cache of a version that is not known is refused.

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace stele::cache_frozen {

constexpr std::string_view index_magic = "stelecix";
constexpr std::string_view segment_magic = "stelecsg";
constexpr std::string_view algorithm = "xxh3-128";
constexpr std::uint32_t version = 1;

// The index: a head of a page, then 2^bits slots.
constexpr std::size_t index_head = 4096;
constexpr unsigned least_bits = 10;
constexpr unsigned most_bits = 34;

// A segment: a head, then records at multiples of record_alignment.
constexpr std::size_t segment_head = 64;
constexpr std::size_t record_alignment = 16;
constexpr std::size_t payload_alignment = 64;  // of archives, so that their arrays can be mapped
constexpr std::uint32_t record_magic = 0x43455243;
constexpr std::size_t record_head = 72;

// An object of a remote: a head, one record, the content of its file, and a checksum.
constexpr std::string_view parcel_magic = "stelecrs";
constexpr std::size_t parcel_head = 16;
constexpr std::size_t parcel_checksum = 8;

/// Seconds of a slot count from here: 2020-01-01, 00:00 UTC. They last until 2156.
constexpr double epoch = 1'577'836'800;

}  // namespace stele::cache_frozen

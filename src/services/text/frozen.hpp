#pragma once
// The numbers in state texts. None of them may ever change; docs/guide/state-as-text.md lists the same numbers, golden
// texts in tests/text/state_text_test.cpp pin them.

#include <cstddef>
#include <cstdint>

namespace stele::text_frozen {

/// The first byte: 0xb0 and the version. A text thus begins with "s".
inline constexpr std::uint8_t magic = 0xb0;
inline constexpr std::uint8_t version = 1;

/// The second byte: the codec, and what the bytes behind the header are.
inline constexpr std::uint8_t codec_mask = 0x07;
inline constexpr std::uint8_t flag_dictionary = 0x08;   // made with a dictionary, whose id is in the header
inline constexpr std::uint8_t flag_integers = 0x10;     // one array of integers; else a CBOR item as archives have them
inline constexpr std::uint8_t flag_differences = 0x20;  // integers: each but the first is stored as what it adds
inline constexpr std::uint8_t flag_packed = 0x40;       // integers: in bits, not in bytes
inline constexpr std::uint8_t flag_natural = 0x80;      // integers: unsigned, as some are 2^63 or more

enum class Codec : std::uint8_t {
  stored = 0,
  deflate = 1,  // RFC 1951
  zstd = 2,     // RFC 8878, a frame without its magic number
  entropy = 3,  // state_text_entropy.hpp
  zlib = 4,     // RFC 1950
};

inline constexpr std::size_t header_bytes = 2;    // then the dictionary's id (4), if any
inline constexpr std::size_t checksum_bytes = 4;  // last: the low half of the XXH3-64 of all before, little-endian

// The entropy coder: rANS with two states of 32 bits, words of 16 bits, frequencies of 12 bits.
inline constexpr unsigned frequency_bits = 12;
inline constexpr std::uint32_t frequency_total = 1U << frequency_bits;
inline constexpr std::uint32_t state_least = 1U << 16;
inline constexpr unsigned mantissa_bits = 3;  // of a weight in a table of frequencies

/// The bytes in front of a CBOR item count for its offsets: arrays of 4 KiB or more lie at multiples of 64 as they do
/// behind the label of an archive.
inline constexpr std::size_t label_bytes = 12;

}  // namespace stele::text_frozen

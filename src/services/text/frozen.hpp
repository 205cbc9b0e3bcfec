#pragma once
// The numbers in state texts. None of them may ever change; docs/guide/state-as-text.md lists the same numbers, golden
// texts in tests/text/state_text_test.cpp pin them.

#include <cstddef>
#include <cstdint>

namespace stele::text_frozen {

/// The first plain byte: 0xb0 and the version.
inline constexpr std::uint8_t mark = 0xb0;
inline constexpr std::uint8_t version = 1;

/// The second plain byte: what follows.
inline constexpr std::uint8_t width_mask = 0x0f;  // an array of integers: bytes of an offset, 1 to 8; 0: a CBOR item
inline constexpr std::uint8_t flag_base = 0x10;   // an array of integers: its base comes first

inline constexpr std::size_t head_bytes = 2;
inline constexpr std::size_t base_bytes = 8;
/// After the compressed stream: the CRC-32 of all its bytes.
inline constexpr std::size_t checksum_bytes = 4;

}  // namespace stele::text_frozen

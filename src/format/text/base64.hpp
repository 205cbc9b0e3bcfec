#pragma once
// Base64 and base64url, RFC 4648.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "stele/io.hpp"

namespace stele {

enum class Base64 : std::uint8_t {
  standard,  // RFC 4648, section 4, with padding
  url,       // section 5, without padding
};

/// Appends the text of `bytes`.
void append_base64(std::string& out, Bytes bytes, Base64 alphabet = Base64::standard);

/// The bytes of a text that append_base64() gives with the standard alphabet.
/// Throws: Error(malformed) with the offset in the text for any other text: other characters, a wrong length or
/// padding, and bits after the last byte that are not zero.
std::vector<std::byte> decode_base64(std::string_view text);

/// The bytes of a text in either alphabet, instead of what was in `out`. Spaces, tabs and line ends are skipped;
/// padding may be there or not. Throws: as decode_base64().
void decode_any_base64(std::string_view text, std::vector<std::byte>& out);

}  // namespace stele

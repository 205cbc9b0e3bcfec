#pragma once
// Base64 and base64url, RFC 4648.

#include <string>
#include <string_view>
#include <vector>

#include "stele/state_text.hpp"

namespace stele::state_text {

/// Appends the text of `bytes`: base64 with padding, base64url without.
void append_base64(Bytes bytes, TextAlphabet alphabet, std::string& out);

/// The bytes of a text in either alphabet, instead of what was in `out`. Spaces, tabs and line ends are skipped;
/// padding may be there or not. Throws: Error(malformed) with the offset in the text for other characters, a length
/// that cannot be, padding that is not at the end or too much or too little, and bits behind the last byte that are not
/// zero.
void decode_base64(std::string_view text, std::vector<std::byte>& out);

}  // namespace stele::state_text

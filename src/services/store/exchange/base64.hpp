#pragma once
// Base64 (RFC 4648, section 4), with padding.

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "stele/io.hpp"

namespace stele {

/// Appends the text of `bytes`.
void append_base64(std::string& out, Bytes bytes);
/// Nothing for what append_base64() does not give: other characters, wrong length or padding, bits that are lost.
std::optional<std::vector<std::byte>> decode_base64(std::string_view text);

}  // namespace stele

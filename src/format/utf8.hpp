#pragma once
// Whether bytes are valid UTF-8 (RFC 3629).

#include <string_view>

namespace stele {

bool is_utf8(std::string_view text) noexcept;

}  // namespace stele

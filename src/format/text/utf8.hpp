#pragma once
// UTF-8 (RFC 3629).

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace stele {

bool is_utf8(std::string_view text) noexcept;
/// Appends a code point; U+FFFD for a surrogate and for what is above U+10FFFF.
void append_utf8(std::string& text, std::uint32_t point);

/// Copies text and returns whether all its bytes are below 0x80, as in most texts. The last word overlaps the one
/// before, so that no byte is handled separately.
inline bool copy_ascii(std::byte* to, std::string_view text) noexcept {
  const char* from = text.data();
  const std::size_t size = text.size();
  const auto copy = [&]<class T>(std::size_t at, T word) {
    std::memcpy(&word, from + at, sizeof word);
    std::memcpy(to + at, &word, sizeof word);
    return std::uint64_t{word};
  };
  std::uint64_t bits = 0;
  if (size >= 8) {
    for (std::size_t at = 0; at < size - 8; at += 8) {
      bits |= copy(at, std::uint64_t{});
    }
    bits |= copy(size - 8, std::uint64_t{});
  } else if (size >= 4) {
    bits = copy(0, std::uint32_t{}) | copy(size - 4, std::uint32_t{});
  } else if (size > 0) {
    bits = copy(0, std::uint8_t{}) | copy(size / 2, std::uint8_t{}) | copy(size - 1, std::uint8_t{});
  }
  return (bits & 0x8080808080808080U) == 0;
}

}  // namespace stele

#include "format/text/utf8.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/printable.hpp"

namespace stele {
namespace {

template <class T>
std::uint64_t load(const unsigned char* at) noexcept {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

/// Whether all bytes are below 0x80. The last word overlaps the one before, so that no byte is checked separately.
bool is_ascii(const unsigned char* at, std::size_t size) noexcept {
  constexpr std::uint64_t high = 0x8080808080808080U;
  std::uint64_t bits = 0;
  if (size >= 8) {
    const unsigned char* last = at + size - 8;
    for (; at < last; at += 8) {
      bits |= load<std::uint64_t>(at);
    }
    bits |= load<std::uint64_t>(last);
  } else if (size >= 4) {
    bits = load<std::uint32_t>(at) | load<std::uint32_t>(at + size - 4);
  } else if (size > 0) {
    bits = at[0] | at[size / 2] | at[size - 1];
  }
  return (bits & high) == 0;
}

}  // namespace

bool is_utf8(std::string_view text) noexcept {
  const auto* at = reinterpret_cast<const unsigned char*>(text.data());
  std::size_t left = text.size();
  if (is_ascii(at, left)) {
    return true;
  }
  while (left > 0) {
    std::uint64_t eight = 0;
    while (left >= 8 && (std::memcpy(&eight, at, 8), (eight & 0x8080808080808080U) == 0)) {
      at += 8;
      left -= 8;
    }
    if (left == 0) {
      break;
    }
    const std::size_t size = character_bytes({reinterpret_cast<const char*>(at), left});
    if (size == 0) {
      return false;
    }
    at += size;
    left -= size;
  }
  return true;
}

void append_utf8(std::string& text, std::uint32_t point) {
  if (point > 0x10ffff || (point >= 0xd800 && point < 0xe000)) {
    point = 0xfffd;
  }
  const auto put = [&](std::uint32_t byte) { text += static_cast<char>(byte); };
  if (point < 0x80) {
    put(point);
  } else if (point < 0x800) {
    put(0xc0 | point >> 6);
    put(0x80 | (point & 0x3f));
  } else if (point < 0x10000) {
    put(0xe0 | point >> 12);
    put(0x80 | (point >> 6 & 0x3f));
    put(0x80 | (point & 0x3f));
  } else {
    put(0xf0 | point >> 18);
    put(0x80 | (point >> 12 & 0x3f));
    put(0x80 | (point >> 6 & 0x3f));
    put(0x80 | (point & 0x3f));
  }
}

}  // namespace stele

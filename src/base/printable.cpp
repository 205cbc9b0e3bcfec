#include "base/printable.hpp"

#include <algorithm>
#include <array>

namespace stele {
namespace {

struct Range {
  char32_t first;
  char32_t last;
};

/// Characters that are escaped.
constexpr std::array<Range, 10> hidden = {{
    {0x00, 0x1f},      // C0
    {0x7f, 0x9f},      // DEL, C1
    {0x61c, 0x61c},    // Arabic letter mark
    {0x200b, 0x200b},  // zero width space
    {0x200e, 0x200f},  // left-to-right and right-to-left mark
    {0x2028, 0x202e},  // line and paragraph separator, embeddings, overrides
    {0x2060, 0x206f},  // word joiner, invisible operators, isolates
    {0xfdd0, 0xfdef},  // noncharacters
    {0xfeff, 0xfeff},  // byte order mark
    {0xfff9, 0xfffb},  // interlinear annotations
}};

bool is_hidden(char32_t point) noexcept {
  const bool noncharacter = (point & 0xfffe) == 0xfffe;
  const bool tag = point >= 0xe0000 && point < 0xe0080;
  return noncharacter || tag || std::any_of(hidden.begin(), hidden.end(), [&](const Range& range) {
           return point >= range.first && point <= range.last;
         });
}

/// The code point of one valid character.
char32_t point_of(std::string_view character) noexcept {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(character[i]); };
  if (character.size() == 1) {
    return byte(0);
  }
  char32_t point = byte(0) & (0xffU >> (character.size() + 1));
  for (std::size_t i = 1; i < character.size(); ++i) {
    point = point << 6 | (byte(i) & 0x3fU);
  }
  return point;
}

void append_hex(std::string& out, std::string_view prefix, char32_t value, int digits) {
  static constexpr std::string_view all = "0123456789abcdef";
  out += prefix;
  for (int shift = 4 * (digits - 1); shift >= 0; shift -= 4) {
    out += all[value >> shift & 15];
  }
}

/// Short escapes that C++ and JSON share.
bool append_short_escape(std::string& out, char32_t point) {
  switch (point) {
    case '\n':
      out += "\\n";
      return true;
    case '\t':
      out += "\\t";
      return true;
    case '\r':
      out += "\\r";
      return true;
    default:
      return false;
  }
}

void append_escape(std::string& out, char32_t point) {
  if (append_short_escape(out, point)) {
    return;
  }
  if (point < 0x80) {
    append_hex(out, "\\x", point, 2);
  } else if (point < 0x10000) {
    append_hex(out, "\\u", point, 4);
  } else {
    append_hex(out, "\\U", point, 8);
  }
}

void append_json_escape(std::string& out, char32_t point) {
  if (append_short_escape(out, point)) {
    return;
  }
  if (point >= 0x10000) {
    append_hex(out, "\\u", 0xd800 + ((point - 0x10000) >> 10), 4);
    point = 0xdc00 + ((point - 0x10000) & 0x3ff);
  }
  append_hex(out, "\\u", point, 4);
}

/// Calls plain(text) for runs shown unchanged, hide(point) for characters to escape, and invalid(byte) for bytes that
/// are not UTF-8.
template <class Plain, class Hide, class Invalid>
void go_through(std::string_view text, Plain plain, Hide hide, Invalid invalid) {
  std::size_t begin = 0;
  std::size_t at = 0;
  const auto end_run = [&](std::size_t size) {
    if (at > begin) {
      plain(text.substr(begin, at - begin));
    }
    begin = at + size;
  };
  while (at < text.size()) {
    const auto first = static_cast<unsigned char>(text[at]);
    if (first >= 0x20 && first < 0x7f) {
      ++at;
      continue;
    }
    const std::size_t size = character_bytes(text.substr(at));
    if (size == 0) {
      end_run(1);
      invalid(first);
      ++at;
      continue;
    }
    if (const char32_t point = point_of(text.substr(at, size)); is_hidden(point)) {
      end_run(size);
      hide(point);
    }
    at += size;
  }
  end_run(0);
}

}  // namespace

std::size_t character_bytes(std::string_view text) noexcept {
  if (text.empty()) {
    return 0;
  }
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const auto follows = [&](std::size_t i, unsigned char low = 0x80, unsigned char high = 0xbf) {
    return i < text.size() && byte(i) >= low && byte(i) <= high;
  };
  const unsigned char first = byte(0);
  if (first < 0x80) {
    return 1;
  }
  if (first >= 0xc2 && first <= 0xdf) {
    return follows(1) ? 2 : 0;
  }
  if (first >= 0xe0 && first <= 0xef) {
    const unsigned char low = first == 0xe0 ? 0xa0 : 0x80;   // no overlong forms
    const unsigned char high = first == 0xed ? 0x9f : 0xbf;  // no surrogates
    return follows(1, low, high) && follows(2) ? 3 : 0;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    const unsigned char low = first == 0xf0 ? 0x90 : 0x80;
    const unsigned char high = first == 0xf4 ? 0x8f : 0xbf;  // at most U+10FFFF
    return follows(1, low, high) && follows(2) && follows(3) ? 4 : 0;
  }
  return 0;
}

void append_printable(std::string& out, std::string_view text, std::string_view also) {
  go_through(
      text,
      [&](std::string_view run) {
        if (also.empty()) {
          out += run;
          return;
        }
        for (const char c : run) {
          if (also.find(c) != std::string_view::npos) {
            out += '\\';
          }
          out += c;
        }
      },
      [&](char32_t point) { append_escape(out, point); }, [&](unsigned char byte) { append_hex(out, "\\x", byte, 2); });
}

std::string printable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  append_printable(out, text);
  return out;
}

void append_json_text(std::string& out, std::string_view text) {
  go_through(
      text,
      [&](std::string_view run) {
        for (const char c : run) {
          if (c == '"' || c == '\\') {
            out += '\\';
          }
          out += c;
        }
      },
      [&](char32_t point) { append_json_escape(out, point); }, [&](unsigned char) { out += "\\ufffd"; });
}

std::string printable_json(std::string_view document) {
  std::string out;
  out.reserve(document.size());
  go_through(
      document, [&](std::string_view run) { out += run; },
      [&](char32_t point) {
        if (point == '\n') {
          out += '\n';  // between values
        } else {
          append_json_escape(out, point);
        }
      },
      [&](unsigned char) { out += "\\ufffd"; });
  return out;
}

}  // namespace stele

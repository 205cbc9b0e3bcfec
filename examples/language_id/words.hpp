#pragma once
// Text as words: runs of letters in lower case. In scripts without spaces between words, each character and each
// pair of neighbours is a word.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace language_id {

/// Removes and returns the next character of UTF-8 text; U+FFFD for an invalid byte.
inline char32_t next_character(std::string_view& text) {
  const auto first = static_cast<unsigned char>(text.front());
  const std::size_t size = first < 0x80 ? 1 : first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc0 ? 2 : 0;
  char32_t character = size == 1 ? first : first & (0x7fU >> size);
  bool good = size != 0 && size <= text.size();
  for (std::size_t i = 1; good && i < size; ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    good = (byte & 0xc0U) == 0x80;
    character = character << 6 | (byte & 0x3fU);
  }
  text.remove_prefix(good ? size : 1);
  return good ? character : U'\ufffd';
}

inline void append(std::string& text, char32_t c) {
  const auto byte = [&](char32_t bits) { text.push_back(static_cast<char>(static_cast<unsigned char>(bits))); };
  if (c < 0x80) {
    byte(c);
  } else if (c < 0x800) {
    byte(0xc0 | c >> 6);
    byte(0x80 | (c & 0x3f));
  } else if (c < 0x10000) {
    byte(0xe0 | c >> 12);
    byte(0x80 | (c >> 6 & 0x3f));
    byte(0x80 | (c & 0x3f));
  } else {
    byte(0xf0 | c >> 18);
    byte(0x80 | (c >> 12 & 0x3f));
    byte(0x80 | (c >> 6 & 0x3f));
    byte(0x80 | (c & 0x3f));
  }
}

/// Lower case of the Latin, Greek and Cyrillic letters that the languages of Europe use.
inline char32_t lower(char32_t c) {
  if ((c >= U'A' && c <= U'Z') || (c >= 0xc0 && c <= 0xde && c != 0xd7) || (c >= 0x391 && c <= 0x3ab) ||
      (c >= 0x410 && c <= 0x42f)) {
    return c + 32;
  }
  if (c >= 0x400 && c <= 0x40f) {
    return c + 80;
  }
  if (c == 0x178) {
    return 0xff;
  }
  const bool odd_is_lower = (c >= 0x100 && c <= 0x137) || (c >= 0x14a && c <= 0x177) || (c >= 0x1e00 && c <= 0x1eff) ||
                            (c >= 0x460 && c <= 0x4bf);
  const bool even_is_lower = (c >= 0x139 && c <= 0x148) || (c >= 0x179 && c <= 0x17e);
  switch (c) {
    case 0x130:
      return U'i';
    case 0x386:
      return 0x3ac;
    case 0x388:
    case 0x389:
    case 0x38a:
      return c + 37;
    case 0x38c:
      return 0x3cc;
    case 0x38e:
    case 0x38f:
      return c + 63;
    default:
      return (odd_is_lower && c % 2 == 0) || (even_is_lower && c % 2 == 1) ? c + 1 : c;
  }
}

/// Kana and Chinese characters.
inline bool has_no_spaces(char32_t c) { return (c >= 0x3040 && c <= 0x30ff) || (c >= 0x3400 && c <= 0x9fff); }

inline bool is_letter(char32_t c) {
  if (c < 0x80) {
    return (c >= U'a' && c <= U'z') || c == U'\'';
  }
  const bool is_sign = c < 0xc0 || c == 0xd7 || c == 0xf7 || (c >= 0x2000 && c <= 0x2bff && c != 0x200c) ||
                       (c >= 0x3000 && c <= 0x303f) || (c >= 0xff00 && c <= 0xff20) || c == 0x60c || c == 0x61b ||
                       c == 0x61f || c == 0x6d4 || c == 0x964 || c == 0x965 || c == U'\ufffd';
  return !is_sign;
}

/// Calls use(std::string_view word) for each word of `text`.
template <class F>
void for_each_word(std::string_view text, F&& use) {
  std::string word;
  std::string before;  // the previous character in scripts without spaces
  const auto end_word = [&] {
    if (!word.empty()) {
      use(std::string_view(word));
      word.clear();
    }
  };
  while (!text.empty()) {
    const char32_t c = lower(next_character(text));
    if (has_no_spaces(c)) {
      end_word();
      std::string character;
      append(character, c);
      use(std::string_view(character));
      if (!before.empty()) {
        use(std::string_view(before + character));
      }
      before = std::move(character);
      continue;
    }
    before.clear();
    if (is_letter(c)) {
      append(word, c);
    } else {
      end_word();
    }
  }
  end_word();
}

}  // namespace language_id

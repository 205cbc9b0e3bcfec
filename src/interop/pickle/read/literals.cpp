#include "interop/pickle/read/literals.hpp"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstdint>
#include <vector>

#include "base/bytes.hpp"
#include "format/text/utf8.hpp"
#include "interop/pickle/read/tree.hpp"
#include "stele/error.hpp"

namespace stele::pickle {
namespace {

constexpr std::size_t most_digits = 100'000;  // conversion takes quadratic time

/// Whether it is UTF-8, but for surrogates in three bytes each.
bool is_utf8_with_surrogates(std::string_view text) {
  std::string without;
  std::size_t start = 0;
  for (std::size_t at = text.find('\xed'); at != std::string_view::npos; at = text.find('\xed', at + 1)) {
    const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U; };
    if (byte(at + 1) >= 0xa0 && byte(at + 1) <= 0xbf && byte(at + 2) >= 0x80 && byte(at + 2) <= 0xbf) {
      without.append(text, start, at - start);
      start = at + 3;
    }
  }
  without.append(text, start);
  return is_utf8(without);
}

/// As Python's hex() writes it.
Value big_integer(std::string digits, bool is_negative) {
  return Value::make_typed("py:int", Value((is_negative ? "-0x" : "0x") + std::move(digits)));
}

[[noreturn]] void fail_number(std::string_view line) {
  fail(Errc::malformed, "\"" + std::string(line.substr(0, 40)) + "\" is not a number");
}

int digit_of(char c) noexcept {
  return c >= '0' && c <= '9'   ? c - '0'
         : c >= 'a' && c <= 'f' ? c - 'a' + 10
         : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                : -1;
}

/// Reads a number of up to `most` digits at `at` and moves `at` past them.
std::uint32_t number_at(std::string_view text, std::size_t& at, std::size_t most, int base) {
  std::uint32_t number = 0;
  for (std::size_t n = 0; n < most && at < text.size() && digit_of(text[at]) >= 0 && digit_of(text[at]) < base; ++n) {
    number = number * static_cast<std::uint32_t>(base) + static_cast<std::uint32_t>(digit_of(text[at++]));
  }
  return number;
}

/// Appends a code point, surrogates in three bytes.
void append_point(std::string& text, std::uint32_t point) {
  if (point >= 0xd800 && point < 0xe000) {
    text += {'\xed', static_cast<char>(0x80 | (point >> 6 & 0x3f)), static_cast<char>(0x80 | (point & 0x3f))};
  } else {
    append_utf8(text, point);
  }
}

}  // namespace

Value text_value(std::string_view text) {
  auto node = std::make_shared<Text>();
  node->text.resize(text.size());
  const bool is_ascii = copy_ascii(reinterpret_cast<std::byte*>(node->text.data()), text);
  if (is_ascii || is_utf8(text)) {
    return ValueAccess::make(ValueKind::text, std::move(node));
  }
  if (!is_utf8_with_surrogates(text)) {
    fail(Errc::malformed, "a str that is no UTF-8");
  }
  return Value::make_typed("py:str", ValueAccess::make(ValueKind::bytes, std::move(node)));
}

Value old_string_value(std::string_view text) {
  return new_text(is_utf8(text) ? ValueKind::text : ValueKind::bytes, text);
}

Value integer_value(Bytes bytes) {
  const bool is_negative = !bytes.empty() && (std::to_integer<unsigned>(bytes.back()) & 0x80U) != 0;
  const auto fill = static_cast<std::byte>(is_negative ? 0xff : 0);
  while (!bytes.empty() && bytes.back() == fill) {  // what says nothing but the sign
    bytes = bytes.first(bytes.size() - 1);
  }
  if (bytes.size() <= 8) {
    std::uint64_t bits = load_le(bytes.data(), bytes.size());
    if (!is_negative) {
      return Value(bits);
    }
    bits |= bytes.size() == 8 ? 0 : ~std::uint64_t{0} << (8 * bytes.size());
    if ((bits >> 63) != 0) {
      return Value(std::bit_cast<std::int64_t>(bits));
    }
  }
  // The magnitude: of a negative number the complement and one more.
  static constexpr std::string_view hexadecimal = "0123456789abcdef";
  std::vector<std::uint8_t> magnitude;
  magnitude.reserve(bytes.size() + 1);
  unsigned carry = is_negative ? 1 : 0;
  for (const std::byte byte : bytes) {
    carry += is_negative ? 0xffU - std::to_integer<unsigned>(byte) : std::to_integer<unsigned>(byte);
    magnitude.push_back(static_cast<std::uint8_t>(carry));
    carry >>= 8;
  }
  magnitude.push_back(static_cast<std::uint8_t>(carry));
  std::string digits;
  digits.reserve(2 * magnitude.size());
  for (auto byte = magnitude.rbegin(); byte != magnitude.rend(); ++byte) {
    digits += hexadecimal[*byte >> 4];
    digits += hexadecimal[*byte & 15];
  }
  digits.erase(0, digits.find_first_not_of('0'));
  return big_integer(std::move(digits), is_negative);
}

Value integer_line(std::string_view line, bool has_booleans) {
  if (has_booleans && (line == "00" || line == "01")) {
    return Value(line == "01");
  }
  std::string_view digits = line;
  if (digits.ends_with('L') || digits.ends_with('l')) {
    digits.remove_suffix(1);
  }
  const bool is_negative = digits.starts_with('-');
  if (is_negative || digits.starts_with('+')) {
    digits.remove_prefix(1);
  }
  if (digits.empty() || digits.find_first_not_of("0123456789") != std::string_view::npos) {
    fail_number(line);
  }
  if (digits.size() > most_digits) {
    fail(Errc::limit_exceeded, "an integer of " + std::to_string(digits.size()) + " digits");
  }
  std::vector<std::uint32_t> limbs;  // little-endian
  for (std::size_t at = 0; at < digits.size();) {
    std::uint32_t scale = 1;
    std::uint64_t carry = 0;
    for (std::size_t n = 0; n < 9 && at < digits.size(); ++n) {
      carry = carry * 10 + static_cast<std::uint64_t>(digits[at++] - '0');
      scale *= 10;
    }
    for (std::uint32_t& limb : limbs) {
      carry += std::uint64_t{limb} * scale;
      limb = static_cast<std::uint32_t>(carry);
      carry >>= 32;
    }
    if (carry > 0) {
      limbs.push_back(static_cast<std::uint32_t>(carry));
    }
  }
  std::vector<std::byte> bytes(4 * limbs.size() + 1);
  for (std::size_t i = 0; i < limbs.size(); ++i) {
    store_le(bytes.data() + 4 * i, limbs[i]);
  }
  if (is_negative) {
    unsigned carry = 1;
    for (std::byte& byte : bytes) {
      carry += 0xffU - std::to_integer<unsigned>(byte);
      byte = static_cast<std::byte>(carry & 0xffU);
      carry >>= 8;
    }
  }
  return integer_value(bytes);
}

Value real_line(std::string_view line) {
  std::string_view digits = line;
  if (digits.starts_with('+')) {
    digits.remove_prefix(1);
  }
  double value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (digits.empty() || error != std::errc() || end != digits.data() + digits.size()) {
    fail_number(line);
  }
  return Value(value);
}

Value string_line(std::string_view line) {
  if (line.size() < 2 || line.front() != line.back() || (line.front() != '\'' && line.front() != '"')) {
    fail(Errc::malformed, "a STRING without quotes");
  }
  const std::string_view inside = line.substr(1, line.size() - 2);
  std::string text;
  for (std::size_t at = 0; at < inside.size();) {
    if (inside[at] != '\\') {
      text += inside[at++];
      continue;
    }
    if (++at == inside.size()) {
      fail(Errc::malformed, "a STRING that ends within an escape");
    }
    static constexpr std::string_view escapes = "\\'\"abfnrtv";
    static constexpr std::string_view meanings = "\\'\"\a\b\f\n\r\t\v";
    const char c = inside[at];
    if (const std::size_t found = escapes.find(c); found != std::string_view::npos) {
      text += meanings[found];
      ++at;
    } else if (c >= '0' && c <= '7') {
      text += static_cast<char>(number_at(inside, at, 3, 8) & 0xff);
    } else if (c == 'x') {
      const std::size_t start = ++at;
      text += static_cast<char>(number_at(inside, at, 2, 16));
      if (at != start + 2) {
        fail(Errc::malformed, "a STRING with \\x and no two digits");
      }
    } else {
      text += '\\';  // as Python takes other escapes
    }
  }
  return old_string_value(text);
}

Value unicode_line(std::string_view line) {
  std::string text;
  for (std::size_t at = 0; at < line.size();) {
    const auto byte = static_cast<unsigned char>(line[at]);
    if (byte == '\\') {
      std::size_t slashes = 1;
      while (at + slashes < line.size() && line[at + slashes] == '\\') {
        ++slashes;
      }
      const char next = at + slashes < line.size() ? line[at + slashes] : '\0';
      if (slashes % 2 == 1 && (next == 'u' || next == 'U')) {  // else backslashes are what they are
        text.append(slashes - 1, '\\');
        at += slashes + 1;
        const std::size_t start = at;
        const std::size_t digits = next == 'u' ? 4 : 8;
        const std::uint32_t point = number_at(line, at, digits, 16);
        if (at != start + digits || point > 0x10ffff) {
          fail(Errc::malformed, "a UNICODE with an escape that is not a character");
        }
        append_point(text, point);
      } else {
        text.append(slashes, '\\');
        at += slashes;
      }
      continue;
    }
    append_point(text, byte);
    ++at;
  }
  return text_value(text);
}

}  // namespace stele::pickle

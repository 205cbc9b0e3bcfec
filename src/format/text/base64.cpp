#include "format/text/base64.hpp"

#include <array>
#include <cstdint>
#include <cstring>

#include "stele/error.hpp"

namespace stele {
namespace {

constexpr std::string_view standard_digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view url_digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The two characters of 12 bits.
using Pairs = std::array<std::array<char, 2>, 4096>;
constexpr Pairs make_pairs(std::string_view digits) {
  Pairs pairs{};
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    pairs[i] = {digits[i >> 6], digits[i & 63]};
  }
  return pairs;
}
constexpr Pairs pairs[] = {make_pairs(standard_digits), make_pairs(url_digits)};

constexpr std::uint32_t invalid = 1U << 31;

/// The value of a character as the first to fourth of a group, or `invalid`.
using Values = std::array<std::array<std::uint32_t, 256>, 4>;
constexpr void set_values(Values& values, std::string_view digits) {
  for (std::uint32_t i = 0; i < 64; ++i) {
    for (unsigned place = 0; place < 4; ++place) {
      values[place][static_cast<unsigned char>(digits[i])] = i << (18 - 6 * place);
    }
  }
}
constexpr Values make_values(bool any) {
  Values values{};
  for (auto& row : values) {
    row.fill(invalid);
  }
  set_values(values, standard_digits);
  if (any) {
    set_values(values, url_digits);
  }
  return values;
}
constexpr Values standard_values = make_values(false);
constexpr Values any_values = make_values(true);

constexpr bool is_blank(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

[[noreturn]] void malformed(std::string message, std::size_t at) {
  fail(Errc::malformed, std::move(message), {{}, at});
}

/// Decodes whole groups of four characters until one that is something else; returns how many.
std::size_t decode_groups(const Values& values, const char* from, std::size_t groups, std::byte* to) {
  for (std::size_t i = 0; i < groups; ++i) {
    const auto* c = reinterpret_cast<const unsigned char*>(from) + 4 * i;
    const std::uint32_t bits = values[0][c[0]] | values[1][c[1]] | values[2][c[2]] | values[3][c[3]];
    if ((bits & invalid) != 0) {
      return i;
    }
    to[0] = static_cast<std::byte>(bits >> 16 & 0xff);
    to[1] = static_cast<std::byte>(bits >> 8 & 0xff);
    to[2] = static_cast<std::byte>(bits & 0xff);
    to += 3;
  }
  return groups;
}

/// `any`: either alphabet, blanks, and no padding are allowed.
void decode(std::string_view text, bool any, std::vector<std::byte>& out) {
  const Values& values = any ? any_values : standard_values;
  out.resize(text.size() / 4 * 3 + 3);
  const std::size_t groups = decode_groups(values, text.data(), text.size() / 4, out.data());
  std::byte* to = out.data() + 3 * groups;
  // What is left: the end, blanks, or an error.
  std::uint32_t bits = 0;
  unsigned have = 0;
  std::size_t last = 0;
  std::size_t at = 4 * groups;
  for (; at < text.size() && text[at] != '='; ++at) {
    if (any && is_blank(text[at])) {
      continue;
    }
    const std::uint32_t digit = values[3][static_cast<unsigned char>(text[at])];
    if (digit == invalid) {
      malformed("a character that base64 does not have", at);
    }
    last = at;
    bits = bits << 6 | digit;
    if (++have == 4) {
      for (const unsigned shift : {16U, 8U, 0U}) {
        *to++ = static_cast<std::byte>(bits >> shift & 0xff);
      }
      bits = 0;
      have = 0;
    }
  }
  std::size_t padding = 0;
  for (std::size_t i = at; i < text.size(); ++i) {
    if (text[i] == '=') {
      ++padding;
    } else if (!any || !is_blank(text[i])) {
      malformed("a character after the padding", i);
    }
  }
  if (have == 1) {
    malformed("the text ends within a byte", last);
  }
  if ((padding != 0 || !any) && padding != (4 - have) % 4) {
    malformed(message({"padding of ", padding, " characters where ", (4 - have) % 4, " belong"}), at);
  }
  if (have != 0) {
    const unsigned spare = have == 2 ? 4 : 2;
    if ((bits & ((1U << spare) - 1)) != 0) {
      malformed("the bits after the last byte are not zero", last);
    }
    bits >>= spare;
    for (unsigned left = have - 1; left-- > 0;) {
      *to++ = static_cast<std::byte>(bits >> (8 * left) & 0xff);
    }
  }
  out.resize(static_cast<std::size_t>(to - out.data()));
}

}  // namespace

void append_base64(std::string& out, Bytes bytes, Base64 alphabet) {
  const Pairs& pair = pairs[static_cast<std::size_t>(alphabet)];
  const std::size_t rest = bytes.size() % 3;
  const std::size_t groups = bytes.size() / 3;
  const bool padded = alphabet == Base64::standard;
  const std::size_t before = out.size();
  out.resize(before + 4 * groups + (rest == 0 ? 0 : padded ? 4 : rest + 1));
  char* to = out.data() + before;
  const std::byte* from = bytes.data();
  const auto at = [&](std::size_t i) { return std::to_integer<std::uint32_t>(from[i]); };
  for (std::size_t i = 0; i < groups; ++i) {
    const std::uint32_t bits = at(0) << 16 | at(1) << 8 | at(2);
    std::memcpy(to, pair[bits >> 12].data(), 2);
    std::memcpy(to + 2, pair[bits & 4095].data(), 2);
    from += 3;
    to += 4;
  }
  if (rest != 0) {
    const std::uint32_t bits = at(0) << 16 | (rest == 2 ? at(1) << 8 : 0);
    const auto& first = pair[bits >> 12];
    const auto& second = pair[bits & 4095];
    const std::array<char, 4> last = {first[0], first[1], rest == 2 ? second[0] : '=', '='};
    std::memcpy(to, last.data(), padded ? 4 : rest + 1);
  }
}

std::vector<std::byte> decode_base64(std::string_view text) {
  std::vector<std::byte> out;
  decode(text, false, out);
  return out;
}

void decode_any_base64(std::string_view text, std::vector<std::byte>& out) { decode(text, true, out); }

}  // namespace stele

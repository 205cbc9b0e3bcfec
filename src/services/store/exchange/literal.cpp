#include "services/store/exchange/literal.hpp"

#include <charconv>

#include "stele/error.hpp"

namespace stele {
namespace {

constexpr int deepest = 32;

void append_utf8(std::string& out, std::uint32_t point) {
  const auto add = [&](std::uint32_t byte) { out += static_cast<char>(byte); };
  if (point < 0x80) {
    add(point);
  } else if (point < 0x800) {
    add(0xc0 | point >> 6);
    add(0x80 | (point & 0x3f));
  } else if (point < 0x10000) {
    add(0xe0 | point >> 12);
    add(0x80 | (point >> 6 & 0x3f));
    add(0x80 | (point & 0x3f));
  } else {
    add(0xf0 | point >> 18);
    add(0x80 | (point >> 12 & 0x3f));
    add(0x80 | (point >> 6 & 0x3f));
    add(0x80 | (point & 0x3f));
  }
}

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  PythonLiteral whole() {
    PythonLiteral literal = value(0);
    skip_blanks();
    if (at_ != text_.size()) {
      bad();
    }
    return literal;
  }

 private:
  [[noreturn]] void bad() const {
    fail(Errc::malformed, "the header is no Python literal, at its byte " + std::to_string(at_));
  }
  void skip_blanks() {
    while (at_ < text_.size() && std::string_view(" \t\r\n").find(text_[at_]) != std::string_view::npos) {
      ++at_;
    }
  }
  bool take(std::string_view what) {
    skip_blanks();
    if (!text_.substr(at_).starts_with(what)) {
      return false;
    }
    at_ += what.size();
    return true;
  }

  PythonLiteral value(int depth) {
    using Kind = PythonLiteral::Kind;
    if (depth > deepest) {
      bad();
    }
    if (take("None")) {
      return {};
    }
    if (take("True")) {
      return {Kind::boolean, 1, {}, {}};
    }
    if (take("False")) {
      return {Kind::boolean, 0, {}, {}};
    }
    if (take("(")) {
      return sequence(")", depth);
    }
    if (take("[")) {
      return sequence("]", depth);
    }
    if (take("{")) {
      return dict(depth);
    }
    if (take("'")) {
      return {Kind::text, 0, quoted('\''), {}};
    }
    if (take("\"")) {
      return {Kind::text, 0, quoted('"'), {}};
    }
    PythonLiteral number{Kind::natural, 0, {}, {}};
    const auto [end, error] = std::from_chars(text_.data() + at_, text_.data() + text_.size(), number.number);
    if (error != std::errc()) {
      bad();
    }
    at_ = static_cast<std::size_t>(end - text_.data());
    take("L");  // as Python 2 wrote them
    return number;
  }

  PythonLiteral sequence(std::string_view close, int depth) {
    PythonLiteral literal{PythonLiteral::Kind::sequence, 0, {}, {}};
    while (!take(close)) {
      literal.items.push_back(value(depth + 1));
      if (!take(",")) {
        if (!take(close)) {
          bad();
        }
        break;
      }
    }
    return literal;
  }

  PythonLiteral dict(int depth) {
    PythonLiteral literal{PythonLiteral::Kind::dict, 0, {}, {}};
    while (!take("}")) {
      literal.items.push_back(value(depth + 1));
      if (!take(":")) {
        bad();
      }
      literal.items.push_back(value(depth + 1));
      if (!take(",")) {
        if (!take("}")) {
          bad();
        }
        break;
      }
    }
    return literal;
  }

  std::string quoted(char quote) {
    std::string out;
    for (;;) {
      if (at_ == text_.size()) {
        bad();
      }
      const char c = text_[at_++];
      if (c == quote) {
        return out;
      }
      if (c != '\\') {
        out += c;
        continue;
      }
      if (at_ == text_.size()) {
        bad();
      }
      escape(out, text_[at_++]);
    }
  }

  void escape(std::string& out, char c) {
    switch (c) {
      case '\\':
      case '\'':
      case '"':
        out += c;
        return;
      case 'n':
        out += '\n';
        return;
      case 't':
        out += '\t';
        return;
      case 'r':
        out += '\r';
        return;
      case 'x':
        return append_utf8(out, hex(2));
      case 'u':
        return append_utf8(out, hex(4));
      case 'U':
        return append_utf8(out, hex(8));
      default:
        bad();
    }
  }

  std::uint32_t hex(std::size_t digits) {
    std::uint32_t point = 0;
    if (digits > text_.size() - at_) {
      bad();
    }
    const char* const first = text_.data() + at_;
    const auto [end, error] = std::from_chars(first, first + digits, point, 16);
    if (error != std::errc() || end != first + digits || point > 0x10ffff || (point >= 0xd800 && point < 0xe000)) {
      bad();
    }
    at_ += digits;
    return point;
  }

  const std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace

PythonLiteral parse_literal(std::string_view text) { return Parser(text).whole(); }

std::string python_text(std::string_view text) {
  static constexpr std::string_view digits = "0123456789abcdef";
  std::string out = "'";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      out += {'\\', 'x', digits[byte >> 4], digits[byte & 15]};
    } else {
      out += c == '\'' || c == '\\' ? "\\" : "";
      out += c;
    }
  }
  return out + "'";
}

}  // namespace stele

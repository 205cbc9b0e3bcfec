#include "stele/error.hpp"

#include <array>
#include <utility>

namespace stele {
namespace {

/// Control characters, which names from a file may have, as \xNN.
void append_visible(std::string& text, std::string_view part) {
  constexpr std::string_view digits = "0123456789abcdef";
  for (const char c : part) {
    const auto code = static_cast<unsigned char>(c);
    if (code < 0x20 || code == 0x7f) {
      text.append("\\x").append({digits[code >> 4], digits[code & 15]});
    } else {
      text += c;
    }
  }
}

constexpr std::size_t most_path = 200;
constexpr std::size_t most_message = 1000;

bool continues_character(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }  // of UTF-8

/// Names from a damaged or hostile file may be of any length: no more than `most` bytes of them, without the middle.
void append_bounded(std::string& text, std::string_view part, std::size_t most) {
  if (part.size() <= most) {
    append_visible(text, part);
    return;
  }
  std::size_t head = most / 2;
  while (head > 0 && continues_character(part[head])) {
    --head;
  }
  std::size_t tail = part.size() - most / 2;
  while (tail < part.size() && continues_character(part[tail])) {
    ++tail;
  }
  append_visible(text, part.substr(0, head));
  text += " … ";
  append_visible(text, part.substr(tail));
}

std::string compose(const std::string& message, Where where) {
  std::string text;
  if (!where.path.empty()) {
    append_bounded(text, where.path, most_path);
    text += ": ";
  }
  append_bounded(text, message, most_message);
  if (where.offset) {
    text += " (offset " + std::to_string(*where.offset) + ")";
  }
  return text;
}

}  // namespace

std::string_view to_string(Errc code) noexcept {
  static constexpr std::array<std::string_view, 19> names = {
      "io",           "not_found",      "not_an_archive", "truncated",    "damaged",         "malformed",
      "type_mismatch", "out_of_range",  "missing_field",  "unknown_field", "duplicate_field", "limit_exceeded",
      "not_mappable", "read_only",      "unsupported",    "unknown_codec", "unknown_type",    "invalid_argument",
      "busy"};
  const auto index = static_cast<std::size_t>(code);
  return index < names.size() ? names[index] : std::string_view("unknown");
}

Error::Error(Errc code, std::string message, Where where)
    : std::runtime_error(compose(message, where)),
      code_(code),
      message_(std::move(message)),
      path_(where.path),
      offset_(where.offset) {}

void fail(Errc code, std::string message, Where where) { throw Error(code, std::move(message), where); }

}  // namespace stele

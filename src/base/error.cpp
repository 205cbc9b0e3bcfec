#include "stele/error.hpp"

#include <array>
#include <typeinfo>
#include <utility>

#include "base/printable.hpp"

namespace stele {
namespace {

constexpr std::size_t most_file = 400;
constexpr std::size_t most_path = 200;
constexpr std::size_t most_message = 1000;

bool continues_character(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }  // of UTF-8

/// Names from a damaged or hostile file may have any length: appends at most `most` bytes and cuts out the middle.
void append_bounded(std::string& text, std::string_view part, std::size_t most) {
  if (part.size() <= most) {
    append_printable(text, part);
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
  append_printable(text, part.substr(0, head));
  text += " … ";
  append_printable(text, part.substr(tail));
}

/// Whether the message names the file, as system call errors do. A short name such as "a" may be part of any message.
bool names_file(const std::string& message, std::string_view file) {
  return file.find_first_of("./ ") != std::string_view::npos && message.find(file) != std::string::npos;
}

std::string compose(const std::string& message, Where where) {
  std::string text;
  if (!where.file.empty() && !names_file(message, where.file)) {
    append_bounded(text, where.file, most_file);
    text += ": ";
  }
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
  static constexpr std::array<std::string_view, 21> names = {"io",
                                                             "not_found",
                                                             "not_an_archive",
                                                             "truncated",
                                                             "damaged",
                                                             "malformed",
                                                             "type_mismatch",
                                                             "out_of_range",
                                                             "missing_field",
                                                             "unknown_field",
                                                             "duplicate_field",
                                                             "limit_exceeded",
                                                             "not_mappable",
                                                             "read_only",
                                                             "unsupported",
                                                             "unknown_codec",
                                                             "unknown_type",
                                                             "invalid_argument",
                                                             "busy",
                                                             "denied",
                                                             "changed"};
  const auto index = static_cast<std::size_t>(code);
  return index < names.size() ? names[index] : std::string_view("unknown");
}

Error::Error(Errc code, std::string message, Where where)
    : std::runtime_error(compose(message, where)),
      code_(code),
      message_(std::move(message)),
      path_(where.path),
      offset_(where.offset),
      file_(where.file) {}

Error Error::at(Where where) const {
  return Error(
      code_, message_,
      {path_.empty() ? where.path : path_, offset_ ? offset_ : where.offset, file_.empty() ? where.file : file_});
}

std::string message(std::initializer_list<MessagePart> parts) {
  std::string text;
  for (const MessagePart& part : parts) {
    if (part.number_) {
      text += std::to_string(*part.number_);
    } else {
      text += part.text_;
    }
  }
  return text;
}

void fail(Errc code, std::string message, Where where) { throw Error(code, std::move(message), where); }

void rethrow_at(const Error& error, Where where) {
  const bool knows = (where.path.empty() || !error.path().empty()) && (!where.offset || error.offset()) &&
                     (where.file.empty() || !error.file().empty());
  if (knows || typeid(error) != typeid(Error)) {
    throw;
  }
  throw error.at(where);
}

}  // namespace stele

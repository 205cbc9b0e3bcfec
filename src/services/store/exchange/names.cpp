#include "services/store/exchange/names.hpp"

#include <charconv>

#include "stele/error.hpp"

namespace stele {
namespace {

constexpr std::size_t longest_name = 200;  // leaves room for endings and for the names of temporary files
constexpr std::string_view empty_part = "%_";
constexpr std::string_view goes_on = "%-";
constexpr std::string_view object_ending = ".stele";
constexpr std::string_view integer_mark = "%i";
constexpr std::string_view bytes_mark = "%x";
constexpr std::string_view digits = "0123456789ABCDEF";

void append_escape(std::string& name, char c) {
  const auto byte = static_cast<unsigned char>(c);
  name += {'%', digits[byte >> 4], digits[byte & 15]};
}

/// Adds names for units, each a character or an escape, that are not to be torn apart.
class Names {
 public:
  void add(std::string_view unit) {
    if (at_.size() + unit.size() > longest_name) {
      names_.push_back(whole() + std::string(goes_on));
      at_.clear();
    }
    at_ += unit;
  }
  void end_part() {
    names_.push_back(at_.empty() ? std::string(empty_part) : whole());
    at_.clear();
  }
  std::vector<std::string> finish(bool is_object) {
    end_part();
    std::string& last = names_.back();
    if (is_object) {
      last += object_ending;
    } else if (last.ends_with(object_ending)) {
      last.replace(last.size() - object_ending.size(), 1, "%2E");
    }
    return std::move(names_);
  }

 private:
  std::string whole() const {
    if (at_ == "." || at_ == "..") {
      return at_ == "." ? "%2E" : "%2E%2E";
    }
    return at_;
  }
  std::vector<std::string> names_;
  std::string at_;
};

[[noreturn]] void fail_name(std::string_view path) {
  fail(Errc::malformed, "the name " + std::string(path) + " is of no key");
}

int hex_value(char c) noexcept {
  return c >= '0' && c <= '9'   ? c - '0'
         : c >= 'a' && c <= 'f' ? c - 'a' + 10
         : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                : -1;
}

/// Undoes the escapes of a part.
std::string decode_part(std::string_view part, std::string_view path) {
  std::string text;
  for (std::size_t i = 0; i < part.size(); ++i) {
    if (part[i] != '%') {
      text += part[i];
      continue;
    }
    const int high = i + 2 < part.size() ? hex_value(part[i + 1]) : -1;
    const int low = i + 2 < part.size() ? hex_value(part[i + 2]) : -1;
    if (high < 0 || low < 0) {
      fail_name(path);
    }
    text += static_cast<char>(16 * high + low);
    i += 2;
  }
  return text;
}

Key decode_integer(std::string_view text, std::string_view path) {
  const bool negative = text.starts_with('-');
  std::int64_t integer = 0;
  std::uint64_t natural = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] =
      negative ? std::from_chars(text.data(), end, integer) : std::from_chars(text.data(), end, natural);
  if (error != std::errc() || stop != end) {
    fail_name(path);
  }
  return negative ? Key(integer) : Key(natural);
}

Key decode_bytes(std::string_view hex, std::string_view path) {
  std::vector<std::byte> bytes;
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    const int high = hex_value(hex[i]);
    const int low = i + 1 < hex.size() ? hex_value(hex[i + 1]) : -1;
    if (high < 0 || low < 0) {
      fail_name(path);
    }
    bytes.push_back(static_cast<std::byte>(16 * high + low));
  }
  return Key(Bytes(bytes));
}

}  // namespace

std::vector<std::string> encode_name(const Key& key, bool is_object) {
  Names names;
  if (key.kind() == Key::Kind::integer) {
    names.add(std::string(integer_mark) + key.describe());
    return names.finish(is_object);
  }
  const Bytes bytes = key.bytes();
  if (key.kind() == Key::Kind::bytes) {
    names.add(bytes_mark);
    for (const std::byte b : bytes) {
      std::string unit;
      append_escape(unit, static_cast<char>(b));
      names.add(std::string_view(unit).substr(1));
    }
    return names.finish(is_object);
  }
  for (const char c : key.text()) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '/') {
      names.end_part();
    } else if (byte < 0x20 || byte == 0x7f || c == '%') {
      std::string unit;
      append_escape(unit, c);
      names.add(unit);
    } else {
      names.add(std::string_view(&c, 1));
    }
  }
  return names.finish(is_object);
}

DecodedName decode_name(std::string_view path) {
  DecodedName decoded;
  std::string text;
  std::string part;
  for (std::string_view rest = path;;) {
    const std::size_t slash = rest.find('/');
    std::string_view name = rest.substr(0, slash);
    const bool is_last = slash == std::string_view::npos;
    if (name.ends_with(other_name)) {
      name.remove_suffix(other_name.size());
    }
    if (is_last && name.ends_with(object_ending)) {
      name.remove_suffix(object_ending.size());
      decoded.is_object = true;
    }
    if (name.empty()) {
      fail_name(path);
    }
    if (!is_last && name.ends_with(goes_on)) {
      part += name.substr(0, name.size() - goes_on.size());
    } else {
      part += name;
      const bool whole = is_last && text.empty();
      if (whole && part.starts_with(integer_mark)) {
        decoded.key = decode_integer(std::string_view(part).substr(integer_mark.size()), path);
        return decoded;
      }
      if (whole && part.starts_with(bytes_mark)) {
        decoded.key = decode_bytes(std::string_view(part).substr(bytes_mark.size()), path);
        return decoded;
      }
      text += part == empty_part ? std::string() : decode_part(part, path);
      text += is_last ? "" : "/";
      part.clear();
    }
    if (is_last) {
      decoded.key = Key(std::string_view(text));
      return decoded;
    }
    rest.remove_prefix(slash + 1);
  }
}

}  // namespace stele

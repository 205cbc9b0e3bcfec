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

/// A piece of a part as the name of a file or folder.
std::string file_name(std::string_view piece) {
  return piece == "." ? "%2E" : piece == ".." ? "%2E%2E" : std::string(piece);
}

[[noreturn]] void fail_name(std::string_view path) {
  fail(Errc::malformed, "the name " + std::string(path) + " is of no key");
}

/// The byte whose two hexadecimal digits a text begins with.
char hex_byte(std::string_view text, std::string_view path) {
  const std::string_view pair = text.substr(0, 2);
  unsigned value = 0;
  const auto [stop, error] = std::from_chars(pair.data(), pair.data() + pair.size(), value, 16);
  if (error != std::errc() || stop != pair.data() + 2) {
    fail_name(path);
  }
  return static_cast<char>(value);
}

/// Undoes escapes.
std::string decode_text(std::string_view encoded, std::string_view path) {
  std::string text;
  for (std::size_t i = 0; i < encoded.size(); ++i) {
    if (encoded[i] == '%') {
      text += hex_byte(encoded.substr(i + 1), path);
      i += 2;
    } else {
      text += encoded[i];
    }
  }
  return text;
}

StoreKey decode_integer(std::string_view text, std::string_view path) {
  const auto parsed = [&]<class I>(I value) {
    const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || stop != text.data() + text.size()) {
      fail_name(path);
    }
    return StoreKey(value);
  };
  return text.starts_with('-') ? parsed(std::int64_t{}) : parsed(std::uint64_t{});
}

StoreKey decode_bytes(std::string_view hex, std::string_view path) {
  std::string bytes;
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    bytes += hex_byte(hex.substr(i), path);
  }
  return StoreKey(std::as_bytes(std::span(bytes)));
}

}  // namespace

std::vector<std::string> encode_name(const StoreKey& key, bool is_object) {
  std::string path;
  if (key.kind() == StoreKey::Kind::integer) {
    path = std::string(integer_mark) + key.describe();
  } else {
    const bool is_text = key.kind() == StoreKey::Kind::text;
    path = is_text ? "" : bytes_mark;
    for (const std::byte byte : key.bytes()) {
      const auto c = std::to_integer<unsigned char>(byte);
      if (is_text && c >= 0x20 && c != 0x7f && c != '%') {
        path += static_cast<char>(c);
      } else {
        path += is_text ? "%" : "";
        path += {digits[c >> 4], digits[c & 15]};
      }
    }
  }
  std::vector<std::string> names;
  for (std::string_view rest = path;;) {
    const std::size_t slash = rest.find('/');
    std::string_view part = rest.substr(0, slash);
    for (; part.size() > longest_name; part.remove_prefix(longest_name)) {
      names.push_back(file_name(part.substr(0, longest_name)) + std::string(goes_on));
    }
    names.push_back(part.empty() ? std::string(empty_part) : file_name(part));
    if (slash == std::string_view::npos) {
      break;
    }
    rest.remove_prefix(slash + 1);
  }
  std::string& last = names.back();
  if (is_object) {
    last += object_ending;
  } else if (last.ends_with(object_ending)) {
    last.replace(last.size() - object_ending.size(), 1, "%2E");
  }
  return names;
}

std::string joined(const std::vector<std::string>& names) {
  std::string path;
  for (const std::string& name : names) {
    path += (path.empty() ? "" : "/") + name;
  }
  return path;
}

DecodedName decode_name(std::string_view path) {
  DecodedName decoded;
  std::string encoded;  // the parts without what names add to them
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
      encoded += name.substr(0, name.size() - goes_on.size());
    } else {
      const bool begins_part = encoded.empty() || encoded.back() == '/';
      encoded += begins_part && name == empty_part ? std::string_view() : name;
      encoded += is_last ? "" : "/";
    }
    if (is_last) {
      break;
    }
    rest.remove_prefix(slash + 1);
  }
  const std::string_view text = encoded;
  decoded.key = text.starts_with(integer_mark) ? decode_integer(text.substr(integer_mark.size()), path)
                : text.starts_with(bytes_mark) ? decode_bytes(text.substr(bytes_mark.size()), path)
                                               : StoreKey(decode_text(text, path));
  return decoded;
}

}  // namespace stele

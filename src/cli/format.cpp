#include "cli/format.hpp"

#include <algorithm>
#include <array>
#include <cstdio>

namespace stele::cli {
namespace {

/// The bytes of the UTF-8 character at the start of `text`; 0 if there is none.
std::size_t character_bytes(std::string_view text) noexcept {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  const std::size_t size = first < 0x80   ? 1
                           : first < 0xc2 ? 0
                           : first < 0xe0 ? 2
                           : first < 0xf0 ? 3
                           : first < 0xf5 ? 4
                                          : 0;
  if (size == 0 || size > text.size()) {
    return 0;
  }
  for (std::size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xc0) != 0x80) {
      return 0;
    }
  }
  return size;
}

bool is_control(std::string_view character) noexcept {
  const auto first = static_cast<unsigned char>(character[0]);
  if (character.size() == 1) {
    return first < 0x20 || first == 0x7f;
  }
  return first == 0xc2 && static_cast<unsigned char>(character[1]) < 0xa0;  // U+0080 to U+009F
}

void append_hex(std::string& out, std::string_view bytes) {
  static constexpr std::string_view digits = "0123456789abcdef";
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    out += {'\\', 'x', digits[byte >> 4], digits[byte & 15]};
  }
}

std::string escaped(std::string_view text, std::string_view also) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const std::size_t size = character_bytes(text);
    const std::string_view character = text.substr(0, std::max<std::size_t>(size, 1));
    if (character == "\n" || character == "\t" || character == "\r") {
      out += character == "\n" ? "\\n" : character == "\t" ? "\\t" : "\\r";
    } else if (size == 0 || is_control(character)) {
      append_hex(out, character);
    } else {
      out += also.find(character) != std::string_view::npos ? "\\" : "";
      out += character;
    }
    text.remove_prefix(character.size());
  }
  return out;
}

/// Characters, as all but a few are one column wide.
std::size_t width(std::string_view text) noexcept {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

}  // namespace

std::string size_text(std::uint64_t bytes) {
  static constexpr std::array<const char*, 7> units = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  if (bytes < 1024) {
    return std::to_string(bytes) + " B";
  }
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1023.95 && unit + 1 < units.size()) {  // not "1024.0 KiB"
    value /= 1024;
    ++unit;
  }
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.1f %s", value, units[unit]);
  return text.data();
}

std::string printable(std::string_view text) { return escaped(text, ""); }

std::string quoted_text(std::string_view text) { return "\"" + escaped(text, "\"\\") + "\""; }

std::string name_text(std::string_view name) {
  return name.empty() || name.find_first_of(" \"") != std::string_view::npos ? quoted_text(name) : printable(name);
}

std::string Table::text(std::size_t widest) const {
  std::vector<std::size_t> widths;
  for (const auto& row : rows_) {
    widths.resize(std::max(widths.size(), row.size()));
    // What nothing follows needs no column.
    std::size_t last = row.size();
    while (last > 0 && row[last - 1].empty()) {
      --last;
    }
    for (std::size_t i = 0; i + 1 < last; ++i) {
      if (const std::size_t cell = width(row[i]); cell <= widest) {
        widths[i] = std::max(widths[i], cell);
      }
    }
  }
  for (const std::size_t column : right_aligned_) {
    for (const auto& row : rows_) {
      if (column < row.size()) {
        widths[column] = std::max(widths[column], width(row[column]));
      }
    }
  }
  std::string out;
  for (const auto& row : rows_) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::size_t cell = width(row[i]);
      const std::string gap(widths[i] > cell ? widths[i] - cell : 0, ' ');
      const bool right = std::find(right_aligned_.begin(), right_aligned_.end(), i) != right_aligned_.end();
      line += (i > 0 ? "  " : "") + (right ? gap + row[i] : row[i] + gap);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  }
  return out;
}

}  // namespace stele::cli

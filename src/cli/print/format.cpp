#include "cli/print/format.hpp"

#include <algorithm>
#include <array>
#include <cstdio>

namespace stele::cli {
namespace {

/// Counts characters, since all but a few are one column wide.
std::size_t width(std::string_view text) noexcept {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

std::string formatted(const char* format, int digits, double value) {
  std::array<char, 400> text{};
  std::snprintf(text.data(), text.size(), format, digits, value);
  return text.data();
}

}  // namespace

std::string size_text(std::uint64_t bytes) {
  static constexpr std::array<const char*, 7> units = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  if (bytes < 1024) {
    return std::to_string(bytes) + " B";
  }
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1023.95 && unit + 1 < units.size()) {  // avoids "1024.0 KiB"
    value /= 1024;
    ++unit;
  }
  return fixed(value, 1) + " " + units[unit];
}

std::string exact_size(std::uint64_t bytes) {
  return size_text(bytes) + (bytes < 1024 ? "" : " (" + std::to_string(bytes) + " bytes)");
}

std::string fixed(double value, int digits) { return formatted("%.*f", digits, value); }
std::string short_number(double value, int digits) { return formatted("%.*g", digits, value); }

std::string quoted_text(std::string_view text) {
  std::string out = "\"";
  append_printable(out, text, "\"\\");
  out += '"';
  return out;
}

std::string name_text(std::string_view name) {
  return name.empty() || name.find_first_of(" \"") != std::string_view::npos ? quoted_text(name) : printable(name);
}

std::string Table::text(std::size_t widest) const {
  std::vector<std::size_t> widths;
  for (const auto& row : rows_) {
    widths.resize(std::max(widths.size(), row.size()));
    // A last cell needs no padding.
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

#pragma once
// Text for people: sizes, names that are safe on a terminal, aligned columns.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/printable.hpp"

namespace stele::cli {

/// "512 B", "78.1 KiB", "1.5 GiB".
std::string size_text(std::uint64_t bytes);
/// The same, and the exact number if that differs: "78.1 KiB (80000 bytes)".
std::string exact_size(std::uint64_t bytes);
/// With `digits` after the point.
std::string fixed(double value, int digits);
/// With `digits` significant ones, as "%g" does.
std::string short_number(double value, int digits);
/// printable() in quotes, with quotes and backslashes escaped.
std::string quoted_text(std::string_view text);
/// A field name or key as in a path; in quotes if it is empty or has blanks or quotes.
std::string name_text(std::string_view name);

/// Rows of cells in aligned columns.
class Table {
 public:
  /// Columns align to the left, except those listed.
  explicit Table(std::vector<std::size_t> right_aligned = {}) : right_aligned_(std::move(right_aligned)) {}
  /// The last cells may be left out. Cells must be printable.
  void add(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  /// Lines with two blanks between columns and none at the end. A cell wider than `widest` does not widen its column.
  std::string text(std::size_t widest = 60) const;

 private:
  std::vector<std::size_t> right_aligned_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace stele::cli

#pragma once
// Text by lines, as formats of one value a line have it.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "stele/io.hpp"

namespace stele {

/// Reads the lines of a Source, which must outlive it; one is in memory at a time.
class LineReader {
 public:
  /// `longest`: the most bytes of a line.
  LineReader(Source& source, std::uint64_t longest) : source_(source), longest_(longest) {}

  /// The next line without its line feed, valid until the next call; nothing at the end.
  /// Throws: Error(limit_exceeded) for a longer line, Error(io).
  std::optional<std::string_view> next();
  /// Of the line that next() gave: "line 12".
  std::string name() const { return "line " + std::to_string(number_); }
  /// The bytes of the lines until now.
  std::uint64_t consumed() const noexcept { return consumed_; }

 private:
  void fill();

  Source& source_;
  const std::uint64_t longest_;
  std::vector<std::byte> buffer_;
  std::size_t at_ = 0;
  std::size_t used_ = 0;
  std::uint64_t consumed_ = 0;
  std::uint64_t number_ = 0;
  bool ended_ = false;
};

}  // namespace stele

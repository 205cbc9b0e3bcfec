#pragma once
// Literals of Python, as the headers of .npy files are made of.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace stele {

struct PythonLiteral {
  enum class Kind : std::uint8_t { none, boolean, natural, text, sequence, dict };
  Kind kind = Kind::none;
  std::uint64_t number = 0;          // boolean, natural
  std::string text;                  // as UTF-8
  std::vector<PythonLiteral> items;  // of lists and tuples; keys and values of a dict, in turn
};

/// Throws: Error(malformed), also for what no header has: negative numbers, floats, deep nesting.
PythonLiteral parse_literal(std::string_view text);
/// `quoted` as Python writes it, for text of any characters.
std::string python_text(std::string_view text);

}  // namespace stele

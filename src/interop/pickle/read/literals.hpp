#pragma once
// Numbers and strings as pickles write them.

#include <string>
#include <string_view>

#include "stele/io.hpp"
#include "stele/value.hpp"

namespace stele::pickle {

// All throw Error(malformed) for what Python would not read.

/// A text, or "py:str" of one with surrogates.
Value text_value(std::string_view text);
/// A Python 2 str: text where it is UTF-8, else bytes.
Value old_string_value(std::string_view text);
/// An integer in two's complement, little-endian, of any length.
Value integer_value(Bytes bytes);
/// A line of the opcodes INT ("00" and "01" are booleans) and LONG ("L" may end it).
/// Throws: Error(limit_exceeded) for more than 100,000 digits.
Value integer_line(std::string_view line, bool has_booleans);
/// A line of the opcode FLOAT.
Value real_line(std::string_view line);
/// A line of the opcode STRING: in quotes, with Python's escapes.
Value string_line(std::string_view line);
/// A line of the opcode UNICODE: Latin-1 with \uXXXX and \UXXXXXXXX.
Value unicode_line(std::string_view line);

}  // namespace stele::pickle

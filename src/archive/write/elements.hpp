#pragma once
// Elements of arrays and numbers as text.

#include <string>
#include <string_view>

#include "stele/array.hpp"

namespace stele {

/// The shortest decimal that reads back as the number, with a point or an exponent; "nan", "inf", "-inf".
std::string real_text(double value);
std::string real_text(float value);
std::string real_text(float16 value);

/// format_elements() in one line.
std::string elements_in_line(const ArrayView& array, std::size_t edge_items);
/// One element as JSON; empty for types without a JSON form.
std::string element_json(const DType& dtype, const std::byte* at);
/// A real number as JSON; "nan" and "inf" become strings.
std::string json_real(std::string text);

}  // namespace stele

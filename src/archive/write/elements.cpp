#include "archive/write/elements.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <vector>

#include "base/bytes.hpp"
#include "base/float_mode.hpp"
#include "base/printable.hpp"
#include "format/text/utf8.hpp"
#include "stele/describe.hpp"

namespace stele {
namespace {

using K = DType::Kind;

constexpr std::size_t line_width = 75;
constexpr int precision = 8;  // most decimals shown

template <class N>
std::string shortest(N value) {
  if (std::isnan(value)) {
    return "nan";  // the sign is not shown
  }
  char text[40];
  const auto result = std::to_chars(text, text + sizeof text, value);
  return std::string(text, result.ptr);
}

std::string with_point(std::string text) { return text.find_first_of(".en") == std::string::npos ? text + ".0" : text; }

/// The decimal with the fewest digits that rounds to the given bits of a short format.
template <class Short>
double brief_decimal(Short value) {
  const auto exact = static_cast<float>(value);
  if (!std::isfinite(exact)) {
    return static_cast<double>(exact);
  }
  for (int digits = 1; digits < 9; ++digits) {
    char text[40];
    const auto result = std::to_chars(text, text + sizeof text, exact, std::chars_format::scientific, digits - 1);
    *result.ptr = '\0';
    const double candidate = std::strtod(text, nullptr);
    if (Short(static_cast<float>(candidate)).bits == value.bits) {
      return candidate;
    }
  }
  return static_cast<double>(exact);
}

double brief_decimal(float value) {
  char text[40];
  *std::to_chars(text, text + sizeof text - 1, value, std::chars_format::scientific).ptr = '\0';
  return std::strtod(text, nullptr);
}

/// An 8-bit float with `mantissa` bits of fraction.
double tiny_float(std::uint8_t bits, int mantissa, bool has_infinity) {
  const int exponent_bits = 7 - mantissa;
  const int bias = (1 << (exponent_bits - 1)) - 1;
  const int exponent = (bits & 0x7f) >> mantissa;
  const int fraction = bits & ((1 << mantissa) - 1);
  const bool top = exponent == (1 << exponent_bits) - 1;
  double value = 0;
  if (top && has_infinity) {
    value = fraction == 0 ? std::numeric_limits<double>::infinity() : std::numeric_limits<double>::quiet_NaN();
  } else if (top && fraction == (1 << mantissa) - 1) {
    value = std::numeric_limits<double>::quiet_NaN();
  } else if (exponent == 0) {
    value = std::ldexp(fraction, 1 - bias - mantissa);
  } else {
    value = std::ldexp(fraction + (1 << mantissa), exponent - bias - mantissa);
  }
  return (bits & 0x80) != 0 ? -value : value;
}

/// A real element.
struct Real {
  double value = 0;
  double brief = 0;  // its shortest decimal is the element's
};

Real real_element(K kind, const std::byte* at) {
  const auto same = [](double value) { return Real{value, value}; };
  switch (kind) {
    case K::float16: {
      const auto value = std::bit_cast<float16>(load_le<std::uint16_t>(at));
      return {static_cast<double>(static_cast<float>(value)), brief_decimal(value)};
    }
    case K::bfloat16: {
      const auto value = std::bit_cast<bfloat16>(load_le<std::uint16_t>(at));
      return {static_cast<double>(static_cast<float>(value)), brief_decimal(value)};
    }
    case K::float32: {
      const auto value = std::bit_cast<float>(load_le<std::uint32_t>(at));
      const auto wide = static_cast<double>(value);
      return {wide, std::isfinite(value) ? brief_decimal(value) : wide};
    }
    case K::float8_e4m3fn:
      return same(tiny_float(load_le<std::uint8_t>(at), 3, false));
    case K::float8_e5m2:
      return same(tiny_float(load_le<std::uint8_t>(at), 2, true));
    default:
      return same(std::bit_cast<double>(load_le<std::uint64_t>(at)));
  }
}

/// Numbers from this size on are written with an exponent.
double large(K kind) noexcept {
  switch (kind) {
    case K::float64:
      return 1e8;
    case K::float32:
      return 1e6;
    default:
      return 1e3;
  }
}

bool is_real(K kind) noexcept {
  return kind == K::float16 || kind == K::bfloat16 || kind == K::float32 || kind == K::float64 ||
         kind == K::float8_e4m3fn || kind == K::float8_e5m2;
}

std::string integer_text(K kind, const std::byte* at) {
  switch (kind) {
    case K::int8:
      return std::to_string(load_le<std::int8_t>(at));
    case K::int16:
      return std::to_string(load_le<std::int16_t>(at));
    case K::int32:
      return std::to_string(load_le<std::int32_t>(at));
    case K::int64:
      return std::to_string(load_le<std::int64_t>(at));
    case K::uint8:
      return std::to_string(load_le<std::uint8_t>(at));
    case K::uint16:
      return std::to_string(load_le<std::uint16_t>(at));
    case K::uint32:
      return std::to_string(load_le<std::uint32_t>(at));
    default:
      return std::to_string(load_le<std::uint64_t>(at));
  }
}

std::string bytes_text(const std::byte* at, std::size_t size) {
  static constexpr char digits[] = "0123456789abcdef";
  while (size > 0 && at[size - 1] == std::byte{0}) {
    --size;  // removes the padding
  }
  std::string text = "b'";
  for (std::size_t i = 0; i < size; ++i) {
    const auto c = std::to_integer<unsigned char>(at[i]);
    if (c == '\'' || c == '\\') {
      text += '\\';
      text += static_cast<char>(c);
    } else if (c >= 0x20 && c < 0x7f) {
      text += static_cast<char>(c);
    } else {
      text += {'\\', 'x', digits[c >> 4], digits[c & 15]};
    }
  }
  return text + "'";
}

std::string utf32_text(const std::byte* at, std::size_t size) {
  std::string text = "'";
  std::size_t count = size / 4;
  while (count > 0 && load_le<std::uint32_t>(at + 4 * (count - 1)) == 0) {
    --count;
  }
  std::string characters;
  for (std::size_t i = 0; i < count; ++i) {
    append_utf8(characters, load_le<std::uint32_t>(at + 4 * i));
  }
  append_printable(text, characters, "'\\");
  return text + "'";
}

// --- Times -----------------------------------------------------------------------------------------------------------

__extension__ using Wide = __int128;

std::string digits_of(Wide value, std::size_t width = 0) {
  std::string text;
  for (; value > 0; value /= 10) {
    text.insert(text.begin(), static_cast<char>('0' + static_cast<int>(value % 10)));
  }
  return std::string(width - std::min(width, text.size()), '0') + text;
}

/// Years have at least four digits; years before 0 begin with a minus sign.
std::string year_text(Wide year) { return (year < 0 ? "-" : "") + digits_of(year < 0 ? -year : year, 4); }

struct Floored {
  Wide quotient;
  Wide rest;
};
Floored floored(Wide value, Wide divisor) {
  const Wide rest = (value % divisor + divisor) % divisor;
  return {(value - rest) / divisor, rest};
}

/// A day by its distance from 1970-01-01, in the Gregorian calendar (Hinnant, "chrono-compatible low-level date
/// algorithms").
std::string date_text(Wide days) {
  const auto [era, day_of_era] = floored(days + 719468, 146097);
  const Wide year = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  const Wide day_of_year = day_of_era - (365 * year + year / 4 - year / 100);  // days since 1 March
  const Wide month = (5 * day_of_year + 2) / 153;
  const Wide day = day_of_year - (153 * month + 2) / 5 + 1;
  const Wide month_from_january = month < 10 ? month + 3 : month - 9;
  return year_text(year + 400 * era + (month_from_january <= 2 ? 1 : 0)) + "-" + digits_of(month_from_january, 2) +
         "-" + digits_of(day, 2);
}

/// Has the precision of the unit, in ISO 8601 form; "NaT" for no time.
std::string time_text(const DType& dtype, std::int64_t count) {
  if (count == std::numeric_limits<std::int64_t>::min()) {
    return "NaT";
  }
  using Base = TimeUnit::Base;
  const TimeUnit unit = dtype.unit();
  if (dtype.kind() == K::duration || unit.base == Base::generic) {
    return std::to_string(count);
  }
  Wide value = Wide{count} * unit.multiple;
  if (unit.base <= Base::month) {
    const auto [years, months] = floored(value, unit.base == Base::year ? 1 : 12);
    return year_text(years + 1970) + (unit.base == Base::year ? "" : "-" + digits_of(months + 1, 2));
  }
  if (unit.base <= Base::day) {
    return date_text(unit.base == Base::week ? 7 * value : value);
  }
  const TimeUnit::Length length = *TimeUnit{unit.base, 1}.length();
  const auto [seconds, part] = floored(value * length.numerator, length.denominator);
  const auto [days, second] = floored(seconds, 86400);
  std::string text = date_text(days) + "T" + digits_of(second / 3600, 2);
  if (unit.base >= Base::minute) {
    text += ":" + digits_of(second / 60 % 60, 2);
  }
  if (unit.base >= Base::second) {
    text += ":" + digits_of(second % 60, 2);
  }
  if (unit.base > Base::second) {
    text += "." + digits_of(part, 3 * (static_cast<std::size_t>(unit.base) - static_cast<std::size_t>(Base::second)));
  }
  return text;
}

// --- Columns of numbers ----------------------------------------------------------------------------------------------

std::string pad_left(const std::string& text, std::size_t width) {
  return text.size() < width ? std::string(width - text.size(), ' ') + text : text;
}

/// Aligns real numbers: all in one notation, with their points in one column.
class RealColumn {
 public:
  RealColumn(const std::vector<Real>& numbers, K kind) {
    double largest = 0;
    double smallest = std::numeric_limits<double>::infinity();
    for (const auto& [value, brief] : numbers) {
      if (std::isfinite(value) && value != 0) {
        largest = std::max(largest, std::fabs(brief));
        smallest = std::min(smallest, std::fabs(brief));
      }
    }
    scientific_ = largest != 0 && (largest >= large(kind) || smallest < 1e-4 || largest / smallest > 1000);
    for (const Real& number : numbers) {
      if (std::isfinite(number.value)) {
        decimals_ = std::max(decimals_, decimals_of(number));
      }
    }
    for (const Real& number : numbers) {
      width_ = std::max(width_, plain_text(number).size());
    }
  }

  std::string text(const Real& number) const { return pad_left(plain_text(number), width_); }
  /// Always with a sign.
  std::string signed_text(const Real& number) const {
    const bool negative = std::signbit(number.value);
    const std::string text = plain_text({std::fabs(number.value), std::fabs(number.brief)});
    return pad_left((negative ? "-" : "+") + text, width_);
  }

 private:
  static std::string digits_of(double value, std::chars_format format, int decimals = -1) {
    char text[400];
    const auto result = decimals < 0 ? std::to_chars(text, text + sizeof text, value, format)
                                     : std::to_chars(text, text + sizeof text, value, format, decimals);
    return std::string(text, result.ptr);
  }
  std::size_t decimals_of(const Real& number) const {
    const std::string text = scientific_ ? digits_of(number.brief, std::chars_format::scientific) : positional(number);
    const std::size_t point = text.find('.');
    const std::size_t end = std::min(text.find('e'), text.size());
    return point == std::string::npos ? 0 : std::min<std::size_t>(precision, end - point - 1);
  }
  /// With a point and without trailing zeros.
  static std::string positional(const Real& number) {
    std::string digits = digits_of(number.brief, std::chars_format::fixed);
    const std::size_t point = digits.find('.');
    if (point == std::string::npos) {
      return digits + ".";
    }
    if (digits.size() - point - 1 > precision) {
      digits = digits_of(number.value, std::chars_format::fixed, precision);
      digits.erase(digits.find_last_not_of('0') + 1);
    }
    return digits;
  }
  /// Pads with blanks instead of zeros, so that the points align.
  std::string plain_text(const Real& number) const {
    if (!std::isfinite(number.value)) {
      return std::isnan(number.value) ? "nan" : number.value < 0 ? "-inf" : "inf";
    }
    if (!scientific_) {
      std::string text = positional(number);
      text.append(decimals_ - (text.size() - text.find('.') - 1), ' ');
      return text;
    }
    std::string digits = digits_of(number.value, std::chars_format::scientific, static_cast<int>(decimals_));
    if (decimals_ == 0) {
      digits.insert(digits.find('e'), ".");
    }
    return digits;
  }

  bool scientific_ = false;
  std::size_t decimals_ = 0;
  std::size_t width_ = 0;
};

/// One element as it is shown in a record.
std::string element_text(const DType& dtype, const std::byte* at) {
  const K kind = dtype.kind();
  if (is_real(kind)) {
    return with_point(shortest(real_element(kind, at).brief));
  }
  switch (kind) {
    case K::boolean:
      return *at != std::byte{0} ? "True" : "False";
    case K::complex64:
    case K::complex128: {
      const K part = kind == K::complex64 ? K::float32 : K::float64;
      const double imaginary = real_element(part, at + dtype.item_size() / 2).brief;
      return with_point(shortest(real_element(part, at).brief)) + (std::signbit(imaginary) ? "-" : "+") +
             with_point(shortest(std::fabs(imaginary))) + "j";
    }
    case K::duration:
    case K::time_point:
      return time_text(dtype, load_le<std::int64_t>(at));
    case K::bytes:
      return bytes_text(at, dtype.item_size());
    case K::utf32:
      return utf32_text(at, dtype.item_size());
    case K::record: {
      std::string text = "(";
      for (const DType::Field& field : dtype.fields()) {
        text += text.size() > 1 ? ", " : "";
        if (field.count == 1) {
          text += element_text(field.type, at + field.offset);
          continue;
        }
        text += "[";
        for (std::size_t i = 0; i < field.count; ++i) {
          text += (i > 0 ? ", " : "") + element_text(field.type, at + field.offset + i * field.type.item_size());
        }
        text += "]";
      }
      return text + ")";
    }
    case K::none:
      return "?";
    default:
      return integer_text(kind, at);
  }
}

// --- Layout ----------------------------------------------------------------------------------------------------------

class ElementText {
 public:
  ElementText(const ArrayView& array, std::size_t edge, bool one_line)
      : array_(array), edge_(edge), one_line_(one_line) {
    collect(0, array.data);
    format();
  }

  std::string layout() {
    if (array_.shape.count() == 0) {
      return "[]";
    }
    put(0);
    return std::move(out_);
  }

 private:
  /// Calls `item(index)` for the indices shown along an axis, and `gap()` between head and tail.
  template <class Item, class Gap>
  void along(std::size_t axis, Item&& item, Gap&& gap) const {
    const std::uint64_t extent = array_.shape[axis];
    const bool all = extent / 2 < edge_ || (extent / 2 == edge_ && extent % 2 == 0);
    const std::uint64_t head = all ? extent : edge_;
    for (std::uint64_t i = 0; i < head; ++i) {
      item(i);
    }
    if (!all) {
      gap();
      for (std::uint64_t i = extent - edge_; i < extent; ++i) {
        item(i);
      }
    }
  }
  void collect(std::size_t axis, const std::byte* at) {
    if (axis == array_.shape.rank()) {
      places_.push_back(at);
      return;
    }
    along(
        axis, [&](std::uint64_t i) { collect(axis + 1, at + static_cast<std::int64_t>(i) * array_.strides[axis]); },
        [] {});
  }

  void format() {
    const DType& dtype = array_.dtype;
    const K kind = dtype.kind();
    if (is_real(kind)) {
      std::vector<Real> numbers;
      for (const std::byte* at : places_) {
        numbers.push_back(real_element(kind, at));
      }
      const RealColumn column(numbers, kind);
      for (const Real& number : numbers) {
        words_.push_back(column.text(number));
      }
      return;
    }
    if (kind == K::complex64 || kind == K::complex128) {
      const K part = kind == K::complex64 ? K::float32 : K::float64;
      std::vector<Real> real;
      std::vector<Real> imaginary;
      for (const std::byte* at : places_) {
        real.push_back(real_element(part, at));
        imaginary.push_back(real_element(part, at + dtype.item_size() / 2));
      }
      const RealColumn real_column(real, part);
      const RealColumn imaginary_column(imaginary, part);
      for (std::size_t i = 0; i < places_.size(); ++i) {
        std::string text = imaginary_column.signed_text(imaginary[i]);
        const std::size_t end = text.find_last_not_of(' ') + 1;
        text.insert(end, "j");
        words_.push_back(real_column.text(real[i]) + text);
      }
      return;
    }
    std::size_t width = kind == K::boolean && array_.shape.rank() > 0 ? 5 : 0;  // as NumPy does, whatever the values
    for (const std::byte* at : places_) {
      words_.push_back(element_text(dtype, at));
      width = std::max(width, words_.back().size());
    }
    if (kind != K::record && kind != K::bytes && kind != K::utf32) {
      for (std::string& word : words_) {
        word = pad_left(word, width);
      }
    }
  }

  void put(std::size_t axis) {
    const std::size_t rank = array_.shape.rank();
    if (axis == rank) {
      out_ += words_[next_word_++];
      return;
    }
    out_ += '[';
    bool first = true;
    const auto separate = [&](std::size_t size) {
      if (axis + 1 == rank) {
        if (!one_line_ && !first && out_.size() - line_start_ + 1 + size + rank > line_width) {
          out_.erase(out_.find_last_not_of(' ') + 1);
          out_ += '\n';
          line_start_ = out_.size();
          out_.append(axis + 1, ' ');
        } else if (!first) {
          out_ += ' ';
        }
      } else if (!first && one_line_) {
        out_ += ' ';
      } else if (!first) {
        out_.append(rank - axis - 1, '\n');
        line_start_ = out_.size();
        out_.append(axis + 1, ' ');
      }
      first = false;
    };
    along(
        axis,
        [&](std::uint64_t) {
          separate(axis + 1 == rank ? words_[next_word_].size() : 0);
          put(axis + 1);
        },
        [&] {
          separate(3);
          out_ += "...";
        });
    out_ += ']';
  }

  const ArrayView& array_;
  std::size_t edge_;
  bool one_line_;
  std::vector<const std::byte*> places_;
  std::vector<std::string> words_;
  std::size_t next_word_ = 0;
  std::size_t line_start_ = 0;
  std::string out_;
};

}  // namespace

std::string real_text(double value) {
  const StandardFloats standard;
  return with_point(shortest(value));
}
std::string real_text(float value) {
  const StandardFloats standard;
  return with_point(shortest(value));
}
std::string real_text(float16 value) {
  const StandardFloats standard;
  return with_point(shortest(brief_decimal(value)));
}

std::string json_real(std::string text) {
  if (text.find('n') == std::string::npos) {
    return text;
  }
  return text.find("nan") != std::string::npos ? "\"NaN\"" : text[0] == '-' ? "\"-Infinity\"" : "\"Infinity\"";
}

std::string element_json(const DType& dtype, const std::byte* at) {
  const StandardFloats standard;
  const K kind = dtype.kind();
  if (is_real(kind)) {
    return json_real(element_text(dtype, at));
  }
  switch (kind) {
    case K::none:
    case K::bytes:
    case K::utf32:
    case K::record:
      return {};
    case K::boolean:
      return *at != std::byte{0} ? "true" : "false";
    case K::duration:
    case K::time_point: {
      const std::string text = time_text(dtype, load_le<std::int64_t>(at));
      const bool is_number = dtype.kind() == K::duration && text != "NaT";
      return is_number ? text : "\"" + text + "\"";
    }
    case K::complex64:
    case K::complex128: {
      const DType part(kind == K::complex64 ? K::float32 : K::float64);
      return "[" + element_json(part, at) + ", " + element_json(part, at + part.item_size()) + "]";
    }
    default:
      return integer_text(kind, at);
  }
}

std::string elements_in_line(const ArrayView& array, std::size_t edge_items) {
  const StandardFloats standard;
  return ElementText(array, edge_items, true).layout();
}

std::string format_elements(const ArrayView& array, std::size_t edge_items) {
  const StandardFloats standard;
  return ElementText(array, edge_items, false).layout();
}

}  // namespace stele

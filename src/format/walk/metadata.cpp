#include "stele/metadata.hpp"

#include <charconv>
#include <limits>

#include "base/float_mode.hpp"

namespace stele {
namespace {

[[noreturn]] void other_kind(const char* wanted) {
  fail(Errc::type_mismatch, std::string("the metadata value is no ") + wanted);
}

}  // namespace

const std::string& MetadataValue::text() const& {
  const auto* text = std::get_if<std::string>(&value_);
  if (text == nullptr) {
    other_kind("text");
  }
  return *text;
}

std::int64_t MetadataValue::integer() const {
  if (const auto* negative = std::get_if<std::int64_t>(&value_)) {
    return *negative;
  }
  const auto* natural = std::get_if<std::uint64_t>(&value_);
  if (natural == nullptr) {
    other_kind("integer");
  }
  if (*natural > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
    fail(Errc::out_of_range, "the metadata value does not fit a signed integer");
  }
  return static_cast<std::int64_t>(*natural);
}

std::uint64_t MetadataValue::natural() const {
  if (const auto* natural = std::get_if<std::uint64_t>(&value_)) {
    return *natural;
  }
  if (is_integer()) {
    fail(Errc::out_of_range, "the metadata value is negative");
  }
  other_kind("integer");
}

double MetadataValue::real() const {
  if (const auto* real = std::get_if<double>(&value_)) {
    return *real;
  }
  if (!is_integer()) {
    other_kind("number");
  }
  return is_natural() ? static_cast<double>(natural()) : static_cast<double>(integer());
}

bool MetadataValue::boolean() const {
  const auto* boolean = std::get_if<bool>(&value_);
  if (boolean == nullptr) {
    other_kind("boolean");
  }
  return *boolean;
}

std::string MetadataValue::to_string() const {
  if (is_text()) {
    return text();
  }
  if (is_boolean()) {
    return boolean() ? "true" : "false";
  }
  if (is_natural()) {
    return std::to_string(natural());
  }
  if (is_integer()) {
    return std::to_string(integer());
  }
  const StandardFloats standard;
  char digits[40];
  const auto end = std::to_chars(digits, digits + sizeof digits, real()).ptr;
  const std::string text(digits, end);
  return text.find_first_not_of("-0123456789") == std::string::npos ? text + ".0" : text;
}

}  // namespace stele

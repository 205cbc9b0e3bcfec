#pragma once
// Metadata of an archive: named texts, numbers or booleans.

#include <concepts>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <variant>

#include "stele/error.hpp"

namespace stele {

/// A text, an integer, a floating-point number or a boolean. Integers are equal if their values are, whatever their
/// types were; values of different kinds are not equal.
class MetadataValue {
 public:
  MetadataValue() = default;  // an empty text
  MetadataValue(std::string text) : value_(std::move(text)) {}
  MetadataValue(std::string_view text) : value_(std::string(text)) {}
  MetadataValue(const char* text) : value_(std::string(text)) {}
  template <std::same_as<bool> B>
  MetadataValue(B value) : value_(value) {}
  template <std::integral I>
    requires(!std::same_as<I, bool> && sizeof(I) <= 8)
  MetadataValue(I value) {
    if (value < I{}) {
      value_ = static_cast<std::int64_t>(value);
    } else {
      value_ = static_cast<std::uint64_t>(value);
    }
  }
  MetadataValue(double value) : value_(value) {}
  MetadataValue(float value) : value_(double{value}) {}

  bool is_text() const noexcept { return std::holds_alternative<std::string>(value_); }
  bool is_integer() const noexcept { return is_natural() || std::holds_alternative<std::int64_t>(value_); }
  bool is_real() const noexcept { return std::holds_alternative<double>(value_); }
  bool is_boolean() const noexcept { return std::holds_alternative<bool>(value_); }
  /// An integer of 0 or more.
  bool is_natural() const noexcept { return std::holds_alternative<std::uint64_t>(value_); }

  // What it holds. Throw: Error(type_mismatch) for another kind, Error(out_of_range) for an integer that does not fit.
  const std::string& text() const&;
  std::string text() const&& { return static_cast<const MetadataValue&>(*this).text(); }
  std::int64_t integer() const;
  std::uint64_t natural() const;
  double real() const;  // of integers the nearest number
  bool boolean() const;

  /// As people read it: the text itself, or the JSON form.
  std::string to_string() const;

  friend bool operator==(const MetadataValue&, const MetadataValue&) = default;

 private:
  std::variant<std::string, std::int64_t, std::uint64_t, double, bool> value_;
};

/// By name.
using Metadata = std::map<std::string, MetadataValue>;

}  // namespace stele

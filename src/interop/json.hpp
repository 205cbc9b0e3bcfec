#pragma once
// Values as JSON (RFC 8259), without loss: docs/guide/store-import.md has the form.

#include <map>
#include <string>
#include <string_view>

#include "stele/value.hpp"

namespace stele {

/// Whether an object with one member whose name begins with a dollar sign represents a value that JSON lacks.
enum class JsonForm : std::uint8_t { plain, extended };

/// The value of a text of JSON. Extended: objects at the root are plain all the same.
/// Throws: Error(malformed), Error(duplicate_field), Error(out_of_range) for an integer of more than 64 bits,
/// Error(limit_exceeded) for deep nesting, Error(unsupported) in a build without JSON.
Value parse_json(std::string_view text, JsonForm form);

/// Writes values in the extended form, on one line. The text goes to a Sink as it is made. Texts must be UTF-8.
class JsonWriter {
 public:
  explicit JsonWriter(Sink& to) : to_(to) {}
  void raw(std::string_view text) { out_ += text; }
  void text(std::string_view text);
  void base64(Bytes bytes);
  void value(const Value& value);
  /// Begins anew to number what references lead to.
  void end_line();
  /// Passes on what is left. Returns how many bytes there were in all.
  std::uint64_t flush();

 private:
  void number(const Number& number);
  void floating(double value, std::uint64_t bits);
  void array(const AnyArray& array);
  void dtype(const DType& dtype);
  void map(const Value& value);
  void record(const Value& value);
  void anchored(std::string_view name, const Value& value);
  void pass_on();

  Sink& to_;
  std::string out_;
  std::uint64_t passed_ = 0;
  std::map<const void*, std::size_t> anchors_;
};

}  // namespace stele

#pragma once
// JSON (RFC 8259) as events, so that a large text takes no more memory than what is kept of it.

#include <cstdint>
#include <string>
#include <string_view>

namespace stele {

/// Takes what a text consists of, in its order.
class JsonEvents {
 public:
  enum class Scalar : std::uint8_t { null, boolean, natural, negative, real, text };
  struct Number {
    std::uint64_t natural = 0;  // boolean: 0 or 1; negative: its bits in two's complement
    double real = 0;
  };

  virtual ~JsonEvents() = default;
  /// An object, or a list.
  virtual void begin(bool is_object) = 0;
  virtual void end() = 0;
  virtual void key(std::string&& name) = 0;
  /// `text` is set for a text. "-0" is negative, as what has a sign is not a natural number.
  virtual void scalar(Scalar kind, const Number& number, std::string&& text) = 0;
};

/// How deep lists and objects may lie in each other, as in the parser of the reference implementation.
inline constexpr std::size_t deepest_json = 127;

/// Texts are valid UTF-8. Does not look for names that come twice.
/// Throws: Error(malformed), Error(out_of_range) for a float that is too large, Error(limit_exceeded) for deep nesting,
/// Error(unsupported) in a build without JSON, and what `events` throws.
void parse_json_events(std::string_view text, JsonEvents& events);

}  // namespace stele

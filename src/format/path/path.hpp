#pragma once
// Paths in the object graph: JSON Pointers (RFC 6901) without the leading slash; the root is the empty path. An empty
// key would look like no step, so it is written "~", which no JSON Pointer contains. So are steps that are not names:
// "~#3" is entry 3 of a map; "~*3", only at the beginning, is deferred value 3.

#include <string>
#include <string_view>
#include <vector>

#include "stele/visitor.hpp"

namespace stele {

/// One step of a path.
struct PathStep {
  enum class Kind : std::uint8_t { name, place, deferred } kind = Kind::name;
  std::string name;         // without escapes
  std::uint64_t index = 0;  // index of an entry or of a deferred value

  friend bool operator==(const PathStep&, const PathStep&) = default;
};

/// The field of a record that holds the version of its type.
inline constexpr std::string_view walk_version_name = "@version";

/// Appends one reference token; escapes "~" and "/" as "~0" and "~1".
void append_step(std::string& path, std::string_view step);
/// The step for a map key that is a number.
std::string number_text(const Number& number);
/// Whether a numeric key is written as a step; NaN is not, as no key equals it.
bool is_step(const Number& number) noexcept;
/// Appends the step of an entry by its index: for keys that are neither text nor such numbers, and for keys with the
/// same step as an earlier one.
void append_place(std::string& path, std::uint64_t place);
/// The path of a deferred value, which has no other path.
std::string deferred_path(std::uint64_t index);
/// The steps of a path. Throws: Error(invalid_argument) for an invalid "~".
std::vector<PathStep> split_path(std::string_view path);

}  // namespace stele

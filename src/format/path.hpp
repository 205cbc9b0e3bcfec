#pragma once
// Paths in the object graph: JSON Pointers (RFC 6901) without the leading slash; the root is the empty path. An empty
// key, which would then be the same as no step, is written "~", a text no pointer has, and so are steps that are no
// names: "~#3" is the entry of a map at place 3, "~*3" the deferred value 3, only at the beginning.

#include <string>
#include <string_view>
#include <vector>

#include "stele/visitor.hpp"

namespace stele {

/// One step of a path.
struct PathStep {
  enum class Kind : std::uint8_t { name, place, deferred } kind = Kind::name;
  std::string name;         // without escapes
  std::uint64_t index = 0;  // place, deferred

  friend bool operator==(const PathStep&, const PathStep&) = default;
};

/// The field of a record that holds the version of its type.
inline constexpr std::string_view walk_version_name = "@version";

/// Appends one reference token, with "~" and "/" escaped as "~0" and "~1".
void append_step(std::string& path, std::string_view step);
/// A map's key that is a number, as a step.
std::string number_text(const Number& number);
/// Whether a key that is a number is written as a step; NaN is not, as no key equals it.
bool is_step(const Number& number) noexcept;
/// Appends the step of an entry by its place: for keys that are neither text nor such a number, and for all but the
/// first of those that read the same.
void append_place(std::string& path, std::uint64_t place);
/// The path of a deferred value, which has no other.
std::string deferred_path(std::uint64_t index);
/// The steps of a path. Throws: Error(invalid_argument) for a "~" that means nothing.
std::vector<PathStep> split_path(std::string_view path);

}  // namespace stele

#pragma once
// Paths in the object graph: JSON Pointers (RFC 6901) without the leading slash; the root is the empty path. An empty
// key, which would then be the same as no step, is written "~", a text no pointer has.

#include <string>
#include <string_view>
#include <vector>

#include "stele/visitor.hpp"

namespace stele {

/// The field of a record that holds the version of its type.
inline constexpr std::string_view walk_version_name = "@version";

/// Appends one reference token, with "~" and "/" escaped as "~0" and "~1".
void append_step(std::string& path, std::string_view step);
/// A map's key that is a number, as a step.
std::string number_text(const Number& number);
/// The step of an entry whose key is neither text nor a number: "#" and the entry's place.
std::string place_text(std::uint64_t index);
/// The unescaped tokens of a path. Throws: Error(invalid_argument) for a "~" that escapes nothing.
std::vector<std::string> split_path(std::string_view path);

}  // namespace stele

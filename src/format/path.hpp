#pragma once
// Paths in the object graph: JSON Pointers (RFC 6901) without the leading slash; the root is the empty path.

#include <string>
#include <string_view>
#include <vector>

namespace stele {

/// The field of a record that holds the version of its type.
inline constexpr std::string_view walk_version_name = "@version";

/// Appends one reference token, with "~" and "/" escaped as "~0" and "~1".
void append_step(std::string& path, std::string_view step);
/// The unescaped tokens of a path. Throws: Error(invalid_argument) for a "~" that escapes nothing.
std::vector<std::string> split_path(std::string_view path);

}  // namespace stele

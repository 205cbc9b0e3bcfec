#pragma once
// The version of the library and of the file format it writes.

namespace stele {

inline constexpr int version_major = 0;
inline constexpr int version_minor = 1;
inline constexpr int version_patch = 0;

/// "major.minor.patch", as recorded in the directory of every archive.
inline constexpr const char* version_string = "0.1.0";

/// The format version written; docs/format.md describes it.
inline constexpr unsigned format_version = 1;

}  // namespace stele

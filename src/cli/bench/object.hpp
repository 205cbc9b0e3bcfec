#pragma once
// The object that `stele bench` saves and loads: what an archive holds, or the bytes of any other file.

#include <cstdint>
#include <string>

#include "stele/value.hpp"

namespace stele::cli {

struct BenchObject {
  Value value;
  bool archive = true;            // else `value` is one array of bytes
  std::uint64_t plain_bytes = 0;  // of its plain archive
};

/// The first archive of a file, of any codec; where the file is none, or `as_bytes` is set, its bytes.
/// Throws: Error(not_an_archive) for an empty file, and what loading throws.
BenchObject read_object(const std::string& file, bool as_bytes, unsigned threads);

/// The same tree with only some of the rows of its large arrays, about that share of each.
Value part_of(const Value& value, double share);

/// The bytes of the plain archive of a value.
std::uint64_t plain_size(const Value& value);

}  // namespace stele::cli

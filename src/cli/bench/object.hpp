#pragma once
// The object that `stele bench` saves and loads: the value of an archive, or the bytes of any other file.

#include <cstdint>
#include <string>

#include "stele/value.hpp"

namespace stele::cli {

struct BenchObject {
  Value value;
  bool archive = true;            // false: `value` is one array of bytes
  std::uint64_t plain_bytes = 0;  // size of its plain archive
};

/// The first archive of a file, of any codec. If the file is not an archive, or `as_bytes` is set, its bytes. Throws:
/// Error(not_an_archive) for an empty file, and the errors of loading.
BenchObject read_object(const std::string& file, bool as_bytes, unsigned threads);

/// The same tree with only about this share of the rows of each large array.
Value part_of(const Value& value, double share);

/// The size of the plain archive of a value.
std::uint64_t plain_size(const Value& value);

}  // namespace stele::cli

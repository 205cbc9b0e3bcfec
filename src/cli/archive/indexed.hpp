#pragma once
// Values by path, and parts of arrays by NumPy's basic indices after it: "rows[1000:1010, -1]".

#include <string>

#include "stele/archive.hpp"
#include "stele/value.hpp"

namespace stele::cli {

/// The value at `path`, or the part of an array if the path ends with indices in brackets and no value has this path.
/// Indices are integers, slices `first:end:step` and `...`, as NumPy has them: negative ones count from the end, slices
/// are cut at the ends, an integer takes its axis away. Only the part is read.
/// Throws: Error(invalid_argument) for an invalid index and for an integer outside the array, and what File::load() and
/// AnyLazyArray::read() throw.
Value load_indexed(const File& file, const std::string& path);

}  // namespace stele::cli

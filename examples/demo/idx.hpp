#pragma once
// The IDX format of the MNIST data sets: big-endian extents and then bytes, compressed by gzip.

#include <cstddef>
#include <cstdint>
#include <string>

#include "stele/array.hpp"

namespace demo {

/// Reads an .idx file compressed by gzip, of bytes with Rank dimensions.
/// Throws: stele::Error, also where the file is of another type or rank.
template <std::size_t Rank>
stele::Array<std::uint8_t, Rank> read_idx(const std::string& path);

}  // namespace demo

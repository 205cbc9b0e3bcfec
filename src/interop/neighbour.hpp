#pragma once
// Arrays of other programs' files.

#include <cstdint>
#include <string>

#include "archive/formats.hpp"
#include "stele/value.hpp"

namespace stele {

/// To be called before an array of so many bytes is copied. Does nothing where there is no mapping.
/// Throws: Error(not_mappable) where the options refuse that: in MapMode::read_write, and with map_all from 4 KiB on.
void check_copy(const Neighbour& file, std::uint64_t bytes, const std::string& why);

/// The array whose elements lie densely at `offset` of the file, which the source has reached: a view of the mapping,
/// or read from the source. Throws: as read_elements(), Error(truncated) where the mapping ends before,
/// Error(limit_exceeded), Error(not_mappable) as check_copy().
AnyArray array_at(const Neighbour& file, std::uint64_t offset, const ArrayHeader& header);

}  // namespace stele

#pragma once
// Arrays of other programs' files.

#include <cstdint>
#include <string>

#include "archive/formats.hpp"
#include "stele/value.hpp"

namespace stele {

/// Call this before copying an array of `bytes` bytes. Does nothing if the file is not mapped.
/// Throws: Error(not_mappable) if the options forbid copies: in MapMode::read_write, and with map_all from 4 KiB on.
void check_copy(const Neighbour& file, std::uint64_t bytes, const std::string& why);

/// The array whose elements lie densely at `offset`, the current position of the source: a view of the mapping, or
/// read from the source. Throws: as read_elements(), Error(truncated) where the mapping ends before,
/// Error(limit_exceeded), Error(not_mappable) as check_copy().
AnyArray array_at(const Neighbour& file, std::uint64_t offset, const ArrayHeader& header);

}  // namespace stele

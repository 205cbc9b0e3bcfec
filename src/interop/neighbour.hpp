#pragma once
// What the readers of other programs' formats are given.

#include <cstdint>
#include <memory>
#include <string>

#include "stele/io.hpp"
#include "stele/options.hpp"
#include "stele/value.hpp"

namespace stele {

/// A file of another program.
struct Neighbour {
  /// The plain bytes, from the start of the file or at `consumed`. Compressed files are decompressed.
  Source& source;
  /// The whole file, where it is not compressed and its arrays may stay in the mapping; else null.
  std::shared_ptr<Mapping> mapping = nullptr;
  /// Empty where the bytes come from no file. Companion files lie in the same folder.
  std::string path = {};
  /// Those that count: limits, threads.
  const LoadOptions& options;
};

/// To be called before an array of so many bytes is copied. Does nothing where there is no mapping.
/// Throws: Error(not_mappable) where the options refuse that: in MapMode::read_write, and with map_all from 4 KiB on.
void check_copy(const Neighbour& file, std::uint64_t bytes, const std::string& why);

/// The array whose elements lie densely at `offset` of the file, which the source has reached: a view of the mapping,
/// or read from the source. Throws: as read_elements(), Error(truncated) where the mapping ends before,
/// Error(limit_exceeded), Error(not_mappable) as check_copy().
AnyArray array_at(const Neighbour& file, std::uint64_t offset, const ArrayHeader& header);

}  // namespace stele

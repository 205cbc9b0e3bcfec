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

/// The array whose elements lie densely at `offset` of the file, which the source has reached: a view of the mapping,
/// or read from the source. Throws: as read_elements(), Error(truncated) where the mapping ends before.
AnyArray array_at(const Neighbour& file, std::uint64_t offset, const ArrayHeader& header);

}  // namespace stele

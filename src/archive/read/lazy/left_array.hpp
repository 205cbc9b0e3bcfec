#pragma once
// Arrays of open archives that are left there until they are written elsewhere.

#include <cstdint>
#include <memory>
#include <string>

#include "archive/read/lazy/stored.hpp"
#include "archive/value/later.hpp"

namespace stele {

/// Whose array it is.
struct LeftIn {
  std::shared_ptr<const void> file;  // of which the elements are read
  std::string file_name;
  std::string path;
  unsigned threads = 1;
};
/// The array whose elements are those from `first` on, in the order of the header. Its Sources throw what
/// StoredElements::read() throws, with file and path.
std::shared_ptr<LaterArray> left_array(const ArrayHeader& header, bool shareable,
                                       std::unique_ptr<StoredElements> elements, std::uint64_t first, LeftIn in);

}  // namespace stele

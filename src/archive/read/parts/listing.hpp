#pragma once
// Lists the contents of an archive without reading its arrays.

#include <vector>

#include "archive/read/decoder/decoder.hpp"
#include "stele/archive.hpp"

namespace stele {

/// The next value and everything below it.
std::vector<Entry> list_values(Decoder& in, const ListOptions& options);

}  // namespace stele

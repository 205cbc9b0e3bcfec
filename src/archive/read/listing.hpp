#pragma once
// Lists what an archive holds without reading its arrays.

#include <vector>

#include "archive/read/decoder.hpp"
#include "stele/archive.hpp"

namespace stele {

/// The value that comes next and what is below it.
std::vector<Entry> list_values(Decoder& in, const ListOptions& options);

}  // namespace stele

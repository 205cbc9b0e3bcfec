#pragma once
// Lists the classes and functions that Python would import to load a pickle, and rates their risk.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "interop/neighbour.hpp"
#include "stele/interop.hpp"

namespace stele {

/// The risk of a name. A name with a dangerous part is dangerous, whatever the others are.
Reference::Risk risk_of(std::string_view name);

/// The references of all pickles in a file, also of those inside arrays of objects and in companion files. Arrays are
/// skipped and no tree is built. If the file is damaged, the references up to that point are returned. At most
/// `most` pickles are read; other things may follow them.
References pickle_references(const Neighbour& file, std::size_t most = SIZE_MAX);

}  // namespace stele

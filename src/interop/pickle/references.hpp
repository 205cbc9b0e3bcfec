#pragma once
// What a pickle refers to: the classes and functions that Python would import, and those that are no data.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "interop/neighbour.hpp"
#include "stele/interop.hpp"

namespace stele {

/// The risk of a name. A name with a dangerous part is dangerous, whatever the others are.
Reference::Risk risk_of(std::string_view name);

/// The references of all pickles in a file, also of those inside arrays of objects and in companion files. Arrays are
/// skipped and no tree is built. Of a file that is no pickle to the end it gives what was found up to there. At most
/// `most` pickles are read; other things may follow them.
References pickle_references(const Neighbour& file, std::size_t most = SIZE_MAX);

}  // namespace stele

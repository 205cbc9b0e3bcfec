#pragma once
// Python's ordered dicts, which models of PyTorch are saved as, for formats that hold maps of arrays.

#include "stele/value.hpp"

namespace stele {

/// The map that a collections.OrderedDict is, without the attributes that it may have; other values themselves. Looks
/// through shared values.
const Value& plain_dict(const Value& value) noexcept;

}  // namespace stele

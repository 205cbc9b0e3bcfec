#pragma once
// The calls that are data: what Python's and NumPy's own reconstructors would return.

#include <optional>
#include <span>

#include "interop/pickle/read/tree.hpp"

namespace stele::pickle {

/// The set, bytes, complex number or scalar that a call stands for; nothing where it stays a generic object. The
/// arguments stay as they are.
std::optional<Value> plain_call(Known callable, std::span<const Value> args, Marks& marks);

}  // namespace stele::pickle

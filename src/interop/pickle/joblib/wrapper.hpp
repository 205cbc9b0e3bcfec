#pragma once
// Arrays of joblib's files: a wrapper object stands in the pickle, and the elements follow it. Before joblib 0.10 they
// lay in companion files.

#include "interop/npy/npy.hpp"
#include "interop/pickle/read/machine.hpp"
#include "interop/pickle/read/tree.hpp"

namespace stele::pickle {

/// Whether the object is a wrapper of joblib's, whose state has been set.
bool is_wrapper(const Object& object) noexcept;
/// The array of a wrapper. With a listener it is skipped, and pickles in it are listened to; the value is then null.
/// Throws: Error(malformed), Error(not_found) for a companion file that is missing, what array_at() throws.
Value read_wrapped(const Object& object, const Machine::Input& input, Marks& marks);

/// The finished Value of a pickle inside another, which has a memo of its own.
Value read_inner(const Machine::Input& input);
/// The array whose elements are next in a window: a view of the mapping, or read.
/// Throws: what array_at() throws.
AnyArray next_array(Window& window, const Neighbour& file, const NpyHeader& header);

/// The array of a wrapper whose elements are in a companion file, a .npy file or a Z-file.
Value read_companion(const Object& object, const Machine::Input& input, Marks& marks);

}  // namespace stele::pickle

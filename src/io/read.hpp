#pragma once
// Reading of as many bytes as a format says, and of all that are left.

#include "stele/io.hpp"

namespace stele {

/// Fills `into`, or less where the Source ends before. Returns how many bytes there were. Throws: Error(io).
std::size_t read_up_to(Source& source, MutableBytes into);
/// Fills `into`. Throws: Error(truncated) where the Source ends before, Error(io).
void read_exactly(Source& source, MutableBytes into);
/// Writes what is left of a Source to a Sink, which is not closed. Throws: Error(io).
void copy_rest(Source& from, Sink& to);

}  // namespace stele

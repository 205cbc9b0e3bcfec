#pragma once
// Overwrites an existing file, for names that cannot be replaced by a rename.

#include <memory>
#include <string>

#include "io/replace/place.hpp"

namespace stele {

/// Collects the output in an unnamed file. The file at `place` is only changed by close(), after the space for it was
/// allocated. A failure or crash during that leaves it damaged.
/// Throws: Error(io).
std::unique_ptr<Sink> in_place_sink(const Place& place, const std::string& path, Sync sync);

}  // namespace stele

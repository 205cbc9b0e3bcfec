#pragma once
// Writing into the file that stands, for names that cannot be given to another file.

#include <memory>
#include <string>

#include "io/replace/place.hpp"

namespace stele {

/// Gathers what is written in an unnamed file first, so that the file at `place` is touched at close() alone, after the
/// space that it needs has been taken. What goes wrong then, or a crash, leaves it damaged. Throws: Error(io).
std::unique_ptr<Sink> in_place_sink(const Place& place, const std::string& path, Sync sync);

}  // namespace stele

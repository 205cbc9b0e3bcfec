#pragma once
// The options of the library from Python's arguments.

#include "python.hpp"
#include "stele/options.hpp"

namespace stele::python {

/// The arguments that every function that saves takes, by name: codec, level, filter, threads, metadata, sync, in_place,
/// canonical. None and absent mean the default. Throws: TypeError for others.
SaveOptions save_options(const nb::dict& given);
/// mmap_mode, verify, threads, limits, offset.
LoadOptions load_options(const nb::dict& given);

Metadata metadata_from(nb::handle given);
nb::dict metadata_to(const Metadata& metadata);

}  // namespace stele::python

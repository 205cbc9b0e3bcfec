#pragma once
// The options of the library from Python's arguments.

#include "python.hpp"

#include <functional>
#include <string>

#include "stele/options.hpp"

namespace stele::python {

/// The arguments that every function that saves takes, by name: codec, level, filter, threads, metadata, sync,
/// in_place, canonical. None and absent mean the default. Throws: TypeError for others.
SaveOptions save_options(const nb::dict& given);
/// mmap_mode, verify, threads, limits, offset.
LoadOptions load_options(const nb::dict& given);

/// What passes messages on to a callable, on any thread. The callable is kept until the interpreter ends, as a thread
/// may warn while it does.
std::function<void(const std::string& message)> warning(nb::handle callable);

Metadata metadata_from(nb::handle given);
nb::dict metadata_to(const Metadata& metadata);

}  // namespace stele::python

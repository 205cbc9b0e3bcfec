#pragma once
// Storages whose engine is Python's: fsspec and obstore.

#include <string>

#include "python.hpp"

namespace stele::python {

/// What the core takes for a path that may be a URL of Python's (stele/_urls.py decides). Needs the GIL.
void name_for_core(std::string& path);

/// Whether the file at a path is read by Python. Threads of the library then wait for the GIL, so that whoever waits
/// for them must not hold it.
bool read_by_python(const std::string& path);

}  // namespace stele::python

#pragma once
// stele::Error as Python's exceptions.

#include "python.hpp"

namespace stele::python {

/// Errors of the library are raised from now on as what stele/_errors.py makes of them.
void translate_errors();

}  // namespace stele::python

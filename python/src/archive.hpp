#pragma once
// dump(), load() and what belongs to whole archives.

#include "python.hpp"

namespace stele::python {

void bind_archive(nb::module_& module);

}  // namespace stele::python

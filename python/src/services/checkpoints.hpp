#pragma once
// What the bindings of checkpoints share.

#include "python.hpp"
#include "stele/checkpoint.hpp"

namespace stele::python {

/// The options of a folder of checkpoints by name. Throws: TypeError for others.
CheckpointOptions checkpoint_options(const nb::dict& given);
nb::dict checkpoint_info(const CheckpointInfo& info);

}  // namespace stele::python

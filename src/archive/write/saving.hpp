#pragma once

#include "stele/codec.hpp"
#include "stele/options.hpp"

namespace stele {

/// Checks level and filter. `codec` null: plain. Throws: Error(invalid_argument).
void check_saving(const SaveOptions& options, const Codec* codec);

}  // namespace stele

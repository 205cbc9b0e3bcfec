#pragma once

#include <vector>

#include "stele/checkpoint.hpp"

namespace stele {

/// Which checkpoints the options keep, at time `now` in seconds since 1970. `all` ascends by step.
std::vector<bool> checkpoints_to_keep(const std::vector<CheckpointInfo>& all, const CheckpointOptions& options,
                                      double now);

/// Those with the best values of a metric, the best first; of equal ones the newest first.
std::vector<std::size_t> best_checkpoints(const std::vector<CheckpointInfo>& all, std::string_view metric,
                                          bool largest);

}  // namespace stele

#pragma once
// The positions of all records of a state of a store.

#include <vector>

#include "services/store/index/index.hpp"

namespace stele {

/// Ordered by key. Throws: Error(damaged).
std::vector<Position> all_positions(BlockReader& blocks);

}  // namespace stele

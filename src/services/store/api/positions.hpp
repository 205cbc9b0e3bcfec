#pragma once
// Where all records of a state of a store lie.

#include <vector>

#include "services/store/index/index.hpp"

namespace stele {

/// In the order of the keys. Throws: Error(damaged).
std::vector<Position> all_positions(BlockReader& blocks);

}  // namespace stele

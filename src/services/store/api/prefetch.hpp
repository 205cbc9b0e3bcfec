#pragma once
// Asking the device ahead for what is going to be read.

#include <span>

#include "services/store/shard/record.hpp"

namespace stele {

struct StoreSnapshot;

/// For one thread that reads values one after another. Asks only while values have to come from the device: where they
/// lie in memory already, asking costs more than reading.
class Prefetcher {
 public:
  Prefetcher();
  /// Asks for the records that come next, in any order, if pages had to be read from the device since the last call.
  void ahead(const StoreSnapshot& snapshot, std::span<const Position> positions);

 private:
  long faults_;
  bool first_ = true;
};

}  // namespace stele

#pragma once
// Prefetching from the device.

#include <span>

#include "services/store/shard/record.hpp"

namespace stele {

struct StoreSnapshot;

/// For one thread that reads values one after another. Prefetches only while values have to come from the device: if
/// they are in memory already, prefetching costs more than reading.
class Prefetcher {
 public:
  Prefetcher();
  /// Prefetches the next records, given in any order, if pages had to be read from the device since the last call, and
  /// always from another machine. Throws: Error(damaged) for a shard that is not there, Error(io), Error(changed).
  void ahead(const StoreSnapshot& snapshot, std::span<const Position> positions);

 private:
  long faults_;
  bool first_ = true;
};

}  // namespace stele

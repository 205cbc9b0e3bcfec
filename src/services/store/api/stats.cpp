#include "services/store/api/core.hpp"
#include "stele/error.hpp"

namespace stele {

StoreStats Store::stats() const {
  state_->commit_waiting();
  StoreStats stats;
  if (state_->packed != nullptr) {
    const PackedRoot& root = state_->packed->root();
    stats.values = root.values;
    stats.live_bytes = root.live_bytes;
    stats.codec = root.codec;
    stats.index_bytes = state_->packed->index_bytes();
    stats.shards.push_back({0, state_->packed->file_bytes(), root.values, root.live_bytes, 0});
    return stats;
  }
  const auto read = state_->index->read();
  const StoreState state = read->state();
  stats.values = state.values;
  stats.commits = state.commits;
  stats.codec = state.codec;
  stats.index_bytes = state_->index->bytes();
  for (const StoreState::Order& order : state.orders) {
    stats.orders.push_back(order.name);
  }
  for (const ShardEntry& entry : read->shards()) {
    stats.shards.push_back({entry.number, entry.length, entry.live_values, entry.live_bytes, entry.dead_bytes()});
    stats.live_bytes += entry.live_bytes;
    stats.dead_bytes += entry.dead_bytes();
  }
  return stats;
}

}  // namespace stele

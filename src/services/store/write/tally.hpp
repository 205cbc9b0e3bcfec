#pragma once
// The changes of a commit besides the blocks: the number of values, and the bytes used in each shard.

#include <vector>

#include "services/store/index/index.hpp"

namespace stele {

/// The entry of a shard, or null.
ShardEntry* find_entry(std::vector<ShardEntry>& table, std::uint32_t number) noexcept;

/// The state and the table of shards after the commit.
class Tally {
 public:
  Tally(StoreState from, const std::vector<ShardEntry>& shards)
      : state(std::move(from)), table(shards), before_(shards) {}

  StoreState state;
  std::vector<ShardEntry> table;

  /// A key that moved from one position to another. The key's bytes belong to the change.
  struct Moved {
    std::string_view key;
    std::optional<Position> from;
    std::optional<Position> to;
  };
  /// Applies changes sorted by key to the index and counts them. Appends to `moved` if it is not null. Throws:
  /// Error(damaged) if the index refers to a shard that is not in the table.
  void apply(IndexWrite& write, const std::vector<IndexWrite::Change>& changes, std::vector<Moved>* moved);
  /// Writes what has changed; `all`: shards to write in any case.
  void write(IndexWrite& write, const std::vector<std::uint32_t>& all) const;

 private:
  ShardEntry& entry(std::uint32_t number);
  std::vector<ShardEntry> before_;
  std::size_t last_ = 0;  // the entry of the last look-up
};

}  // namespace stele

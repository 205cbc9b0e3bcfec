#pragma once
// What a commit changes besides the blocks: how many values there are, and how much of each shard they take.

#include <vector>

#include "services/store/index/index.hpp"

namespace stele {

/// The entry of a shard, or null.
ShardEntry* find_entry(std::vector<ShardEntry>& table, std::uint32_t number) noexcept;

/// The state and the table of shards, as they become.
class Tally {
 public:
  Tally(StoreState from, const std::vector<ShardEntry>& shards)
      : state(std::move(from)), table(shards), before_(shards) {}

  StoreState state;
  std::vector<ShardEntry> table;

  /// A key that led from one place to another. The key is that of the change.
  struct Moved {
    std::string_view key;
    std::optional<Position> from;
    std::optional<Position> to;
  };
  /// Applies changes, sorted by their keys, to the index and counts them. Adds to `moved`, unless that is null.
  /// Throws: Error(damaged) where the index leads to a shard that is not in the table.
  void apply(IndexWrite& write, const std::vector<IndexWrite::Change>& changes, std::vector<Moved>* moved);
  /// Writes what is another now; `all`: shards to write in any case.
  void write(IndexWrite& write, const std::vector<std::uint32_t>& all) const;

 private:
  ShardEntry& entry(std::uint32_t number);
  std::vector<ShardEntry> before_;
  std::size_t last_ = 0;  // the entry that was asked for last
};

}  // namespace stele

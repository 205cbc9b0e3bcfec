#pragma once
// The list of a store's shards beside the index: what recover() compares with when the index is lost.

#include <optional>
#include <string>
#include <vector>

#include "io/replace/folder.hpp"
#include "services/store/index/index.hpp"

namespace stele {

/// What the list says of the shards when it was written. Each of them was in the folder then and until the list is
/// written anew; others may have come since, and each may have grown.
struct ShardList {
  std::uint64_t store = 0;
  std::vector<ShardEntry> table;
};

/// Throws: Error(io).
void write_shard_list(const Folder& folder, std::uint64_t store, const std::vector<ShardEntry>& table);
/// Nothing where there is none that is whole.
std::optional<ShardList> read_shard_list(const Folder& folder);

}  // namespace stele

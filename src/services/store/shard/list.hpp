#pragma once
// A list of the store's shards next to the index. recover() compares with it if the index is lost.

#include <optional>
#include <string>
#include <vector>

#include "io/replace/folder.hpp"
#include "services/store/index/index.hpp"

namespace stele {

/// The shards when the list was written. Each of them exists at least until the list is written again. Others may have
/// been added since, and each may have grown.
struct ShardList {
  std::uint64_t store = 0;
  std::vector<ShardEntry> table;
};

/// Throws: Error(io).
void write_shard_list(const Folder& folder, std::uint64_t store, const std::vector<ShardEntry>& table);
/// Nothing if there is no intact list.
std::optional<ShardList> read_shard_list(const Folder& folder);

}  // namespace stele

#pragma once
// Checks whether the shards in a folder and its index belong together. A writer that died leaves records that the index
// does not know, and at most one complete commit. Anything else means that files were restored from a backup, copied
// while they were written, synchronised only in part, or come from another store.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "services/store/index/index.hpp"
#include "services/store/shard/shard.hpp"

namespace stele {

/// The part of a shard after the last commit that the index knows.
struct ShardTail {
  std::shared_ptr<Shard> shard;
  std::uint64_t begin = 0;  // where the bytes begin that the index does not know
  std::uint64_t end = 0;    // end of the last mark of the commit after the index's; `begin` if there is none
  std::uint64_t mark = 0;   // checksum of that mark
};

struct StoreFit {
  std::vector<std::string> problems;  // empty: the files belong together
  /// Whether the shards hold a complete commit that the index does not know. Its records end at the `end`s of the
  /// tails.
  bool has_next_commit = false;
  std::vector<ShardTail> tails;        // of the shards in the index
  std::vector<ShardTail> strangers;    // shards of this store that are not in the index
  std::vector<std::uint32_t> unbegun;  // numbers of files that end inside a shard's header
  std::uint32_t next_number = 1;       // greater than the number of every file with a shard's name
};

/// A state of the index to compare with the shards.
struct FitState {
  StoreState state;
  std::vector<ShardEntry> table;
};
/// How to read the bytes after the last commit. If others may truncate them meanwhile, they must not be mapped.
enum class Tails : std::uint8_t { mapped, read, left_alone };
/// Compares folder and index. `now` returns the latest state of the index, as others may write meanwhile. Throws:
/// Error(io).
StoreFit fit_store(const Folder& folder, const FitState& known, Tails how, const std::function<FitState()>& now);

/// Whether a shard has the mark of a commit where its entry says. Throws: Error(io).
bool fits(const Shard& shard, const ShardEntry& entry);

/// The message for files that do not belong together; ends with "…; Store::recover() rebuilds the index".
std::string not_fitting(const std::string& folder, const std::string& problem);

}  // namespace stele

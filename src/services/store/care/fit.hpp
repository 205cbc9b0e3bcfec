#pragma once
// Whether the shards in a folder and its index belong together. A writer that died leaves records that the index does
// not know, and at most one whole commit; anything else means that files were restored from a backup, copied while they
// were written, synchronised in part, or come from another store.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "services/store/index/index.hpp"
#include "services/store/shard/shard.hpp"

namespace stele {

/// What is behind the last commit that the index knows, in one shard.
struct ShardTail {
  std::shared_ptr<Shard> shard;
  std::uint64_t begin = 0;  // of what the index does not know
  std::uint64_t end = 0;    // of what belongs to the commit after the index's: behind the last mark of it; or `begin`
  std::uint64_t mark = 0;   // the check of that mark
};

struct StoreFit {
  std::vector<std::string> problems;  // none: they belong together
  /// Whether a commit that the index does not know is whole in the shards: its records end at the `end`s of the tails.
  bool has_next_commit = false;
  std::vector<ShardTail> tails;        // of the shards that the index knows
  std::vector<ShardTail> strangers;    // shards of this store that it does not know
  std::vector<std::uint32_t> unbegun;  // files that end inside of a shard's header
  std::uint32_t next_number = 1;       // greater than that of every file with a shard's name
};

/// A state of the index to compare with.
struct FitState {
  StoreState state;
  std::vector<ShardEntry> table;
};
/// How what is behind the last commit is looked at: where it may be cut meanwhile it must not be mapped.
enum class Tails : std::uint8_t { mapped, read, left_alone };
/// Compares. `now` gives the last state of the index, as others may write meanwhile. Throws: Error(io).
StoreFit fit_store(const Folder& folder, const FitState& known, Tails how, const std::function<FitState()>& now);

/// Whether a shard has the mark of a commit where the entry of it says. Throws: Error(io).
bool fits(const Shard& shard, const ShardEntry& entry);

/// "…; Store::recover() makes the index anew" of what does not belong together.
std::string not_fitting(const std::string& folder, const std::string& problem);

}  // namespace stele

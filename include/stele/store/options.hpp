#pragma once
// Options for opening a Store, and its reports.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "stele/options.hpp"
#include "stele/store/items.hpp"

namespace stele {

enum class StoreMode : std::uint8_t {
  create,      // reads and writes; creates the store if there is none
  read_write,  // reads and writes; Error(not_found) if there is none
  read_only,
};

/// What a crash of the machine may lose. A crash of the program loses only what was not committed, whatever the level.
enum class StoreDurability : std::uint8_t {
  none,    // the last seconds, and perhaps the index, which recover() rebuilds
  commit,  // nothing that a commit() has returned for: two waits for the device each
  put,     // nothing that a put() or erase() has returned for: the same for each
};

struct StoreOptions {
  StoreDurability durability = StoreDurability::none;
  /// The codec of values, by name; "plain" stores them uncompressed, so that they are mapped. Chosen when the store is
  /// created, as are the next two.
  std::string codec = "plain";
  std::optional<int> level = std::nullopt;
  /// A shard that has more bytes ends, and the next begins. A larger value gets a shard of its own.
  std::uint64_t shard_bytes = std::uint64_t{1} << 30;
  /// Secondary orders to maintain. A writer must be given those that the store has; a new one is built at the first
  /// write.
  std::vector<StoreOrder> orders = {};
  /// How much is checked. automatic: the pages of an index of up to 64 MiB when it is opened; values of up to 1 MiB
  /// when they are first handed out, of larger views only their beginning. full: everything. none: only forms and
  /// lengths of values, and the parts of the index that are read.
  Verify verify = Verify::automatic;
  /// Milliseconds to wait for another writer to end; then Error(busy).
  unsigned wait_ms = 0;
  /// Puts and erasures are committed automatically beyond so many values or bytes. For keys in random order, larger
  /// commits cost less, as each commit writes most pages of the index anew.
  std::uint64_t group_values = 500'000;
  std::uint64_t group_bytes = std::uint64_t{64} << 20;
  /// Names of polymorphic types; must outlive the Store.
  const TypeRegistry* types = nullptr;
};

/// A shard, or all of them together.
struct StoreShardStats {
  std::uint32_t number = 0;  // in its file name
  std::uint64_t file_bytes = 0;
  std::uint64_t live_values = 0;
  std::uint64_t live_bytes = 0;  // of the values of existing keys
  std::uint64_t dead_bytes = 0;  // what a vacuum reclaims: overwritten, erased and lost
};

struct StoreStats {
  std::uint64_t values = 0;
  std::uint64_t live_bytes = 0;
  std::uint64_t dead_bytes = 0;
  std::uint64_t index_bytes = 0;
  std::uint64_t commits = 0;
  std::string codec;
  std::vector<std::string> orders;
  std::vector<StoreShardStats> shards;
};

/// What check() and recover() found.
struct StoreReport {
  std::uint64_t values = 0;  // that are whole
  std::uint64_t bytes = 0;   // that were read
  // Of recover():
  std::uint64_t lost_bytes = 0;   // of shards: bytes that belong to no record, and bytes known to be missing
  std::uint64_t lost_shards = 0;  // known to be missing, or unreadable
  std::uint64_t lost_values = 0;  // of keys that have no value now; known if the old index is whole
  /// Keys that may have an older value than they had, or may have been erased: the evidence is lost. At most 1000 are
  /// kept.
  std::uint64_t uncertain_count = 0;
  std::vector<StoreKey> uncertain = {};
  /// One line each: what, where. At most 1000 are kept.
  std::vector<std::string> problems = {};
  std::uint64_t problem_count = 0;
  bool good() const noexcept { return problem_count == 0; }
};

/// The progress of a long operation, in bytes; returning false ends it early, with nothing lost.
using StoreProgress = std::function<bool(std::uint64_t done, std::uint64_t total)>;

struct StoreVacuumOptions {
  /// Shards whose share of dead bytes is at least this are rewritten. Shards of less than half the shard size are
  /// joined with adjacent ones.
  double dead_share = 0.2;
  /// May write to the store, but not release, close or vacuum it.
  StoreProgress progress = {};
};

}  // namespace stele

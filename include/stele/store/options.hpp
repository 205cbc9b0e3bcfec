#pragma once
// What opening a Store can be told, and what it reports.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "stele/options.hpp"
#include "stele/store/items.hpp"

namespace stele {

enum class StoreMode : std::uint8_t {
  create,      // reads and writes; makes the store where there is none
  read_write,  // reads and writes; Error(not_found) where there is none
  read_only,
};

/// What a crash of the machine may take. A crash of the program alone takes what was not committed, whatever the level.
enum class Durability : std::uint8_t {
  none,    // the last seconds, and perhaps the index, which recover() makes anew
  commit,  // nothing that a commit() has returned for: two waits for the device each
  put,     // nothing that a put() or erase() has returned for: the same for each
};

struct StoreOptions {
  Durability durability = Durability::none;
  /// How values are compressed, by name; "plain": not, so that they are mapped. Chosen when the store is made, as are
  /// the next two.
  std::string codec = "plain";
  std::optional<int> level = std::nullopt;
  /// Bytes of a shard beyond which the next is begun. A value that is larger has a shard of its own.
  std::uint64_t shard_bytes = std::uint64_t{1} << 30;
  /// Secondary orders to keep up. A writer must be given those that the store has; a new one is built when first
  /// written.
  std::vector<StoreOrder> orders = {};
  /// How much is checked. automatic: the pages of an index of up to 64 MiB when it is opened; values of up to 1 MiB
  /// when they are first handed out, of larger ones that are handed out as views their beginning. full: all of it.
  /// none: only forms and lengths of values, and of the index what is read of it.
  Verify verify = Verify::automatic;
  /// Milliseconds to wait for another writer to end; then Error(busy).
  unsigned wait_ms = 0;
  /// What put() and erase() have gathered is committed beyond so many values or bytes. Keys in random order cost the
  /// less the more are committed together, as each commit writes most pages of the index anew.
  std::uint64_t group_values = 500'000;
  std::uint64_t group_bytes = std::uint64_t{64} << 20;
  /// Names of polymorphic types; must outlive the Store.
  const TypeRegistry* types = nullptr;
};

/// A shard, or all of them together.
struct ShardStats {
  std::uint32_t number = 0;  // in its file name
  std::uint64_t file_bytes = 0;
  std::uint64_t live_values = 0;
  std::uint64_t live_bytes = 0;  // of values that keys lead to
  std::uint64_t dead_bytes = 0;  // what a vacuum gives back: overwritten, erased and lost
};

struct StoreStats {
  std::uint64_t values = 0;
  std::uint64_t live_bytes = 0;
  std::uint64_t dead_bytes = 0;
  std::uint64_t index_bytes = 0;
  std::uint64_t commits = 0;
  std::string codec;
  std::vector<std::string> orders;
  std::vector<ShardStats> shards;
};

/// What verify() and recover() found.
struct StoreReport {
  std::uint64_t values = 0;  // that are whole
  std::uint64_t bytes = 0;   // that were read
  // Of recover():
  std::uint64_t lost_bytes = 0;   // of shards: that are no record, and that are known to have been there
  std::uint64_t lost_shards = 0;  // that are known to have been there, or cannot be read
  std::uint64_t lost_values = 0;  // of keys that lead nowhere now; known where the old index is whole
  /// Keys that may lead to an older value than they did, or may have been erased: what would tell is lost. At most 1000
  /// are kept.
  std::uint64_t uncertain_count = 0;
  std::vector<Key> uncertain = {};
  /// One line each: what, where. At most 1000 are kept.
  std::vector<std::string> problems = {};
  std::uint64_t problem_count = 0;
  bool good() const noexcept { return problem_count == 0; }
};

/// How far a long operation is, in bytes; returning false ends it early, with nothing lost.
using StoreProgress = std::function<bool(std::uint64_t done, std::uint64_t total)>;

struct VacuumOptions {
  /// Shards whose dead bytes are at least this share are written anew. Those of less than half the size of a shard are
  /// joined with others that stand beside them.
  double dead_share = 0.2;
  /// May write to the store, but not release, close or vacuum it.
  StoreProgress progress = {};
};

}  // namespace stele

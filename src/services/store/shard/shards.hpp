#pragma once
// The open shards of a store, by number.

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "services/store/index/index.hpp"
#include "services/store/shard/cache.hpp"
#include "services/store/shard/shard.hpp"

namespace stele {

/// Thread-safe.
class Shards {
 public:
  /// `folder` must outlive this object. `store`: the number of the store that the shards must belong to. `reserve`: the
  /// usual maximum size of a shard in bytes.
  Shards(const Folder& folder, std::uint64_t store, std::uint64_t reserve)
      : folder_(folder), store_(store), reserve_(reserve) {}

  const Folder& folder() const noexcept { return folder_; }
  /// The name of a shard's file in the folder.
  static std::string name(std::uint32_t number);
  /// The path for messages.
  std::string path(std::uint32_t number) const { return folder_.path() + name(number); }
  /// Opens the shard if necessary.
  /// Throws: Error(not_found), Error(damaged) for a shard of another store, and as Shard::open().
  std::shared_ptr<Shard> get(std::uint32_t number);
  /// The same for a reader with its own cache; valid as long as the cache holds it.
  const Shard& get(std::uint32_t number, ShardCache& cache);
  /// Closes shards that are not in the table, so that the space of deleted files is freed. True if there were any.
  bool keep(const std::vector<ShardEntry>& table);
  void forget(std::uint32_t number);

 private:
  const Folder& folder_;
  std::uint64_t store_;
  std::uint64_t reserve_;
  std::atomic<std::uint64_t> version_{1};  // changes when a shard is closed
  std::mutex mutex_;                       // guards open_
  std::unordered_map<std::uint32_t, std::shared_ptr<Shard>> open_;
};

/// The greatest number of a shard.
inline constexpr std::uint32_t most_shards = 0xfffffffe;

/// The number in the name of a shard's file; nothing for other names.
std::optional<std::uint32_t> shard_number(const std::string& file_name);

}  // namespace stele

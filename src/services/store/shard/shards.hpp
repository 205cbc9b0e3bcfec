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
  /// `folder` must outlive it. `store`: the number of the store that they belong to; `reserve`: bytes that a shard may
  /// grow to, usually.
  Shards(const Folder& folder, std::uint64_t store, std::uint64_t reserve)
      : folder_(folder), store_(store), reserve_(reserve) {}

  const Folder& folder() const noexcept { return folder_; }
  /// Of a shard's file in the folder.
  static std::string name(std::uint32_t number);
  /// What messages call it.
  std::string path(std::uint32_t number) const { return folder_.path() + name(number); }
  /// Opens it if need be. Throws: Error(not_found), Error(damaged) for a shard of another store, and what Shard::open()
  /// throws.
  std::shared_ptr<Shard> get(std::uint32_t number);
  /// The same for a reader with a cache of its own; valid as long as the cache holds it.
  const Shard& get(std::uint32_t number, ShardCache& cache);
  /// Closes those that are not in the table, so that files which are gone give back their space. True if there were.
  bool keep(const std::vector<ShardEntry>& table);
  void forget(std::uint32_t number);

 private:
  const Folder& folder_;
  std::uint64_t store_;
  std::uint64_t reserve_;
  std::atomic<std::uint64_t> version_{1};  // changes when one is closed
  std::mutex mutex_;                       // guards open_
  std::unordered_map<std::uint32_t, std::shared_ptr<Shard>> open_;
};

/// The greatest number of a shard.
inline constexpr std::uint32_t most_shards = 0xfffffffe;

/// The number in the name of a shard's file, or nothing where it is no shard's.
std::optional<std::uint32_t> shard_number(const std::string& file_name);

}  // namespace stele

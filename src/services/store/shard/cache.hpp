#pragma once
// The open shards of one reader, kept for its next look-ups, so that readers do not contend for reference counts.

#include <cstdint>
#include <memory>
#include <unordered_map>

namespace stele {

class Shard;

struct ShardCache {
  std::uint64_t version = 0;  // of the Shards they come from
  std::unordered_map<std::uint32_t, std::shared_ptr<Shard>> shards;
  void clear() noexcept { shards.clear(); }
};

}  // namespace stele

#pragma once
// Encodes and decodes the entries of the index that are not blocks.

#include <vector>

#include "services/store/index/index.hpp"

namespace stele {

std::vector<std::byte> encode_state(const StoreState& state);
/// Throws: Error(damaged), Error(unsupported) for a newer format.
StoreState decode_state(Bytes bytes);
std::vector<std::byte> encode_shard(const ShardEntry& shard);
ShardEntry decode_shard(Bytes bytes);

}  // namespace stele

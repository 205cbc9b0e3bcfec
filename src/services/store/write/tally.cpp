#include "services/store/write/tally.hpp"

#include <algorithm>

#include "stele/error.hpp"

namespace stele {

ShardEntry* find_entry(std::vector<ShardEntry>& table, std::uint32_t number) noexcept {
  const auto found =
      std::find_if(table.begin(), table.end(), [&](const ShardEntry& entry) { return entry.number == number; });
  return found == table.end() ? nullptr : &*found;
}

ShardEntry& Tally::entry(std::uint32_t number) {
  if (last_ < table.size() && table[last_].number == number) {
    return table[last_];
  }
  ShardEntry* const found = find_entry(table, number);
  if (found == nullptr) {
    fail(Errc::damaged, "the store's index refers to shard " + std::to_string(number) + ", which is not in its table");
  }
  last_ = static_cast<std::size_t>(found - table.data());
  return *found;
}

void Tally::apply(IndexWrite& write, const std::vector<IndexWrite::Change>& changes, std::vector<Moved>* moved) {
  write.apply(changes, [&](const IndexWrite::Change& change, const std::optional<Position>& old) {
    if (old) {
      ShardEntry& shard = entry(old->shard);
      shard.live_values -= std::min<std::uint64_t>(shard.live_values, 1);
      shard.live_bytes -= std::min(shard.live_bytes, old->length);
      --state.values;
    }
    if (change.position) {
      ShardEntry& shard = entry(change.position->shard);
      ++shard.live_values;
      shard.live_bytes += change.position->length;
      ++state.values;
    }
    if (moved != nullptr) {
      moved->push_back({change.key, old, change.position});
    }
  });
}

void Tally::write(IndexWrite& write, const std::vector<std::uint32_t>& all) const {
  for (std::size_t i = 0; i < table.size(); ++i) {
    const ShardEntry& shard = table[i];
    const ShardEntry* old = i < before_.size() ? &before_[i] : nullptr;  // usually at the same place
    if (old == nullptr || old->number != shard.number) {
      const auto found = std::find_if(before_.begin(), before_.end(),
                                      [&](const ShardEntry& entry) { return entry.number == shard.number; });
      old = found == before_.end() ? nullptr : &*found;
    }
    const bool always = std::find(all.begin(), all.end(), shard.number) != all.end();
    if (always || old == nullptr || !(*old == shard)) {
      write.put_shard(shard);
    }
  }
  write.put_state(state);
}

}  // namespace stele

// Iterating over a store: by key, by insertion, by size, by a secondary order, at random.

#include <algorithm>
#include <tuple>

#include "services/store/api/core.hpp"
#include "services/store/api/positions.hpp"
#include "services/store/api/prefetch.hpp"
#include "services/store/shard/store_record.hpp"
#include "stele/error.hpp"

namespace stele {
namespace {

/// The first sortable key after all that begin with `prefix`. The last byte of `prefix` is below 0xff, because the
/// first is.
std::string behind(std::string prefix) {
  while (prefix.back() == '\xff') {
    prefix.pop_back();
  }
  ++prefix.back();
  return prefix;
}

/// A range as sortable keys: from (included) up to (not included).
struct Bounds {
  std::string from{lowest_key};
  std::optional<std::string> to;
  explicit Bounds(const StoreKeyRange& range) {
    if (range.from) {
      from = range.from->sortable();
    }
    if (range.to) {
      to = range.to->sortable();
    }
    if (range.prefix) {
      const std::string& prefix = range.prefix->sortable();
      if (range.prefix->kind() == StoreKey::Kind::integer) {
        fail(Errc::invalid_argument, "an integer is no prefix of keys");
      }
      from = std::max(from, prefix);
      const std::string end = behind(prefix);
      to = to ? std::min(*to, end) : end;
    }
  }
};

class KeyCursor final : public StoreCursor {
 public:
  KeyCursor(const StoreCore& state, StoreSnapshot snapshot, const StoreKeyRange& range)
      : state_(state), snapshot_(std::move(snapshot)), bounds_(range), reverse_(range.reverse), block_(first_block()) {
    index_ = reverse_ ? end_of(block_) : block_.lower_bound(bounds_.from);
  }
  bool next(StoreItem& item, bool with_value) override {
    with_values_ = with_value;
    if (!(reverse_ ? step_back() : step())) {
      return false;
    }
    const Position position = block_.position(index_);
    item.key = StoreKey::from_sortable(key_);
    if (with_value) {
      item.value = state_.value(snapshot_.shard(position.shard), position, &item.key);
    }
    if (!reverse_) {
      ++index_;
    }
    return true;
  }

 private:
  KeyBlock first_block() {
    if (!reverse_) {
      return snapshot_.blocks->covering(bounds_.from);
    }
    if (!bounds_.to) {
      return snapshot_.blocks->covering("\xff");
    }
    return snapshot_.blocks->covering(*bounds_.to);
  }
  std::size_t end_of(const KeyBlock& block) const { return bounds_.to ? block.lower_bound(*bounds_.to) : block.size(); }
  bool step() {
    while (index_ == block_.size()) {
      if (!block_.high() || (bounds_.to && *block_.high() >= *bounds_.to)) {
        return false;
      }
      block_ = snapshot_.blocks->covering(*block_.high());
      index_ = 0;
      prefetch();
    }
    block_.key(index_, key_);
    return !bounds_.to || key_ < *bounds_.to;
  }
  bool step_back() {
    while (index_ == 0) {
      if (block_.low() <= bounds_.from) {
        return false;
      }
      block_ = snapshot_.blocks->before(block_.low());
      index_ = end_of(block_);
      prefetch();
    }
    --index_;
    block_.key(index_, key_);
    return key_ >= bounds_.from;
  }

  /// Prefetches this block and the next; called for every second block.
  void prefetch() {
    if (!with_values_ || blocks_++ % 2 != 0) {
      return;
    }
    std::vector<Position> next;
    const auto add = [&](const KeyBlock& block) {
      for (std::size_t i = 0; i < block.size(); ++i) {
        next.push_back(block.position(i));
      }
    };
    add(block_);
    if (!reverse_ && block_.high()) {
      add(snapshot_.blocks->covering(*block_.high()));
    }
    prefetcher_.ahead(snapshot_, next);
  }

  const StoreCore& state_;
  StoreSnapshot snapshot_;
  Prefetcher prefetcher_;
  std::size_t blocks_ = 0;
  bool with_values_ = false;
  Bounds bounds_;
  bool reverse_;
  KeyBlock block_;
  std::size_t index_ = 0;
  std::string key_;
};

/// Iterates over the records of the shards that are the current value of their key.
class InsertionCursor final : public StoreCursor {
 public:
  InsertionCursor(const StoreCore& state, StoreSnapshot snapshot) : state_(state), snapshot_(std::move(snapshot)) {}
  bool next(StoreItem& item, bool with_value) override {
    while (shard_ < snapshot_.table.size()) {
      const ShardEntry& entry = snapshot_.table[shard_];
      const Shard& shard = snapshot_.shard(entry.number);
      if (at_ == 0) {
        at_ = store_frozen::header_bytes;
        part_ = shard.part(0, std::max<std::uint64_t>(entry.length, at_));
      }
      while (at_ < part_.bytes.size()) {
        const std::uint64_t at = at_;
        if (at >= asked_ || at_ == store_frozen::header_bytes) {
          shard.prefetch(at, 2 * read_ahead);
          asked_ = at + read_ahead;
        }
        if (part_.bytes[static_cast<std::size_t>(at)] == store_frozen::filler) {
          ++at_;
          continue;
        }
        const Record record = parse(shard, at);
        at_ += record.length;
        if (!record.holds_value()) {
          continue;
        }
        item.key = record.decode_key();
        const Position position{entry.number, at, record.length};
        if (state_.locate(*snapshot_.blocks, item.key) != position) {
          continue;
        }
        if (with_value) {
          item.value = state_.value(shard, position, &item.key);
        }
        return true;
      }
      ++shard_;
      at_ = 0;
    }
    return false;
  }

 private:
  Record parse(const Shard& shard, std::uint64_t at) const {
    try {
      return parse_record(part_.bytes.subspan(static_cast<std::size_t>(at)), at);
    } catch (const Error& error) {
      shard.fail_damaged("is none: " + error.message(), at);
    }
  }
  const StoreCore& state_;
  StoreSnapshot snapshot_;
  static constexpr std::uint64_t read_ahead = std::uint64_t{8} << 20;
  std::size_t shard_ = 0;
  std::uint64_t at_ = 0;
  std::uint64_t asked_ = 0;  // prefetched up to this offset
  Shard::Part part_;
};

/// Iterates over records at given positions.
class PositionCursor final : public StoreCursor {
 public:
  PositionCursor(const StoreCore& state, StoreSnapshot snapshot, std::vector<Position> positions)
      : state_(state), snapshot_(std::move(snapshot)), positions_(std::move(positions)) {}
  bool next(StoreItem& item, bool with_value) override {
    if (at_ == positions_.size()) {
      return false;
    }
    if (at_ % ahead == 0) {
      prefetcher_.ahead(snapshot_, std::span(positions_).subspan(at_, std::min(2 * ahead, positions_.size() - at_)));
    }
    const Position& position = positions_[at_++];
    const Shard& shard = snapshot_.shard(position.shard);
    Shard::Found found = shard.record(position, state_.options.verify);
    item.key = found.record.decode_key();
    if (with_value) {
      item.value = StoreRecord::value(std::move(found), *state_.codec, state_.load.limits);
    }
    return true;
  }

 private:
  static constexpr std::size_t ahead = 64;
  const StoreCore& state_;
  StoreSnapshot snapshot_;
  Prefetcher prefetcher_;
  std::vector<Position> positions_;
  std::size_t at_ = 0;
};

class OrderCursor final : public StoreCursor {
 public:
  OrderCursor(const StoreCore& state, StoreSnapshot snapshot, std::uint64_t order, bool reverse)
      : state_(state), snapshot_(std::move(snapshot)), order_(order), reverse_(reverse) {}
  bool next(StoreItem& item, bool with_value) override {
    for (;;) {
      const std::optional<std::string> key =
          begun_ ? snapshot_.index->next_of_order(reverse_) : snapshot_.index->first_of_order(order_, reverse_);
      begun_ = true;
      if (!key) {
        return false;
      }
      item.key = StoreKey::from_sortable(*key);
      const std::optional<Position> position = state_.locate(*snapshot_.blocks, item.key);
      if (!position) {
        continue;  // its value could not be read when it was overwritten, so its entry stayed
      }
      if (with_value) {
        item.value = state_.value(snapshot_.shard(position->shard), *position, &item.key);
      }
      return true;
    }
  }

 private:
  const StoreCore& state_;
  StoreSnapshot snapshot_;
  std::uint64_t order_;
  bool reverse_;
  bool begun_ = false;
};

/// A random sequence that depends only on the seed: SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom
/// number generators", 2014).
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() noexcept {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  /// Uniform in 0 to `bound` - 1; rejects numbers that would bias the result.
  std::uint64_t below(std::uint64_t bound) noexcept {
    const std::uint64_t uneven = (0 - bound) % bound;
    std::uint64_t value = next();
    while (value < uneven) {
      value = next();
    }
    return value % bound;
  }

 private:
  std::uint64_t state_;
};

}  // namespace

std::vector<Position> all_positions(BlockReader& blocks) {
  std::vector<Position> positions;
  std::string low(lowest_key);
  for (;;) {
    const KeyBlock block = blocks.covering(low);
    for (std::size_t i = 0; i < block.size(); ++i) {
      positions.push_back(block.position(i));
    }
    if (!block.high()) {
      return positions;
    }
    low = *block.high();
  }
}

StoreItems Store::items(const StoreKeyRange& range) const {
  state_->commit_waiting();
  return StoreItems(std::make_unique<KeyCursor>(*state_, state_->snapshot(), range));
}

StoreKeys Store::keys(const StoreKeyRange& range) const {
  state_->commit_waiting();
  return StoreKeys(std::make_unique<KeyCursor>(*state_, state_->snapshot(), range));
}

StoreItems Store::by_insertion() const {
  state_->commit_waiting();
  if (state_->packed != nullptr) {
    return items();
  }
  return StoreItems(std::make_unique<InsertionCursor>(*state_, state_->snapshot()));
}

StoreItems Store::by_size(bool reverse) const {
  state_->commit_waiting();
  StoreSnapshot snapshot = state_->snapshot();
  std::vector<Position> positions = all_positions(*snapshot.blocks);
  std::sort(positions.begin(), positions.end(), [](const Position& a, const Position& b) {
    return std::tuple(a.length, a.shard, a.offset) < std::tuple(b.length, b.shard, b.offset);
  });
  if (reverse) {
    std::reverse(positions.begin(), positions.end());
  }
  return StoreItems(std::make_unique<PositionCursor>(*state_, std::move(snapshot), std::move(positions)));
}

StoreItems Store::by_order(std::string_view name, bool reverse) const {
  state_->commit_waiting();
  const auto is_wanted = [&](const auto& order) { return order.name == name; };
  for (bool built = false;; built = true) {
    StoreSnapshot snapshot = state_->snapshot();
    if (snapshot.index != nullptr) {
      const std::vector<StoreState::Order> orders = snapshot.index->state().orders;
      if (const auto found = std::find_if(orders.begin(), orders.end(), is_wanted); found != orders.end()) {
        return StoreItems(std::make_unique<OrderCursor>(*state_, std::move(snapshot), found->number, reverse));
      }
    }
    const std::vector<StoreOrder>& given = state_->options.orders;
    if (built || state_->mode == StoreMode::read_only || std::none_of(given.begin(), given.end(), is_wanted)) {
      fail(Errc::not_found, "the store keeps no order \"" + std::string(name) + '"');
    }
    snapshot = {};
    const std::lock_guard lock(state_->write_mutex);
    state_->writing();  // builds new orders
  }
}

StoreItems Store::shuffled(std::uint64_t seed) const { return sample(~std::uint64_t{0}, seed); }

StoreItems Store::sample(std::uint64_t count, std::uint64_t seed) const {
  state_->commit_waiting();
  StoreSnapshot snapshot = state_->snapshot();
  std::vector<Position> positions = all_positions(*snapshot.blocks);
  Random random(seed);
  const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(count, positions.size()));
  for (std::size_t i = 0; i < wanted; ++i) {  // Fisher-Yates shuffle of the first `wanted` elements
    std::swap(positions[i], positions[i + static_cast<std::size_t>(random.below(positions.size() - i))]);
  }
  positions.resize(wanted);
  positions.shrink_to_fit();
  return StoreItems(std::make_unique<PositionCursor>(*state_, std::move(snapshot), std::move(positions)));
}

}  // namespace stele

// Rewrites shards without their dead bytes and joins small ones.

#include <algorithm>
#include <cerrno>
#include <memory_resource>
#include <unordered_set>

#include "services/store/api/core.hpp"
#include "stele/error.hpp"

namespace stele {
namespace {

constexpr std::size_t group_records = 500'000;  // records per commit
constexpr std::uint64_t group_bytes = std::uint64_t{64} << 20;

/// Moves the live records of consecutive shards to a new one, group by group, so that others can write in between. If
/// it stops early, the shards done so far are removed, and the others stay, each with its part of the values.
class RunVacuum {
 public:
  /// `is_first`: no shard comes before them.
  RunVacuum(StoreCore& state, std::shared_ptr<StoreWriter> writer, std::vector<ShardEntry> sources, bool is_first)
      : state_(state), writer_(std::move(writer)), sources_(std::move(sources)), is_first_(is_first) {}
  /// `step` is told how many bytes are done, and returns whether to continue. Returns the number of bytes freed.
  std::uint64_t run(const std::function<bool(std::uint64_t done)>& step) {
    {
      const std::unique_lock lock = state_.without_batch();
      auto [number, appender] = writer_->reserve_shard(sources_.back().number);  // after all of them
      target_ = number;
      appender_.emplace(std::move(appender));
    }
    std::uint64_t before = 0;
    bool go_on = true;
    for (const ShardEntry& source : sources_) {
      if (!go_on) {
        break;
      }
      const std::shared_ptr<Shard> shard = state_.shards->get(source.number);
      const Shard::Part part = shard->part(0, source.length);
      std::uint64_t at = store_frozen::header_bytes;
      while (at < source.length && go_on) {
        at = copy_some(*shard, part.bytes, at);
        if (is_full()) {
          commit();
          go_on = step(before + at);
        }
      }
      if (at >= source.length) {
        done_.push_back(source);
      }
      before += source.length;
    }
    commit();
    return finish();
  }

 private:
  struct Move {
    std::string_view key;
    Position from;
    Position to;
  };
  struct Found {
    std::string_view key;
    Position at;
    bool holds_value;
    std::optional<Position> now;  // the current position of the key
  };

  bool is_full() const noexcept { return bytes_ >= group_bytes || records_ >= group_records; }

  /// Copies records from `at` on until the group is full. Returns the offset of the next record.
  std::uint64_t copy_some(const Shard& shard, Bytes all, std::uint64_t at) {
    shard.prefetch(at, group_bytes);
    found_.clear();
    at = find_some(shard, all, at);
    locate();
    for (const Found& each : found_) {
      const Position from = each.at;
      const Bytes bytes = all.subspan(static_cast<std::size_t>(from.offset), static_cast<std::size_t>(from.length));
      if (each.holds_value && each.now == from) {
        const Record record = parse_record(bytes, from.offset);
        if (!record.value_is_whole()) {
          shard.fail_damaged("has a value that does not match its checksum", from.offset);
        }
        const std::size_t payload = record.payload().size();
        const std::uint64_t before = appender_->position();
        const std::uint64_t to =
            appender_->append(bytes, payload >= store_frozen::aligned_value ? bytes.size() - payload : 0);
        other_ += to - before;
        moves_.push_back({each.key, from, {target_, to, from.length}});
      } else if (!each.holds_value && !each.now && !is_first_ && erased_.emplace(each.key).second) {
        // an older value in an earlier shard must stay erased if the index is rebuilt
        appender_->append(bytes);
        other_ += from.length;
      }
    }
    return at;
  }

  std::uint64_t find_some(const Shard& shard, Bytes all, std::uint64_t at) {
    while (at < all.size() && !is_full()) {
      if (all[static_cast<std::size_t>(at)] == store_frozen::filler) {
        ++at;
        continue;
      }
      Record record;
      try {
        record = parse_record(all.subspan(static_cast<std::size_t>(at)), at);
      } catch (const Error& error) {
        shard.fail_damaged("is none: " + error.message(), at);
      }
      const Position here{shard.number(), at, record.length};
      at += record.length;
      bytes_ += record.length;
      ++records_;
      if (record.items == store_frozen::record_commit) {
        continue;
      }
      if (!record.is_whole()) {
        shard.fail_damaged("does not match its checksum", here.offset);
      }
      found_.push_back({keep(record.decode_key().sortable()), here, record.holds_value(), std::nullopt});
    }
    return at;
  }

  /// Copies a key; the copy is valid until the group is committed.
  std::string_view keep(const std::string& key) {
    char* const to = static_cast<char*>(keys_.allocate(key.size(), 1));
    return {to, std::ranges::copy(key, to).out};
  }

  /// Indices of items, ordered by key.
  template <class T>
  static std::vector<std::uint32_t> sorted_by_key(const std::vector<T>& items) {
    std::vector<std::string_view> keys;
    keys.reserve(items.size());
    for (const T& item : items) {
      keys.push_back(item.key);
    }
    return sorted_numbers(keys);
  }

  /// Looks the keys up in order, so that each block is searched once.
  void locate() {
    if (read_ == nullptr) {
      read_ = state_.index->read();
    }
    std::optional<KeyBlock> block;
    for (const std::uint32_t number : sorted_by_key(found_)) {
      Found& each = found_[number];
      if (!block || !block->covers(each.key)) {
        block = read_->covering(each.key);
      }
      each.now = block->find(each.key);
    }
  }

  /// Points the keys of the group to the copies.
  void commit() {
    const std::lock_guard lock(state_.write_mutex);
    read_ = nullptr;
    bytes_ = records_ = 0;
    if (moves_.empty() && other_ == 0) {
      keys_.release();
      return;
    }
    Tally next{writer_->state(), writer_->table()};
    ShardEntry& target = *find_entry(next.table, target_);
    std::vector<std::byte> mark;
    // the copied records and all commits with lower numbers were committed by then
    writer_->put_mark(mark, target, writer_->state().commits, appender_->position());
    appender_->append(mark);
    other_ += mark.size();
    appender_->flush();
    appender_->sync();
    std::vector<IndexWrite::Change> changes;
    changes.reserve(moves_.size());
    for (const std::uint32_t number : sorted_by_key(moves_)) {
      changes.push_back({moves_[number].key, moves_[number].to, moves_[number].from});
    }
    target.length = appender_->position();
    target.other_bytes += std::exchange(other_, 0);
    const std::unique_ptr<IndexWrite> write = state_.index->write();
    next.apply(*write, changes, nullptr);
    next.write(*write, {target_});
    write->commit(false);
    writer_->adopt(std::move(next));
    moves_.clear();
    keys_.release();
  }

  /// Removes unused shards from the table. Syncs first, because their files are deleted afterwards. Deletes the first
  /// shard first: a key erased in one may have a value in those before it.
  void drop(const std::vector<std::uint32_t>& numbers) {
    Tally next{writer_->state(), writer_->table()};
    ++next.state.table;
    const std::unique_ptr<IndexWrite> write = state_.index->write();
    for (const std::uint32_t number : numbers) {
      std::erase_if(next.table, [&](const ShardEntry& entry) { return entry.number == number; });
      write->erase_shard(number);
    }
    next.write(*write, {});
    write->commit(true);
    writer_->adopt(std::move(next));
    for (const std::uint32_t number : numbers) {
      state_.shards->forget(number);
    }
    state_.index->clear_caches();
    writer_->write_list();
    for (const std::uint32_t number : numbers) {
      if (state_.folder.unlink(Shards::name(number)) != 0) {
        fail_call("remove", state_.shards->path(number), errno);
      }
    }
  }

  std::uint64_t finish() {
    const std::lock_guard lock(state_.write_mutex);
    const ShardEntry target = *writer_->entry(target_);
    std::uint64_t gone = 0;
    std::vector<std::uint32_t> empty;
    for (const ShardEntry& source : done_) {
      if (writer_->entry(source.number)->live_values > 0) {
        break;
      }
      empty.push_back(source.number);
      gone += source.length;
    }
    if (!empty.empty()) {
      drop(empty);
    }
    if (target.live_values == 0 && erased_.empty() && writer_->mark_commit()) {
      drop({target_});
      return gone;
    }
    return gone > target.length ? gone - target.length : 0;
  }

  StoreCore& state_;
  std::shared_ptr<StoreWriter> writer_;
  std::vector<ShardEntry> sources_;
  std::vector<ShardEntry> done_;
  std::uint32_t target_ = 0;
  bool is_first_;
  std::optional<ShardAppender> appender_;
  std::unique_ptr<IndexRead, BlockReader::Release> read_;  // for the current group
  std::vector<Found> found_;
  std::vector<Move> moves_;
  std::pmr::monotonic_buffer_resource keys_;  // for the current group
  std::unordered_set<std::string> erased_;
  std::uint64_t bytes_ = 0;  // scanned for the current group
  std::size_t records_ = 0;
  std::uint64_t other_ = 0;
};

/// Groups of shards to join into one each, ordered by rank: shards with many dead bytes and small ones, if they are
/// consecutive and fit in one shard.
std::vector<std::vector<ShardEntry>> choose_runs(const std::vector<ShardEntry>& table, double dead_share,
                                                 std::uint64_t shard_bytes) {
  std::vector<std::vector<ShardEntry>> runs;
  std::uint64_t bytes = 0;  // that the last run will take
  bool open = false;        // whether more shards may be added to it
  const auto is_worth_it = [&](const std::vector<ShardEntry>& run) {
    const auto dead = static_cast<double>(run[0].dead_bytes());
    return run.size() > 1 || (dead > 0 && dead >= dead_share * static_cast<double>(run[0].length));
  };
  const auto close = [&] {
    if (std::exchange(open, false) && !is_worth_it(runs.back())) {
      runs.pop_back();
    }
  };
  for (const ShardEntry& entry : table) {
    const auto dead = static_cast<double>(entry.dead_bytes());
    const bool is_dead = dead > 0 && dead >= dead_share * static_cast<double>(entry.length);
    const std::uint64_t kept = entry.live_bytes + entry.other_bytes;
    const bool is_small = kept <= shard_bytes / 2;  // otherwise a joined shard would be joined again with every new one
    if (!is_dead && !is_small) {
      close();
      continue;
    }
    if (open && bytes + kept > shard_bytes) {
      close();
    }
    if (!open) {
      runs.emplace_back();
      bytes = 0;
      open = true;
    }
    runs.back().push_back(entry);
    bytes += kept;
  }
  close();
  return runs;
}

/// Ends the reservation of shards, so that they are appended to again.
class Reservation {
 public:
  Reservation(StoreCore& state, std::shared_ptr<StoreWriter> writer) : state_(state), writer_(std::move(writer)) {}
  ~Reservation() {
    const std::lock_guard lock(state_.write_mutex);
    writer_->end_reservation();
  }
  Reservation(const Reservation&) = delete;
  Reservation& operator=(const Reservation&) = delete;

 private:
  StoreCore& state_;
  std::shared_ptr<StoreWriter> writer_;
};

}  // namespace

std::uint64_t Store::vacuum(const StoreVacuumOptions& options) {
  state_->require_outside();
  state_->without_batch();  // fails immediately if this thread has a batch: another's vacuum may wait for it
  const std::lock_guard vacuum_lock(state_->vacuum_mutex);
  struct Inside {
    explicit Inside(std::atomic<std::thread::id>& thread) : thread_(thread) { thread_ = std::this_thread::get_id(); }
    ~Inside() { thread_ = std::thread::id(); }
    Inside(const Inside&) = delete;
    Inside& operator=(const Inside&) = delete;
    std::atomic<std::thread::id>& thread_;
  };
  const Inside inside(state_->vacuuming);
  struct Run {
    std::vector<ShardEntry> sources;
    bool is_first = false;
  };
  std::vector<Run> runs;
  std::shared_ptr<StoreWriter> writer;
  std::optional<Reservation> reservation;
  std::uint64_t total = 0;
  {
    const std::unique_lock lock = state_->without_batch();
    StoreWriter& writing = state_->writing();
    writing.commit(state_->options.durability != StoreDurability::none);
    writer = state_->writer();
    reservation.emplace(*state_, writer);
    for (const auto& chosen : choose_runs(writing.table(), options.dead_share, writing.state().shard_bytes)) {
      Run& run = runs.emplace_back();
      run.is_first = chosen.front().number == writing.table().front().number;
      for (const ShardEntry& entry : chosen) {
        if (entry.number == writing.active()) {
          writing.seal();
        }
        writing.reserve(entry.number);  // at once; otherwise the next write of another thread would open it again
        run.sources.push_back(*writing.entry(entry.number));
        total += entry.length;
      }
    }
  }
  std::uint64_t gone = 0;
  std::uint64_t before = 0;
  bool go_on = true;
  for (const Run& run : runs) {
    if (!go_on) {
      break;
    }
    RunVacuum vacuum(*state_, writer, run.sources, run.is_first);
    gone += vacuum.run([&](std::uint64_t done) {
      go_on = !options.progress || options.progress(before + done, total);
      return go_on;
    });
    for (const ShardEntry& source : run.sources) {
      before += source.length;
    }
    if (go_on && options.progress) {
      go_on = options.progress(before, total);
    }
  }
  return gone;
}

}  // namespace stele

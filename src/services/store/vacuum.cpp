// Shards with dead bytes are written anew without them.

#include <algorithm>
#include <cerrno>

#include "services/store/store_core.hpp"
#include "stele/error.hpp"

namespace stele {
namespace {

constexpr std::size_t group_records = 50'000;  // moved by one commit
constexpr std::uint64_t group_bytes = std::uint64_t{32} << 20;

/// Moves what is live of one shard to a new one, group by group, so that others can write in between. Where it ends
/// early, both shards stay, each with its part of the values.
class ShardVacuum {
 public:
  ShardVacuum(StoreCore& state, std::shared_ptr<StoreWriter> writer, std::uint32_t source)
      : state_(state), writer_(std::move(writer)), source_(source) {}
  /// `step` is told of bytes that are done, and says whether to go on. Returns the bytes that went.
  std::uint64_t run(const std::function<bool(std::uint64_t done)>& step) {
    const std::shared_ptr<Shard> shard = state_.shards->get(source_);
    std::uint64_t length = 0;
    {
      const std::unique_lock lock = state_.without_batch();
      length = writer_->entry(source_)->length;
      is_first_ = writer_->table().front().number == source_;
      auto [number, appender] = writer_->reserve_shard(source_);
      target_ = number;
      appender_.emplace(std::move(appender));
    }
    const Shard::Part part = shard->part(0, length);
    std::uint64_t at = store_frozen::header_bytes;
    bool go_on = true;
    while (at < length && go_on) {
      at = move_group(*shard, part.bytes, at);
      go_on = step(at);
    }
    return finish(at >= length, length);
  }

 private:
  struct Move {
    Key key;
    Position from;
    Position to;
  };

  /// Copies records from `at` on and leads their keys to the copies. Returns where the next group begins.
  std::uint64_t move_group(const Shard& shard, Bytes all, std::uint64_t at) {
    const auto read = state_.index->read();
    std::vector<Move> moves;
    shard.prefetch(at, 2 * group_bytes);
    const std::uint64_t until = at + group_bytes;
    while (at < all.size() && at < until && moves.size() < group_records) {
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
      const Position from{source_, at, record.length};
      at += record.length;
      if (!record.is_whole()) {
        shard.fail_damaged("does not match its checksum", from.offset);
      }
      if (record.items == store_frozen::record_commit) {
        continue;
      }
      Key key = record.decode_key();
      const std::optional<Position> now = state_.locate(*read, key);
      const Bytes bytes = all.subspan(static_cast<std::size_t>(from.offset), static_cast<std::size_t>(record.length));
      if (record.holds_value() && now == from) {
        if (!record.value_is_whole()) {
          shard.fail_damaged("has a value that does not match its checksum", from.offset);
        }
        const std::size_t payload = record.payload().size();
        const std::uint64_t before = appender_->position();
        const std::uint64_t to =
            appender_->append(bytes, payload >= store_frozen::aligned_value ? bytes.size() - payload : 0);
        other_ += to - before;
        moves.push_back({std::move(key), from, {target_, to, record.length}});
      } else if (!record.holds_value() && !now && !is_first_) {
        // an older value in a shard before this one must stay erased, should the index have to be made anew
        appender_->append(bytes);
        other_ += record.length;
        only_marks_ = false;
      }
    }
    commit(moves);
    return at;
  }

  void commit(const std::vector<Move>& moves) {
    const std::lock_guard lock(state_.write_mutex);
    std::vector<std::byte> mark;
    put_commit(mark, writer_->state().commits);  // what is copied was committed by then, as was all with lower numbers
    appender_->append(mark);
    other_ += mark.size();
    appender_->flush();
    appender_->sync();
    std::vector<IndexWrite::Change> changes;
    changes.reserve(moves.size());
    for (const Move& move : moves) {
      changes.push_back({move.key.sortable(), move.to, move.from});
    }
    std::sort(changes.begin(), changes.end(),
              [](const IndexWrite::Change& a, const IndexWrite::Change& b) { return a.key < b.key; });
    Tally next{writer_->state(), writer_->table()};
    ShardEntry& target = *find_entry(next.table, target_);
    target.length = appender_->position();
    target.other_bytes += std::exchange(other_, 0);
    const std::unique_ptr<IndexWrite> write = state_.index->write();
    next.apply(*write, changes, nullptr);
    next.write(*write, {target_});
    write->commit(false);
    writer_->adopt(std::move(next));
  }

  /// Takes a shard out of the table that nothing leads to; on the device first, as its file goes then.
  void drop(std::uint32_t number) {
    Tally next{writer_->state(), writer_->table()};
    ++next.state.table;
    std::erase_if(next.table, [&](const ShardEntry& entry) { return entry.number == number; });
    const std::unique_ptr<IndexWrite> write = state_.index->write();
    write->erase_shard(number);
    next.write(*write, {});
    write->commit(true);
    writer_->adopt(std::move(next));
    state_.shards->forget(number);
    state_.index->clear_caches();
    if (state_.folder.unlink(Shards::name(number)) != 0) {
      fail_call("remove", state_.shards->path(number), errno);
    }
  }

  std::uint64_t finish(bool all, std::uint64_t length) {
    const std::lock_guard lock(state_.write_mutex);
    const ShardEntry target = *writer_->entry(target_);
    std::uint64_t gone = 0;
    if (all && writer_->entry(source_)->live_values == 0) {
      drop(source_);
      gone = length;
    }
    if (target.live_values == 0 && only_marks_ && writer_->mark_commit()) {
      drop(target_);
      return gone;
    }
    return gone > target.length ? gone - target.length : 0;
  }

  StoreCore& state_;
  std::shared_ptr<StoreWriter> writer_;
  std::uint32_t source_;
  std::uint32_t target_ = 0;
  bool is_first_ = false;
  bool only_marks_ = true;
  std::optional<Appender> appender_;
  std::uint64_t other_ = 0;
};

/// Lets shards be appended to again.
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

std::uint64_t Store::vacuum(const VacuumOptions& options) {
  state_->require_outside();
  state_->without_batch();  // fails at once, as another's vacuum may wait for a batch of this thread
  const std::lock_guard vacuum_lock(state_->vacuum_mutex);
  struct Inside {
    explicit Inside(std::atomic<std::thread::id>& thread) : thread_(thread) { thread_ = std::this_thread::get_id(); }
    ~Inside() { thread_ = std::thread::id(); }
    Inside(const Inside&) = delete;
    Inside& operator=(const Inside&) = delete;
    std::atomic<std::thread::id>& thread_;
  };
  const Inside inside(state_->vacuuming);
  std::vector<ShardEntry> sources;
  std::shared_ptr<StoreWriter> writer;
  std::optional<Reservation> reservation;
  std::uint64_t total = 0;
  {
    const std::unique_lock lock = state_->without_batch();
    StoreWriter& writing = state_->writing();
    writing.commit(state_->options.durability != Durability::none);
    writer = state_->writer();
    reservation.emplace(*state_, writer);
    for (const ShardEntry& entry : writing.table()) {
      const auto dead = static_cast<double>(entry.dead_bytes());
      if (dead > 0 && dead >= options.dead_share * static_cast<double>(entry.length)) {
        sources.push_back(entry);
        total += entry.length;
        if (entry.number == writing.active()) {
          writing.seal();
        }
        writing.reserve(entry.number);  // at once, or another thread's next write would open it again
      }
    }
  }
  std::uint64_t gone = 0;
  std::uint64_t before = 0;
  bool go_on = true;
  for (const ShardEntry& source : sources) {
    if (!go_on) {
      break;
    }
    ShardVacuum vacuum(*state_, writer, source.number);
    gone += vacuum.run([&](std::uint64_t done) {
      go_on = !options.progress || options.progress(before + done, total);
      return go_on;
    });
    before += source.length;
  }
  return gone;
}

}  // namespace stele

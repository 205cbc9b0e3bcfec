// Reads a whole store and cross-checks everything.

#include <algorithm>
#include <map>

#include "services/store/api/core.hpp"
#include "services/store/api/prefetch.hpp"
#include "services/store/care/fit.hpp"
#include "services/store/care/report.hpp"
#include "services/store/shard/store_record.hpp"
#include "stele/error.hpp"

namespace stele {
namespace {

/// Calls `entry` for every key of the index. Reports problems and continues after them.
void walk_index(BlockReader& blocks, StoreReport& report,
                const std::function<void(const std::string& key, const Position& position)>& entry) {
  std::string low(lowest_key);
  std::string key;
  std::string before;
  for (;;) {
    try {
      const KeyBlock block = blocks.covering(low);
      for (std::size_t i = 0; i < block.size(); ++i) {
        block.key(i, key);
        if (key <= before || !block.covers(key)) {
          note_problem(report, "the index: keys out of order near " + StoreKey::from_sortable(key).describe());
        }
        entry(key, block.position(i));
        before = key;
      }
      if (!block.high()) {
        return;
      }
      low = *block.high();
    } catch (const Error& error) {
      note_problem(report, error.what());
      return;  // the start of the next block is unknown
    }
  }
}

/// Checks whether the index and the shards belong together.
void check_fit(StoreCore& core, StoreReport& report) {
  const auto now = [&] {
    const auto read = core.index->read();
    FitState state;
    state.state = read->state();
    state.table = read->shards();
    return state;
  };
  constexpr int most_attempts = 3;  // concurrent writes may look like errors
  for (int attempt = 1;; ++attempt) {
    const bool is_written = core.has_writer || WriterLock::is_held(core.folder);  // a writer has checked it
    const StoreFit fit = fit_store(core.folder, now(), is_written ? Tails::left_alone : Tails::read, now);
    if (fit.problems.empty() || attempt == most_attempts) {
      for (const std::string& problem : fit.problems) {
        note_problem(report, not_fitting(core.path, problem));
      }
      return;
    }
  }
}

}  // namespace

StoreReport Store::check(const StoreProgress& progress) const {
  state_->commit_waiting();
  StoreReport report;
  if (state_->packed == nullptr) {
    check_fit(*state_, report);
  }
  const StoreSnapshot snapshot = state_->snapshot(false);
  std::vector<Position> positions;
  std::map<std::uint32_t, std::pair<std::uint64_t, std::uint64_t>> live;  // number of values and bytes of each shard
  std::uint64_t total = 0;
  walk_index(*snapshot.blocks, report, [&](const std::string&, const Position& position) {
    positions.push_back(position);
    auto& [values, bytes] = live[position.shard];
    ++values;
    bytes += position.length;
    total += position.length;
  });
  if (report.good() && positions.size() != snapshot.blocks->values()) {
    note_problem(report, "the index has " + std::to_string(positions.size()) + " keys, but records a total of " +
                             std::to_string(snapshot.blocks->values()));
  }
  for (const ShardEntry& entry : snapshot.table) {
    if (report.good() && live[entry.number] != std::pair{entry.live_values, entry.live_bytes}) {
      note_problem(report, "shard " + std::to_string(entry.number) + ": the table counts " +
                               std::to_string(entry.live_values) + " values of " + std::to_string(entry.live_bytes) +
                               " bytes, which does not match the keys");
    }
  }
  std::sort(positions.begin(), positions.end(), [](const Position& a, const Position& b) {
    return a.shard != b.shard ? a.shard < b.shard : a.offset < b.offset;
  });
  std::uint64_t told = 0;
  constexpr std::size_t ahead = 256;
  Prefetcher prefetcher;
  for (std::size_t i = 0; i < positions.size(); ++i) {
    const Position& position = positions[i];
    try {
      if (i % ahead == 0) {
        prefetcher.ahead(snapshot, std::span(positions).subspan(i, std::min(2 * ahead, positions.size() - i)));
      }
      const Shard& shard = snapshot.shard(position.shard);
      Shard::Found found = shard.record(position, Verify::full);
      const StoreKey key = found.record.decode_key();
      if (state_->locate(*snapshot.blocks, key) != position) {
        shard.fail_damaged("has another key than the index says", position.offset);
      }
      if (found.record.dictionary) {
        StoreRecord::value(std::move(found), *state_->codec, state_->load.limits);
      }
      ++report.values;
    } catch (const Error& error) {
      note_problem(report, error.what());
    }
    report.bytes += position.length;
    if (progress && report.bytes - told >= std::uint64_t{8} << 20) {
      told = report.bytes;
      if (!progress(report.bytes, total)) {
        return report;
      }
    }
  }
  if (snapshot.index != nullptr) {
    for (const StoreState::Order& order : snapshot.index->state().orders) {
      std::uint64_t count = 0;
      for (auto key = snapshot.index->first_of_order(order.number, false); key;
           key = snapshot.index->next_of_order(false)) {
        ++count;
        if (!snapshot.blocks->covering(*key).find(*key)) {
          note_problem(report, "the order \"" + order.name +
                                   "\" has a key that the index lacks: " + StoreKey::from_sortable(*key).describe());
        }
      }
      if (count != positions.size()) {
        note_problem(report, "the order \"" + order.name + "\" has " + std::to_string(count) + " keys of " +
                                 std::to_string(positions.size()));
      }
    }
  }
  if (progress) {
    progress(total, total);
  }
  return report;
}

void Store::verify(const StoreProgress& progress) const {
  const StoreReport report = check(progress);
  if (!report.good()) {
    const std::uint64_t more = report.problem_count - 1;
    fail(Errc::damaged,
         report.problems.front() + (more == 0 ? "" : ", and " + std::to_string(more) + " more; check() lists them"));
  }
}

}  // namespace stele

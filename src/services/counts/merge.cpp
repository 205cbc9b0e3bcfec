// Builds new blocks: merges lanes with new tokens, and removes rare tokens from lanes. Each makes two passes over the
// counts: the first determines the widths, the second writes. Tokens are copied in runs.

#include <cstring>

#include "services/counts/cursor.hpp"
#include "services/counts/lane.hpp"

namespace stele {
namespace {

/// Collects the counts in the first pass.
class CountTally {
 public:
  void add(std::uint64_t count) noexcept {
    // the width in which the count is below the highest value, which means "large"
    ++by_width_[count == ~std::uint64_t{0} ? 9 : width_of(count + 1)];
    highest_ = std::max(highest_, count);
    ++size_;
  }
  CountWidths narrowest() const noexcept {
    CountWidths best;
    std::uint64_t best_bytes = ~std::uint64_t{0};
    std::uint64_t large = size_;
    for (std::uint8_t low = 1; low <= 8; ++low) {
      large -= by_width_[low];
      const std::uint8_t large_count = large == 0 ? 0 : width_of(highest_);
      const std::uint64_t bytes = size_ * low + large * (width_of(size_ - 1) + large_count);
      if (bytes < best_bytes) {
        best_bytes = bytes;
        best = {low, large_count, large};
      }
    }
    return best;
  }

 private:
  std::uint64_t by_width_[10] = {};
  std::uint64_t highest_ = 0;
  std::uint64_t size_ = 0;
};

/// A new block and its description.
struct Block {
  std::vector<Run> runs;
  CountWidths widths;
  Array<std::uint8_t> data;
};

/// Writes a new block front to back.
class BlockWriter {
 public:
  BlockWriter(std::vector<Run> runs, const CountTally& tally) : runs_(std::move(runs)), widths_(tally.narrowest()) {
    const Run& last = runs_.back();
    size_ = last.first + last.size;
    const std::uint64_t tokens = last.offset + last.length * last.size;
    place_width_ = width_of(size_ - 1);
    const std::uint64_t places = tokens + size_ * widths_.low;
    const std::uint64_t large_counts = places + widths_.large * place_width_;
    const std::uint64_t samples = large_counts + widths_.large * widths_.large_count;
    if (runs_.size() == 1 && last.length != 0) {
      samples_ = sample_count(size_);
    }
    data_ = Array<std::uint8_t>::uninitialized({samples + samples_ * last.length});
    tokens_ = reinterpret_cast<std::byte*>(data_.mutable_data());
    low_ = tokens_ + tokens;
    place_ = tokens_ + places;
    large_count_ = tokens_ + large_counts;
    sample_ = tokens_ + samples;
  }
  void tokens(const std::byte* from, std::uint64_t bytes) noexcept {
    if (bytes != 0) {
      std::memcpy(tokens_, from, bytes);
      tokens_ += bytes;
    }
  }
  void count(std::uint64_t value) {
    if (value < highest_of(widths_.low)) {
      store_le(low_, value, widths_.low);
    } else {
      if (large_ == widths_.large) {
        changed();
      }
      ++large_;
      store_le(low_, highest_of(widths_.low), widths_.low);
      store_le(place_, done_, place_width_);
      store_le(large_count_, value, widths_.large_count);
      place_ += place_width_;
      large_count_ += widths_.large_count;
    }
    low_ += widths_.low;
    ++done_;
  }
  Block finish() && {
    const auto* first = reinterpret_cast<const std::byte*>(data_.data());
    const std::uint64_t length = runs_.front().length;
    for (std::uint64_t i = 0; i < samples_; ++i) {
      std::memcpy(sample_, first + i * tokens_per_sample * length, length);
      sample_ += length;
    }
    if (large_ != widths_.large) {
      changed();
    }
    return {std::move(runs_), widths_, std::move(data_)};
  }

 private:
  /// The second pass saw other counts than the first.
  [[noreturn]] static void changed() {
    fail(Errc::damaged, "token counts: the mapped file was changed meanwhile by another process");
  }

  std::vector<Run> runs_;
  CountWidths widths_;
  std::uint64_t size_ = 0;
  std::uint64_t samples_ = 0;
  std::uint8_t place_width_ = 1;
  Array<std::uint8_t> data_;
  std::byte* tokens_ = nullptr;
  std::byte* low_ = nullptr;
  std::byte* place_ = nullptr;
  std::byte* large_count_ = nullptr;
  std::byte* sample_ = nullptr;
  std::uint64_t large_ = 0;  // written so far
  std::uint64_t done_ = 0;
};

/// Runs from lengths and sizes; omits runs without tokens.
std::vector<Run> laid_out(const std::vector<Run>& runs) {
  std::vector<Run> result;
  std::uint64_t first = 0;
  std::uint64_t offset = 0;
  for (const Run& run : runs) {
    if (run.size != 0) {
      result.push_back({run.length, first, run.size, offset});
      first += run.size;
      offset += run.length * run.size;
    }
  }
  return result;
}

/// Looks up ascending tokens in a lane, each starting at the previous one: linear in total, logarithmic per gap.
class Gallop {
 public:
  Gallop(const LaneView& lane, const std::vector<Run>& runs) noexcept : lane_(lane), runs_(runs) {}
  Place find(std::string_view token) noexcept {
    while (run_ < runs_.size() && runs_[run_].length < token.size()) {
      from_ = runs_[run_].first + runs_[run_].size;
      ++run_;
    }
    if (run_ == runs_.size() || runs_[run_].length != token.size()) {
      return {from_, false};
    }
    const std::uint64_t end = runs_[run_].first + runs_[run_].size;
    std::uint64_t step = 1;
    std::uint64_t low = from_;  // all before are smaller
    while (low + step <= end && compare(low + step - 1, token) < 0) {
      low += step;
      step *= 2;
    }
    std::uint64_t high = std::min(end, low + step - 1);  // the token there, if any, is not smaller
    while (low < high) {
      const std::uint64_t middle = low + (high - low) / 2;
      if (compare(middle, token) < 0) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    const bool found = low < end && compare(low, token) == 0;
    from_ = low + (found ? 1 : 0);
    return {low, found};
  }
  /// The offset of the token at a place; places must ascend from call to call.
  std::uint64_t offset(std::uint64_t place) noexcept {
    while (offset_run_ + 1 < runs_.size() && place >= runs_[offset_run_ + 1].first) {
      ++offset_run_;
    }
    return runs_.empty() ? 0
                         : runs_[offset_run_].offset + (place - runs_[offset_run_].first) * runs_[offset_run_].length;
  }

 private:
  int compare(std::uint64_t place, std::string_view token) const noexcept {
    const Run& run = runs_[run_];
    return token.empty()
               ? 0
               : std::memcmp(lane_.tokens + run.offset + (place - run.first) * run.length, token.data(), token.size());
  }
  const LaneView& lane_;
  const std::vector<Run>& runs_;
  std::size_t run_ = 0;
  std::size_t offset_run_ = 0;
  std::uint64_t from_ = 0;
};

/// A block with the lane's tokens and those of the cursor that `begin` creates; these ascend.
template <class Begin>
Block merged(const LaneView& lane, const std::vector<Run>& lane_runs, std::uint64_t incoming, const Begin& begin) {
  std::vector<Place> places;
  places.reserve(incoming);
  std::vector<Run> runs;
  Gallop gallop(lane, lane_runs);
  std::size_t old = 0;
  const auto take_old_runs = [&](std::uint64_t below) {
    for (; old < lane_runs.size() && lane_runs[old].length < below; ++old) {
      runs.push_back(lane_runs[old]);
    }
  };
  for (auto at = begin(); !at.done(); at.next()) {
    const std::uint64_t length = at.token().size();
    take_old_runs(length + 1);
    if (runs.empty() || runs.back().length != length) {
      runs.push_back({length, 0, 0, 0});
    }
    places.push_back(gallop.find(at.token()));
    runs.back().size += places.back().found ? 0 : 1;
  }
  take_old_runs(~std::uint64_t{0});

  const auto for_each_count = [&](const auto& use) {
    CountReader old_counts(lane);
    auto at = begin();
    for (const Place& place : places) {
      while (old_counts.place() < place.at) {
        use(old_counts.next());
      }
      use(place.found ? saturated_sum(old_counts.next(), at.count()) : at.count());
      at.next();
    }
    while (old_counts.place() < lane.size) {
      use(old_counts.next());
    }
  };
  CountTally tally;
  for_each_count([&](std::uint64_t count) { tally.add(count); });
  BlockWriter out(laid_out(runs), tally);
  for_each_count([&](std::uint64_t count) { out.count(count); });
  std::uint64_t copied = 0;
  auto at = begin();
  for (const Place& place : places) {
    if (!place.found) {
      const std::uint64_t end = gallop.offset(place.at);
      out.tokens(lane.tokens + copied, end - copied);
      copied = end;
      out.tokens(reinterpret_cast<const std::byte*>(at.token().data()), at.token().size());
    }
    at.next();
  }
  if (lane.size != 0) {
    out.tokens(lane.tokens + copied, static_cast<std::uint64_t>(lane.low - lane.tokens) - copied);
  }
  return std::move(out).finish();
}

/// A lane without fresh tokens.
template <class Lane>
Lane made(Block block) {
  Lane lane = Lane::of(std::move(block.runs), block.widths, std::move(block.data));
  lane.made_here = true;
  return lane;
}

}  // namespace

void TokenCounts::Lane::merge() {
  if (fresh.empty()) {
    return;
  }
  const std::vector<std::uint32_t> order = fresh.sorted();
  *this = made<Lane>(merged(view, runs, order.size(), [&] { return FreshCursor(fresh, order); }));
}

void TokenCounts::Lane::merge_packed(const Lane& other, std::span<const Run> other_runs) {
  if (view.size == 0 && other_runs.size() == other.runs.size()) {  // shares the block
    data = other.data;
    runs = other.runs;
    view = other.view;
    made_here = other.made_here;
    return;
  }
  const std::uint64_t other_size = other_runs.back().first + other_runs.back().size - other_runs.front().first;
  *this = made<Lane>(merged(view, runs, other_size, [&] { return LaneCursor(other.view, other_runs); }));
}

TokenCounts::Lane::Removed TokenCounts::Lane::remove_below(std::uint64_t least) {
  std::vector<Run> kept_runs = runs;
  std::vector<bool> kept(view.size);
  CountTally tally;
  CountReader counts(view);
  Removed removed;
  for (Run& run : kept_runs) {
    for (std::uint64_t left = run.size; left > 0; --left) {
      const std::uint64_t count = counts.next();
      if (count < least) {
        --run.size;
        ++removed.tokens;
        removed.counts = saturated_sum(removed.counts, count);
      } else {
        kept[counts.place() - 1] = true;
        tally.add(count);
      }
    }
  }
  if (removed.tokens == 0) {
    return removed;
  }
  if (removed.tokens == view.size) {
    *this = Lane();
    return removed;
  }
  BlockWriter out(laid_out(kept_runs), tally);
  for (LaneCursor at(*this); !at.done(); at.next()) {
    if (kept[at.place()]) {
      out.tokens(reinterpret_cast<const std::byte*>(at.token().data()), at.token().size());
      out.count(at.count());
    }
  }
  *this = made<Lane>(std::move(out).finish());
  return removed;
}

}  // namespace stele

#include "services/counts/lane.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "services/counts/cursor.hpp"

namespace stele {
namespace {

[[noreturn]] void damaged(const std::string& what) { fail(Errc::damaged, "token counts: " + what); }

/// a * b + c. Throws: Error(damaged) on overflow.
std::uint64_t part_end(std::uint64_t a, std::uint64_t b, std::uint64_t c) {
  const auto product = checked_multiply(a, b);
  const auto sum = product ? checked_add(*product, c) : std::nullopt;
  if (!sum) {
    damaged("a lane of more than 2^64 bytes");
  }
  return *sum;
}

/// The parts of a block. Throws: Error(damaged) unless together they have the block's size.
LaneView view_of(const std::vector<Run>& runs, const CountWidths& widths, const Array<std::uint8_t>& data) {
  LaneView view;
  if (runs.empty()) {
    return view;
  }
  std::uint64_t low = 0;
  for (const Run& run : runs) {
    low = part_end(run.length, run.size, low);
  }
  view.size = runs.back().first + runs.back().size;
  view.length = runs.front().length;
  view.large = widths.large;
  view.count_width = widths.low;
  view.large_width = widths.large_count;
  view.place_width = width_of(view.size - 1);
  view.escape = highest_of(view.count_width);
  view.sample_total = runs.size() == 1 && view.length != 0 ? sample_count(view.size) : 0;
  const std::uint64_t places = part_end(view.size, view.count_width, low);
  const std::uint64_t large_counts = part_end(view.large, view.place_width, places);
  const std::uint64_t samples = part_end(view.large, view.large_width, large_counts);
  if (part_end(view.sample_total, view.length, samples) != data.size()) {
    damaged("a lane of " + std::to_string(view.size) + " tokens has " + std::to_string(data.size()) + " bytes");
  }
  view.tokens = reinterpret_cast<const std::byte*>(data.data());
  view.low = view.tokens + low;
  view.places = view.tokens + places;
  view.large_counts = view.tokens + large_counts;
  view.samples = view.tokens + samples;
  return view;
}

}  // namespace

TokenCounts::Lane TokenCounts::Lane::of(std::vector<Run> runs, const CountWidths& widths, Array<std::uint8_t> data) {
  Lane lane;
  lane.view = view_of(runs, widths, data);
  lane.runs = std::move(runs);
  lane.data = std::move(data);
  return lane;
}

TokenCounts::PackedLane TokenCounts::Lane::packed() const {
  PackedLane stored;
  for (const Run& run : runs) {
    stored.lengths.push_back(run.length);
    stored.tokens.push_back(run.size);
  }
  stored.count_width = view.count_width;
  stored.large_width = view.large_width;
  stored.large = view.large;
  stored.data = data;
  return stored;
}

TokenCounts::Lane TokenCounts::Lane::unpacked(PackedLane stored) {
  if (stored.lengths.empty() || stored.lengths.size() != stored.tokens.size()) {
    damaged("a lane has " + std::to_string(stored.lengths.size()) + " lengths and " +
            std::to_string(stored.tokens.size()) + " numbers of tokens");
  }
  std::vector<Run> runs;
  runs.reserve(stored.lengths.size());
  Run next;
  for (std::size_t i = 0; i < stored.lengths.size(); ++i) {
    next.length = stored.lengths[i];
    next.size = stored.tokens[i];
    if (i > 0 && next.length <= runs.back().length) {
      damaged("the lengths in a lane do not ascend");
    }
    if (next.size == 0 || (next.length == 0 && next.size > 1)) {
      damaged(std::to_string(next.size) + " tokens of length " + std::to_string(next.length));
    }
    runs.push_back(next);
    next.offset = part_end(next.length, next.size, next.offset);
    next.first = part_end(1, next.size, next.first);
  }
  if (stored.count_width < 1 || stored.count_width > 8 || stored.large_width > 8 ||
      (stored.large == 0) != (stored.large_width == 0) || stored.large > next.first) {
    damaged("counts of " + std::to_string(stored.count_width) + " bytes, " + std::to_string(stored.large) +
            " large ones of " + std::to_string(stored.large_width));
  }
  Array<std::uint8_t> data = stored.data.is_dense() ? std::move(stored.data) : stored.data.clone();
  return of(std::move(runs), {stored.count_width, stored.large_width, stored.large}, std::move(data));
}

void TokenCounts::Lane::add(std::string_view token, std::uint64_t n) {
  const Place place = find(token);
  if (place.found) {
    if (!add_in_place(place.at, n) && fresh.add(token, n)) {
      ++known;
    }
  } else {
    fresh.add(token, n);
  }
}

void TokenCounts::Lane::add_fresh(std::string_view token, std::uint64_t n) {
  if (fresh.add(token, n) && find(token).found) {
    ++known;
  }
}

bool TokenCounts::Lane::is_due() const noexcept {
  constexpr std::uint64_t fewest = 1024;
  return fresh.size() >= FreshTokens::most || fresh.size() >= std::max(fewest, view.size / 4);
}

/// Adds to the stored count if the sum fits its width; returns whether it did.
bool TokenCounts::Lane::add_in_place(std::uint64_t place, std::uint64_t n) {
  const std::uint64_t low = view.low_count(place);
  const std::byte* from = view.low + place * view.count_width;
  std::uint64_t value = low;
  std::uint64_t highest = view.escape - 1;
  std::size_t width = view.count_width;
  if (low == view.escape) {
    const std::uint64_t j = view.large_from(place);
    if (j == view.large || view.place(j) != place) {
      return false;
    }
    from = view.large_counts + j * view.large_width;
    value = view.large_count(j);
    highest = highest_of(view.large_width);
    width = view.large_width;
  }
  if (value > highest || n > highest - value) {
    return false;
  }
  const auto offset = from - view.tokens;
  store_le(writable() + offset, value + n, width);
  return true;
}

std::byte* TokenCounts::Lane::writable() {
  if (made_here && data.buffer().use_count() == 1) {
    std::atomic_thread_fence(std::memory_order_acquire);  // after all reads of other owners
  } else {
    data = data.clone();
    made_here = true;
    view = view_of(runs, {view.count_width, view.large_width, view.large}, data);
  }
  return reinterpret_cast<std::byte*>(data.mutable_data());
}

std::uint64_t TokenCounts::Lane::verify() const {
  std::uint64_t sum = 0;
  std::uint64_t large = 0;
  std::string_view before;
  for (LaneCursor at(*this); !at.done(); at.next()) {
    if (at.place() > 0 && before.size() == at.token().size() && before >= at.token()) {
      damaged("tokens are not sorted");
    }
    before = at.token();
    if (view.low_count(at.place()) == view.escape) {
      if (large == view.large || view.place(large) != at.place() || view.large_count(large) < view.escape) {
        damaged("a large count is not where it belongs");
      }
      ++large;
    }
    if (at.count() == 0 || __builtin_add_overflow(sum, at.count(), &sum)) {
      damaged("a count is 0 or the total is beyond 2^64 - 1");
    }
    if (view.sample_total != 0 && at.place() % tokens_per_sample == 0) {
      const std::byte* sample = view.samples + at.place() / tokens_per_sample * view.length;
      if (std::memcmp(sample, before.data(), before.size()) != 0) {
        damaged("a sample is not the token's");
      }
    }
  }
  if (large != view.large) {
    damaged("there are more large counts than tokens that have one");
  }
  for (std::size_t i = 0; i < fresh.size(); ++i) {
    if (fresh.count_of(i) == 0 || __builtin_add_overflow(sum, fresh.count_of(i), &sum)) {
      damaged("a count is 0 or the total is beyond 2^64 - 1");
    }
  }
  return sum;
}

}  // namespace stele

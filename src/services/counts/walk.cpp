// Iterates over all tokens: in the order of the lanes, in the order of their bytes, and by highest count.

#include <algorithm>
#include <span>
#include <variant>

#include "services/counts/cursor.hpp"
#include "services/counts/lane.hpp"

namespace stele {
namespace {

/// Merges several ascending ranges of tokens with a heap of their first tokens.
class SortedRanges {
 public:
  /// Adds runs of a lane.
  void add(const LaneView& lane, std::span<const Run> runs) { push(LaneCursor(lane, runs)); }
  void add(const FreshTokens& tokens, std::span<const std::uint32_t> order) { push(FreshCursor(tokens, order)); }

  /// Calls `use` for each token; adds up the counts of a token in several ranges.
  template <class F>
  void for_each(const F& use) {
    const auto later = [this](std::size_t a, std::size_t b) { return token(ranges_[b]) < token(ranges_[a]); };
    std::vector<std::size_t> heap;  // ranges that are not finished
    for (std::size_t i = 0; i < ranges_.size(); ++i) {
      if (!done(ranges_[i])) {
        heap.push_back(i);
      }
    }
    std::make_heap(heap.begin(), heap.end(), later);
    while (!heap.empty()) {
      const std::string_view now = token(ranges_[heap.front()]);
      std::uint64_t sum = 0;
      while (!heap.empty() && token(ranges_[heap.front()]) == now) {
        std::pop_heap(heap.begin(), heap.end(), later);
        Range& range = ranges_[heap.back()];
        sum = saturated_sum(sum, std::visit([](const auto& at) { return at.count(); }, range));
        std::visit([](auto& at) { at.next(); }, range);
        if (done(range)) {
          heap.pop_back();
        } else {
          std::push_heap(heap.begin(), heap.end(), later);
        }
      }
      use(now, sum);
    }
  }

 private:
  using Range = std::variant<LaneCursor, FreshCursor>;
  template <class Cursor>
  void push(Cursor cursor) {
    ranges_.emplace_back(std::move(cursor));
  }
  static bool done(const Range& range) noexcept {
    return std::visit([](const auto& at) { return at.done(); }, range);
  }
  static std::string_view token(const Range& range) noexcept {
    return std::visit([](const auto& at) { return at.token(); }, range);
  }
  std::vector<Range> ranges_;
};

/// One lane's packed and fresh tokens, in the order of the lane.
template <class F>
void for_each_in_lane(LaneCursor packed, FreshCursor fresh, const F& use) {
  while (!packed.done() || !fresh.done()) {
    if (fresh.done() || (!packed.done() && comes_before(packed.token(), fresh.token()))) {
      use(packed.token(), packed.count());
      packed.next();
    } else if (packed.done() || comes_before(fresh.token(), packed.token())) {
      use(fresh.token(), fresh.count());
      fresh.next();
    } else {
      use(packed.token(), saturated_sum(packed.count(), fresh.count()));
      packed.next();
      fresh.next();
    }
  }
}

}  // namespace

void TokenCounts::walk_lanes(const Use& use) const {
  for (const Lane& lane : lanes_) {
    const std::vector<std::uint32_t> order = lane.fresh.sorted();
    for_each_in_lane(LaneCursor(lane), FreshCursor(lane.fresh, order),
                     [&](std::string_view token, std::uint64_t count) { use.call(use.f, token, count); });
  }
}

void TokenCounts::walk_sorted(const Use& use) const {
  SortedRanges ranges;
  std::vector<std::vector<std::uint32_t>> orders;
  for (const Lane& lane : lanes_) {
    for (std::size_t i = 0; i < lane.runs.size(); ++i) {
      ranges.add(lane.view, std::span(lane.runs).subspan(i, 1));
    }
    orders.push_back(lane.fresh.sorted());
    std::vector<std::uint32_t>& order = orders.back();
    std::sort(order.begin(), order.end(),
              [&](std::uint32_t a, std::uint32_t b) { return lane.fresh.token(a) < lane.fresh.token(b); });
    ranges.add(lane.fresh, order);
  }
  ranges.for_each([&](std::string_view token, std::uint64_t count) { use.call(use.f, token, count); });
}

std::vector<std::pair<std::string, std::uint64_t>> TokenCounts::top(std::size_t k) const {
  struct Item {
    std::uint64_t count;
    std::uint64_t order;
    std::string_view token;
  };
  const auto better = [](const Item& a, const Item& b) {
    return a.count != b.count ? a.count > b.count : a.order < b.order;
  };
  std::vector<Item> best;  // a heap with the worst item in front
  std::uint64_t order = 0;
  for_each([&](std::string_view token, std::uint64_t count) {
    const Item item{count, order++, token};
    if (best.size() == k && (k == 0 || !better(item, best.front()))) {
      return;
    }
    if (best.size() == k) {
      std::pop_heap(best.begin(), best.end(), better);
      best.pop_back();
    }
    best.push_back(item);
    std::push_heap(best.begin(), best.end(), better);
  });
  std::sort_heap(best.begin(), best.end(), better);
  std::vector<std::pair<std::string, std::uint64_t>> result;
  result.reserve(best.size());
  for (const Item& item : best) {
    result.emplace_back(item.token, item.count);
  }
  return result;
}

bool operator==(const TokenCounts& a, const TokenCounts& b) {
  if (a.total_ != b.total_ || a.size() != b.size()) {
    return false;
  }
  bool equal = true;
  a.for_each([&](std::string_view token, std::uint64_t count) { equal = equal && b.count(token) == count; });
  return equal;
}

}  // namespace stele

#include "stele/token_counts.hpp"

#include <algorithm>
#include <array>

#include "services/counts/cursor.hpp"
#include "services/counts/lane.hpp"

namespace stele {
namespace {

/// The longest probe sequence allowed while a file is read. With tokens that were not chosen for their hashes, even
/// 2^31 of them, fewer than one in a hundred tables exceeds 700. Without a limit, a million chosen tokens take minutes.
constexpr std::size_t longest_search = 2048;

[[noreturn]] void fail_total() {
  fail(Errc::out_of_range, "token counts: the total of all counts would exceed 2^64 - 1");
}

}  // namespace

TokenCounts::TokenCounts(std::size_t longest_lane) {
  if (longest_lane > highest_lane) {
    fail(Errc::invalid_argument, "token counts: lanes of up to " + std::to_string(longest_lane) + " bytes; at most " +
                                     std::to_string(highest_lane) + " are possible");
  }
  slots_.resize(longest_lane + 2);
}
TokenCounts::~TokenCounts() = default;
TokenCounts::TokenCounts(const TokenCounts& other) = default;
TokenCounts::TokenCounts(TokenCounts&& other) noexcept = default;
TokenCounts& TokenCounts::operator=(const TokenCounts& other) = default;
TokenCounts& TokenCounts::operator=(TokenCounts&& other) noexcept = default;

const TokenCounts::Lane* TokenCounts::find_lane(std::size_t length) const noexcept {
  const std::size_t slot = slots_[std::min(length, slots_.size() - 1)];
  return slot == 0 ? nullptr : &lanes_[slot - 1];
}

TokenCounts::Lane& TokenCounts::lane_for(std::size_t length) {
  const std::size_t index = std::min(length, slots_.size() - 1);
  if (slots_[index] == 0) {
    std::size_t place = 0;  // the place after the lanes of shorter tokens
    for (std::size_t i = 0; i < index; ++i) {
      place = std::max<std::size_t>(place, slots_[i]);
    }
    lanes_.emplace(lanes_.begin() + static_cast<std::ptrdiff_t>(place));
    slots_[index] = static_cast<std::uint16_t>(place + 1);
    for (std::size_t i = index + 1; i < slots_.size(); ++i) {
      slots_[i] = static_cast<std::uint16_t>(slots_[i] + (slots_[i] == 0 ? 0 : 1));
    }
  }
  return lanes_[slots_[index] - 1U];
}

void TokenCounts::add(std::string_view token, std::uint64_t n) {
  if (n == 0) {
    return;
  }
  if (n > ~std::uint64_t{0} - total_) {
    fail_total();
  }
  Lane& lane = lane_for(token.size());
  if (lane.is_due()) {  // before the token is counted, as merging may fail
    lane.merge();
  }
  lane.add(token, n);
  total_ += n;
}

std::uint64_t TokenCounts::count(std::string_view token) const noexcept {
  const Lane* lane = find_lane(token.size());
  return lane == nullptr ? 0 : lane->count(token);
}

void TokenCounts::count_many(std::span<const std::string_view> tokens, std::span<std::uint64_t> counts) const {
  if (tokens.size() != counts.size()) {
    fail(Errc::invalid_argument, "token counts: " + std::to_string(tokens.size()) + " tokens and room for " +
                                     std::to_string(counts.size()) + " counts");
  }
  struct Search {
    const Lane* lane;
    Window window;  // in a lane of one length
  };
  std::array<Search, 16> searches;
  for (std::size_t done = 0; done < tokens.size();) {
    const std::size_t batch = std::min(searches.size(), tokens.size() - done);
    for (std::size_t i = 0; i < batch; ++i) {
      const std::string_view token = tokens[done + i];
      Search& search = searches[i];
      search = {find_lane(token.size()), {}};
      if (search.lane != nullptr && search.lane->runs.size() == 1 && search.lane->view.length == token.size()) {
        search.window = sample_window(search.lane->view, token);
        prefetch(search.lane->view, search.window);
      }
    }
    for (std::size_t i = 0; i < batch; ++i) {
      const auto& [lane, window] = searches[i];
      const std::string_view token = tokens[done + i];
      counts[done + i] = lane == nullptr    ? 0
                         : window.size == 0 ? lane->count(token)
                                            : lane->count_at(find_in(lane->view, window, token), token);
    }
    done += batch;
  }
}

std::uint64_t TokenCounts::size() const noexcept {
  std::uint64_t sum = 0;
  for (const Lane& lane : lanes_) {
    sum += lane.size();
  }
  return sum;
}

std::uint64_t TokenCounts::byte_count() const noexcept {
  std::uint64_t sum = sizeof(*this) + slots_.capacity() * sizeof(slots_[0]) + lanes_.capacity() * sizeof(Lane);
  for (const Lane& lane : lanes_) {
    sum += lane.data.size() + lane.runs.capacity() * sizeof(Run) + lane.fresh.bytes();
  }
  return sum;
}

void TokenCounts::compact() {
  for (Lane& lane : lanes_) {
    lane.merge();
  }
}

void TokenCounts::merge(const TokenCounts& other) {
  if (other.total_ > ~std::uint64_t{0} - total_) {
    fail_total();
  }
  TokenCounts sum = *this;  // shares the blocks
  sum.compact();
  for (Lane lane : other.lanes_) {
    lane.merge();
    std::span<const Run> runs = lane.runs;
    for (; !runs.empty() && runs.front().length <= longest_lane(); runs = runs.subspan(1)) {
      sum.lane_for(static_cast<std::size_t>(runs.front().length)).merge_packed(lane, runs.first(1));
    }
    if (!runs.empty()) {
      sum.lane_for(static_cast<std::size_t>(runs.front().length)).merge_packed(lane, runs);
    }
  }
  sum.total_ += other.total_;
  *this = std::move(sum);
}

std::uint64_t TokenCounts::remove_below(std::uint64_t least) {
  compact();
  std::uint64_t tokens = 0;
  for (Lane& lane : lanes_) {
    const Lane::Removed removed = lane.remove_below(least);
    tokens += removed.tokens;
    total_ -= std::min(total_, removed.counts);
  }
  return tokens;
}

void TokenCounts::verify() const {
  std::uint64_t sum = 0;
  for (const Lane& lane : lanes_) {
    if (__builtin_add_overflow(sum, lane.verify(), &sum)) {
      fail(Errc::damaged, "token counts: the counts add up to more than 2^64 - 1");
    }
  }
  if (sum != total_) {
    fail(Errc::damaged,
         "token counts: the counts add up to " + std::to_string(sum) + ", not to " + std::to_string(total_));
  }
}

TokenCounts::Form TokenCounts::form() const {
  Form form;
  form.longest_lane = longest_lane();
  form.total = total_;
  for (const Lane& lane : lanes_) {
    if (lane.view.size != 0) {
      form.lanes.push_back(lane.packed());
    }
    for (std::size_t i = 0; i < lane.fresh.size(); ++i) {
      form.added.emplace(lane.fresh.token(i), lane.fresh.count_of(i));
    }
  }
  return form;
}

void TokenCounts::adopt(Form form) {
  if (form.longest_lane > highest_lane) {
    fail(Errc::damaged, "token counts: lanes of up to " + std::to_string(form.longest_lane) + " bytes");
  }
  TokenCounts read(static_cast<std::size_t>(form.longest_lane));
  std::uint64_t next_length = 0;
  std::uint64_t packed_size = 0;
  for (PackedLane& stored : form.lanes) {
    Lane lane = Lane::unpacked(std::move(stored));
    const bool overflow = lane.view.length > form.longest_lane;
    if (lane.view.length < next_length || (lane.runs.size() > 1 && !overflow) || read.slots_.back() != 0) {
      fail(Errc::damaged,
           "token counts: a lane of length " + std::to_string(lane.view.length) + " is not where it belongs");
    }
    next_length = lane.view.length + 1;
    if (__builtin_add_overflow(packed_size, lane.view.size, &packed_size)) {
      fail(Errc::damaged, "token counts: more than 2^64 tokens");
    }
    read.lanes_.push_back(std::move(lane));
    read.slots_[overflow ? read.slots_.size() - 1 : static_cast<std::size_t>(next_length - 1)] =
        static_cast<std::uint16_t>(read.lanes_.size());
  }
  std::uint64_t left = form.total;
  for (const auto& [token, count] : form.added) {
    if (count == 0 || count > left) {
      fail(Errc::damaged, "token counts: a count is 0 or above the total");
    }
    left -= count;
    Lane& lane = read.lane_for(token.size());
    lane.add_fresh(token, count);
    if (lane.fresh.longest_search() > longest_search) {
      fail(Errc::damaged, "token counts: tokens whose hashes were made to collide");
    }
  }
  read.total_ = form.total;
  *this = std::move(read);
}

}  // namespace stele

#pragma once
// Iterates over the tokens of a lane in order: the packed ones, and the fresh ones.

#include <algorithm>
#include <string_view>
#include <vector>

#include "services/counts/lane.hpp"

namespace stele {

/// Reads the counts of a lane in order, from any place. Needs no search for each large count.
class CountReader {
 public:
  explicit CountReader(const LaneView& lane, std::uint64_t first = 0) noexcept
      : lane_(lane), place_(first), large_(lane.large_from(first)) {}
  std::uint64_t place() const noexcept { return place_; }
  std::uint64_t next() noexcept {
    std::uint64_t value = lane_.low_count(place_);
    if (value == lane_.escape) {
      while (large_ < lane_.large && lane_.place(large_) < place_) {
        ++large_;
      }
      if (large_ < lane_.large && lane_.place(large_) == place_) {
        value = lane_.large_count(large_++);
      }
    }
    ++place_;
    return value;
  }

 private:
  const LaneView& lane_;
  std::uint64_t place_;
  std::uint64_t large_;
};

/// The tokens and counts of several runs. The lane must not change meanwhile.
class LaneCursor {
 public:
  template <class Lane>
  explicit LaneCursor(const Lane& lane) noexcept : LaneCursor(lane.view, {lane.runs.data(), lane.runs.size()}) {}
  LaneCursor(const LaneView& lane, std::span<const Run> runs) noexcept
      : runs_(runs), counts_(lane, runs.empty() ? 0 : runs.front().first) {
    if (!runs_.empty()) {
      left_ = runs_.front().size;
      token_ = {reinterpret_cast<const char*>(lane.tokens + runs_.front().offset),
                static_cast<std::size_t>(runs_.front().length)};
      count_ = counts_.next();
    }
  }
  bool done() const noexcept { return runs_.empty(); }
  std::string_view token() const noexcept { return token_; }
  std::uint64_t count() const noexcept { return count_; }
  std::uint64_t place() const noexcept { return counts_.place() - 1; }
  void next() noexcept {
    const char* behind = token_.data() + token_.size();
    if (--left_ == 0) {
      runs_ = runs_.subspan(1);
      if (runs_.empty()) {
        return;
      }
      left_ = runs_.front().size;
      token_ = {behind, static_cast<std::size_t>(runs_.front().length)};
    } else {
      token_ = {behind, token_.size()};
    }
    count_ = counts_.next();
  }

 private:
  std::span<const Run> runs_;  // the current run and the later ones
  CountReader counts_;
  std::string_view token_;
  std::uint64_t count_ = 0;
  std::uint64_t left_ = 0;  // tokens left in this run, including the current one
};

/// Fresh tokens in a given order.
class FreshCursor {
 public:
  FreshCursor(const FreshTokens& tokens, std::span<const std::uint32_t> order) noexcept
      : tokens_(tokens), order_(order) {}
  bool done() const noexcept { return order_.empty(); }
  std::string_view token() const noexcept { return tokens_.token(order_.front()); }
  std::uint64_t count() const noexcept { return tokens_.count_of(order_.front()); }
  void next() noexcept { order_ = order_.subspan(1); }

 private:
  const FreshTokens& tokens_;
  std::span<const std::uint32_t> order_;
};

/// The order of lanes: by length, then by bytes.
inline bool comes_before(std::string_view a, std::string_view b) noexcept {
  return a.size() != b.size() ? a.size() < b.size() : a < b;
}

}  // namespace stele

#pragma once
// A lane: tokens sorted by length and bytes, packed into one block of memory together with their counts.
//
// The block `data` of a PackedLane with n tokens has these parts; integers are little-endian:
//
//   tokens         their bytes, without gaps
//   low counts     n integers of count_width bytes; the highest value means "large"
//   large places   `large` integers, ascending: the places 0 to n - 1 of tokens with a large count, each as wide as
//                  n - 1 needs
//   large counts   `large` integers of large_width bytes, in the same order
//   samples        a copy of every 32nd token, place 0 first: searches begin here, so they stay in the cache. Only in
//                  a lane of one length, not 0, with more than 32 tokens
//
// The width of the low counts is the one that makes the block smallest; the others are the narrowest possible.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "services/counts/fresh.hpp"
#include "stele/token_counts.hpp"

namespace stele {

inline constexpr std::uint64_t tokens_per_sample = 32;

/// The number of samples in a lane of one length.
constexpr std::uint64_t sample_count(std::uint64_t tokens) noexcept {
  return tokens > tokens_per_sample ? (tokens - 1) / tokens_per_sample + 1 : 0;
}
/// The bytes that an integer needs, at least one.
constexpr std::uint8_t width_of(std::uint64_t value) noexcept {
  std::uint8_t width = 1;
  while (width < 8 && value >> (8 * width) != 0) {
    ++width;
  }
  return width;
}
constexpr std::uint64_t highest_of(std::size_t width) noexcept { return ~std::uint64_t{0} >> (64 - 8 * width); }

inline std::uint64_t load_count(const std::byte* from, std::size_t width) noexcept {
  switch (width) {
    case 1:
      return load_le<std::uint8_t>(from);
    case 2:
      return load_le<std::uint16_t>(from);
    case 4:
      return load_le<std::uint32_t>(from);
    case 8:
      return load_le<std::uint64_t>(from);
    default:
      return load_le(from, width);
  }
}

/// The widths of a lane's counts.
struct CountWidths {
  std::uint8_t low = 1;
  std::uint8_t large_count = 0;  // 0 if there is none
  std::uint64_t large = 0;       // number of large counts
};

/// The place of a token, or where it would be inserted.
struct Place {
  std::uint64_t at = 0;
  bool found = false;
};

/// The parts of a lane's block. Valid as long as the block. If the data is damaged or changes, results are wrong, but
/// all reads stay inside the block.
struct LaneView {
  const std::byte* tokens = nullptr;
  const std::byte* low = nullptr;
  const std::byte* places = nullptr;
  const std::byte* large_counts = nullptr;
  const std::byte* samples = nullptr;
  std::uint64_t size = 0;
  std::uint64_t length = 0;  // length of the tokens; in the overflow lane, of the shortest
  std::uint64_t sample_total = 0;
  std::uint64_t large = 0;
  std::uint64_t escape = 0;  // the low count that means "large"
  std::uint8_t count_width = 1;
  std::uint8_t place_width = 1;
  std::uint8_t large_width = 0;

  std::uint64_t low_count(std::uint64_t i) const noexcept { return load_count(low + i * count_width, count_width); }
  std::uint64_t place(std::uint64_t j) const noexcept { return load_count(places + j * place_width, place_width); }
  std::uint64_t large_count(std::uint64_t j) const noexcept {
    return load_count(large_counts + j * large_width, large_width);
  }
  /// The first large count at place i or later; `large` if there is none.
  std::uint64_t large_from(std::uint64_t i) const noexcept;
  std::uint64_t count(std::uint64_t i) const noexcept {
    const std::uint64_t value = low_count(i);
    return value == escape ? large_count_at(i) : value;
  }
  std::uint64_t large_count_at(std::uint64_t i) const noexcept;
};

/// Where the search continues after the samples of a lane of one length: places `first` to `first + size`.
struct Window {
  std::uint64_t first = 0;
  std::uint64_t size = 0;
};
Window sample_window(const LaneView& lane, std::string_view token) noexcept;
/// Prefetches the memory that find_in() reads first.
void prefetch(const LaneView& lane, const Window& window) noexcept;
/// Finds a token of the lane's length within the window.
Place find_in(const LaneView& lane, const Window& window, std::string_view token) noexcept;

/// The tokens of one length within a lane.
struct Run {
  std::uint64_t length = 0;
  std::uint64_t first = 0;  // place of the first token
  std::uint64_t size = 0;
  std::uint64_t offset = 0;  // offset of its bytes in the block
};

/// A lane in memory: its block and the tokens added since.
struct TokenCounts::Lane {
  Array<std::uint8_t> data;
  std::vector<Run> runs;  // one, or several in the overflow lane; none without packed tokens
  LaneView view;          // of `data`
  FreshTokens fresh;
  std::uint64_t known = 0;  // fresh tokens that are packed too, because their count outgrew its width
  bool made_here = false;   // `data` belongs to tables only, not to a file

  std::uint64_t size() const noexcept { return view.size + fresh.size() - known; }
  Place find(std::string_view token) const noexcept;
  std::uint64_t count(std::string_view token) const noexcept { return count_at(find(token), token); }
  /// The count of a token, given the result of a search among the packed ones.
  std::uint64_t count_at(const Place& place, std::string_view token) const noexcept {
    if (place.found) {
      return known == 0 ? view.count(place.at) : saturated_sum(view.count(place.at), fresh.count(token));
    }
    return fresh.count(token);
  }
  void add(std::string_view token, std::uint64_t n);
  /// Adds without changing the block.
  void add_fresh(std::string_view token, std::uint64_t n);
  /// Whether there are enough fresh tokens for a merge.
  bool is_due() const noexcept;
  /// Merges the fresh tokens into the block.
  void merge();
  /// Adds the tokens in some runs of the other's block. Neither lane may have fresh tokens.
  void merge_packed(const Lane& other, std::span<const Run> other_runs);
  struct Removed {
    std::uint64_t tokens = 0;
    std::uint64_t counts = 0;  // sum of their counts
  };
  /// There must be no fresh tokens.
  Removed remove_below(std::uint64_t least);
  /// Throws: Error(damaged). Returns the sum of the packed counts.
  std::uint64_t verify() const;

  /// In the stored form.
  PackedLane packed() const;
  /// Throws: Error(damaged) unless the parts have the size of the block.
  static Lane unpacked(PackedLane stored);
  /// A lane with these runs whose block is `data`.
  static Lane of(std::vector<Run> runs, const CountWidths& widths, Array<std::uint8_t> data);

 private:
  bool add_in_place(std::uint64_t place, std::uint64_t n);
  std::byte* writable();
};

}  // namespace stele

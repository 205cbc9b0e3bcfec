#pragma once
// TokenCounts: token → count for classifiers with millions of tokens, nearly as small as its tokens and counts. Tokens
// of one length are packed in one sorted lane, followed by their counts. A file holds the lanes in their memory form,
// so that a table is saved, loaded and mapped as it is, and processes that map it share its pages.

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "stele/walk.hpp"

namespace stele {

/// A count for each token. A token is any byte string, the empty one included; a count is at least 1.
///
/// Known tokens are counted in place. New ones go to a hash table per lane, which is merged into the lane when it has
/// grown to a quarter of it, and by compact(); look-ups see both. Copies share their lanes, and mapped tables share
/// them with their file. The first write to a lane copies it, so other copies and the file never change.
///
/// Several threads may call const members at once; different threads may use copies. A moved-from table may only be
/// assigned to or destroyed.
class TokenCounts {
 public:
  static constexpr std::size_t highest_lane = 255;

  /// Tokens longer than `longest_lane` bytes share an overflow lane, which is searched more slowly.
  /// Throws: Error(invalid_argument) above highest_lane.
  explicit TokenCounts(std::size_t longest_lane = 32);
  ~TokenCounts();
  TokenCounts(const TokenCounts& other);
  TokenCounts(TokenCounts&& other) noexcept;
  TokenCounts& operator=(const TokenCounts& other);
  TokenCounts& operator=(TokenCounts&& other) noexcept;

  /// Counts a token `n` times; n = 0 does nothing.
  /// Throws: Error(out_of_range), and changes nothing, if the total would exceed 2^64 - 1.
  void add(std::string_view token, std::uint64_t n = 1);
  /// How often a token was counted; 0 for one that was not.
  std::uint64_t count(std::string_view token) const noexcept;
  bool contains(std::string_view token) const noexcept { return count(token) != 0; }
  /// The counts of many tokens, with several searches in flight, so that they wait for memory together.
  /// Throws: Error(invalid_argument) unless the spans have one size.
  void count_many(std::span<const std::string_view> tokens, std::span<std::uint64_t> counts) const;

  /// The number of distinct tokens.
  std::uint64_t size() const noexcept;
  bool empty() const noexcept { return size() == 0; }
  /// The sum of all counts.
  std::uint64_t total() const noexcept { return total_; }
  std::size_t longest_lane() const noexcept { return slots_.size() - 2; }
  /// Bytes of memory that the table takes, or maps, capacity included.
  std::uint64_t byte_count() const noexcept;

  /// Merges all new tokens into the lanes: time linear in the lanes that have some, memory for one more lane.
  void compact();
  /// Adds the counts of `other`, in linear time; the sum is built beside both tables.
  /// Throws: Error(out_of_range), and changes nothing, as add() does.
  void merge(const TokenCounts& other);
  /// Removes the tokens counted less than `least` times, in linear time. Returns their number.
  std::uint64_t remove_below(std::uint64_t least);

  /// The `k` tokens with the highest counts, highest first, or all; ties in the order of for_each().
  std::vector<std::pair<std::string, std::uint64_t>> top(std::size_t k) const;

  /// Calls use(std::string_view token, std::uint64_t count) for each token, short ones first, those of one length in
  /// the order of their bytes: the order of the lanes. The view is valid during the call; the table must not be
  /// changed.
  template <class F>
    requires std::invocable<F&, std::string_view, std::uint64_t>
  void for_each(F&& use) const {
    walk_lanes({[](void* f, std::string_view token, std::uint64_t count) {
                  (*static_cast<std::remove_reference_t<F>*>(f))(token, count);
                },
                const_cast<void*>(static_cast<const void*>(std::addressof(use)))});
  }
  /// The same in the order of the tokens' bytes, whatever their length: "a", "ab", "b".
  template <class F>
    requires std::invocable<F&, std::string_view, std::uint64_t>
  void for_each_sorted(F&& use) const {
    walk_sorted({[](void* f, std::string_view token, std::uint64_t count) {
                   (*static_cast<std::remove_reference_t<F>*>(f))(token, count);
                 },
                 const_cast<void*>(static_cast<const void*>(std::addressof(use)))});
  }

  /// Checks what loading does not, since it would read a mapped file whole: that the lanes are sorted and that counts
  /// and total fit. A table that fails gives wrong counts, but does no other harm.
  /// Throws: Error(damaged).
  void verify() const;

  /// The same tokens and counts, whether merged or not, and whatever longest_lane() is.
  friend bool operator==(const TokenCounts& a, const TokenCounts& b);

  /// One field, so that it is read as a whole; docs/guide/token-counts.md describes it.
  static void visit(auto& v, auto& self) {
    if constexpr (std::remove_reference_t<decltype(v)>::loading) {
      std::optional<Form> form;
      v("table", form);
      if (form) {
        self.adopt(std::move(*form));
      }
    } else {
      v("table", self.form());
    }
  }

 private:
  /// A lane in memory and in a file. For each length that occurs, shortest first, it has the number of tokens: one
  /// length in a lane, one or more in the overflow lane. `data` has the tokens one after another, the low `count_width`
  /// bytes of their counts, and the parts that docs/guide/token-counts.md describes.
  struct PackedLane {
    std::vector<std::uint64_t> lengths;
    std::vector<std::uint64_t> tokens;
    std::uint8_t count_width = 1;
    std::uint8_t large_width = 0;
    std::uint64_t large = 0;
    Array<std::uint8_t> data;
  };
  /// The stored form of a table.
  struct Form {
    static constexpr unsigned stele_version = 1;
    std::uint64_t longest_lane = 32;
    std::uint64_t total = 0;
    std::vector<PackedLane> lanes;
    std::map<std::string, std::uint64_t> added;  // since the last merge
  };

  struct Lane;
  struct Use {
    void (*call)(void* f, std::string_view token, std::uint64_t count);
    void* f;
  };

  Form form() const;
  /// Throws: Error(damaged), and leaves the table unchanged.
  void adopt(Form form);
  const Lane* find_lane(std::size_t length) const noexcept;
  Lane& lane_for(std::size_t length);
  void walk_lanes(const Use& use) const;
  void walk_sorted(const Use& use) const;

  std::vector<Lane> lanes_;           // those that were needed, by length, the overflow lane last
  std::vector<std::uint16_t> slots_;  // by length, beyond longest_lane() the overflow's: its place in lanes_, plus 1
  std::uint64_t total_ = 0;
};

}  // namespace stele

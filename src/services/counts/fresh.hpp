#pragma once
// The tokens of a lane counted since its last merge: a hash table in three blocks of memory.

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace stele {

/// a + b, or the maximum: real counts are far below it unless a file has a wrong total.
constexpr std::uint64_t saturated_sum(std::uint64_t a, std::uint64_t b) noexcept {
  std::uint64_t sum = 0;
  return __builtin_add_overflow(a, b, &sum) ? ~std::uint64_t{0} : sum;
}

class FreshTokens {
 public:
  /// Returns whether the token is new.
  bool add(std::string_view token, std::uint64_t n);
  /// 0 for an unknown token.
  std::uint64_t count(std::string_view token) const noexcept;

  std::size_t size() const noexcept { return entries_.size(); }
  bool empty() const noexcept { return entries_.empty(); }
  std::uint64_t bytes() const noexcept;
  /// Tokens by number, in the order in which they were added.
  std::string_view token(std::size_t i) const noexcept {
    const std::size_t begin = i == 0 ? 0 : entries_[i - 1].end;
    return {text_.data() + begin, entries_[i].end - begin};
  }
  std::uint64_t count_of(std::size_t i) const noexcept { return entries_[i].count; }
  /// The longest probe sequence so far, in slots.
  std::size_t longest_search() const noexcept { return longest_search_; }
  /// The numbers of all tokens, sorted by length and then by bytes.
  std::vector<std::uint32_t> sorted() const;
  /// The maximum number of tokens, so that sorted() can number them.
  static constexpr std::size_t most = std::size_t{1} << 31;

 private:
  struct Entry {
    std::size_t end;  // end of the token in text_
    std::uint64_t count;
  };
  struct Slot {
    std::uint32_t hash;
    std::uint32_t number;  // plus 1; 0: free
  };
  void grow();

  std::vector<char> text_;
  std::vector<Entry> entries_;
  std::vector<Slot> slots_;  // the size is a power of two, at most three quarters are used
  std::size_t longest_search_ = 0;
};

}  // namespace stele

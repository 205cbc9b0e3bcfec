#pragma once
// A block of the index: the keys from its first possible one, `low`, up to the next block's, and where their records
// lie (docs/store.md). Blocks together cover all possible keys, each exactly once, and say so themselves: what is not
// in the block that covers a key is in none, and no damage of what leads to blocks can hide a key.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "services/store/shard/record.hpp"

namespace stele {

/// The first possible low, before all keys.
inline constexpr std::string_view lowest_key{"\0", 1};

struct BlockEntry;

/// A block in the index's memory. Valid as long as that.
class KeyBlock {
 public:
  /// Throws: Error(damaged) unless it is whole and is the block that begins at `low`. `unchecked`: as far as its form
  /// tells; then all but size() and low() may throw that, and what it leads to proves itself, but not what it lacks.
  enum class Check : std::uint8_t { checked, unchecked };
  KeyBlock(std::string_view low, Bytes stored, Check check = Check::checked);

  std::size_t size() const noexcept { return count_; }
  std::string_view low() const noexcept { return low_; }
  /// The low of the next block; nothing for the last.
  std::optional<std::string_view> high() const noexcept { return high_; }
  /// Whether a key belongs here.
  bool covers(std::string_view key) const noexcept { return key >= low_ && (!high_ || key < *high_); }
  /// The index of the first key that is not less, size() if there is none.
  std::size_t lower_bound(std::string_view key) const;
  std::optional<Position> find(std::string_view key) const;
  void key(std::size_t i, std::string& out) const;
  /// All entries; their keys lie in `arena`.
  void entries(std::vector<BlockEntry>& out, std::string& arena) const;
  Position position(std::size_t i) const noexcept;

 private:
  std::string_view suffix(std::size_t i) const;
  std::string_view low_;
  std::optional<std::string_view> high_;
  std::size_t count_ = 0;
  std::string_view prefix_;
  std::size_t suffix_size_ = 0;      // of all, if ends_ is null
  const std::byte* ends_ = nullptr;  // u16 each
  const std::byte* suffixes_ = nullptr;
  std::size_t suffixes_size_ = 0;
  struct Column {
    const std::byte* values = nullptr;
    std::size_t width = 0;
    std::uint64_t base = 0;
    std::uint64_t operator[](std::size_t i) const noexcept;
  };
  Column shard_, offset_, length_;
};

/// A key and where its record lies.
struct BlockEntry {
  std::string_view key;
  Position position;
};

/// Writes the entries, sorted, of a block that covers [low, high) as one or more blocks that cover it. `put` is given
/// each with its low, the first with `low`. `filling`: entries are added at the end, so that blocks are filled up
/// instead of cut in halves.
void write_blocks(std::string_view low, std::optional<std::string_view> high, const std::vector<BlockEntry>& entries,
                  bool filling, const std::function<void(std::string_view low, Bytes block)>& put);

}  // namespace stele

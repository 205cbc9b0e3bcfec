#pragma once
// A block of the index: the positions of all keys from its lower bound, `low`, to that of the next block
// (docs/store.md). Together the blocks cover every possible key exactly once, and each block states its own range. A
// key that is not in the block that covers it does not exist, so damage to the tree above the blocks cannot hide a key.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "services/store/shard/record.hpp"

namespace stele {

/// The lowest bound, before all keys.
inline constexpr std::string_view lowest_key{"\0", 1};

struct BlockEntry;

/// A view of a block in the index's memory. Valid as long as that memory.
class KeyBlock {
 public:
  /// Throws: Error(damaged) unless the block is intact and begins at `low`. `unchecked`: checks only the form. Then
  /// everything but size() and low() may throw Error(damaged), and a position found must be checked with its record,
  /// but a missing key is not proved.
  enum class Check : std::uint8_t { checked, unchecked };
  KeyBlock(std::string_view low, Bytes stored, Check check = Check::checked);

  std::size_t size() const noexcept { return count_; }
  std::string_view low() const noexcept { return low_; }
  /// The low of the next block; nothing for the last block.
  std::optional<std::string_view> high() const noexcept { return high_; }
  /// Whether a key is in the block's range.
  bool covers(std::string_view key) const noexcept { return key >= low_ && (!high_ || key < *high_); }
  /// The index of the first key that is not less than `key`; size() if there is none.
  std::size_t lower_bound(std::string_view key) const;
  std::optional<Position> find(std::string_view key) const;
  void key(std::size_t i, std::string& out) const;
  /// All entries. Their keys are stored in `arena`.
  void entries(std::vector<BlockEntry>& out, std::string& arena) const;
  Position position(std::size_t i) const noexcept;

 private:
  std::string_view suffix(std::size_t i) const;
  std::string_view low_;
  std::optional<std::string_view> high_;
  std::size_t count_ = 0;
  std::string_view prefix_;
  std::size_t suffix_size_ = 0;      // of every suffix, if ends_ is null
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

/// A key and the position of its record.
struct BlockEntry {
  std::string_view key;
  Position position;
};

/// Writes sorted entries as one or more blocks that cover [low, high). Calls `put` with each block and its low, `low`
/// for the first. `filling`: entries arrive in ascending order, so blocks are filled up instead of split in halves.
void write_blocks(std::string_view low, std::optional<std::string_view> high, const std::vector<BlockEntry>& entries,
                  bool filling, const std::function<void(std::string_view low, Bytes block)>& put);

}  // namespace stele

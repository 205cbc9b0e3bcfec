#pragma once
// Uncommitted puts and erasures: the new position of each key.

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "services/store/index/index.hpp"

namespace stele {

/// Indices of the keys, ordered by key; equal keys in any order.
std::vector<std::uint32_t> sorted_numbers(const std::vector<std::string_view>& keys);

/// Keys that arrive in ascending order are only appended; they are hashed when one is looked up. Not thread-safe.
class PendingKeys {
 public:
  /// Sets the position of a key; no position: it is erased.
  void set(std::string_view key, const std::optional<Position>& position);
  /// The position of a key; nothing if the key has no pending change.
  std::optional<std::optional<Position>> find(std::string_view key);
  bool empty() const noexcept { return entries_.empty(); }
  std::size_t size() const noexcept { return entries_.size(); }
  void clear() noexcept;
  /// All changes, ordered by key. The keys are valid until the next set() or clear().
  std::vector<IndexWrite::Change> changes() const;

 private:
  struct Entry {
    const char* key = nullptr;
    std::uint32_t key_size = 0;
    bool leads = false;
    Position position;
    std::string_view text() const noexcept { return {key, key_size}; }
  };
  std::string_view keep(std::string_view key);
  std::uint64_t* slot(std::string_view key, std::uint32_t hash);
  void index_all();

  std::vector<Entry> entries_;
  std::vector<std::uint64_t> slots_;  // by hash: 0, or the hash and 1 + the entry's index; size a power of two
  std::size_t indexed_ = 0;           // entries in slots_
  bool is_sorted_ = true;
  // The bytes of the keys.
  std::vector<std::unique_ptr<char[]>> chunks_;
  std::size_t chunk_ = 0;  // the one being filled
  std::size_t used_ = 0;   // bytes of it in use
};

}  // namespace stele

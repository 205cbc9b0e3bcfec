#pragma once
// What is put and erased and not committed: where each key leads.

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "services/store/index/index.hpp"

namespace stele {

/// The numbers of keys in the order of the keys; of equal ones in any.
std::vector<std::uint32_t> sorted_numbers(const std::vector<std::string_view>& keys);

/// Keys that come in their order are only appended, and indexed when one is asked for. Not thread-safe.
class PendingKeys {
 public:
  /// Leads a key to a place, or to none.
  void set(std::string_view key, const std::optional<Position>& position);
  /// Where a key leads; nothing where it is not among them.
  std::optional<std::optional<Position>> find(std::string_view key);
  bool empty() const noexcept { return entries_.empty(); }
  std::size_t size() const noexcept { return entries_.size(); }
  void clear() noexcept;
  /// All of them in the order of the keys, which are valid until the next set() or clear().
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
  std::vector<std::uint64_t> slots_;  // by hash; 0, or the hash and 1 more than the number of an entry; a power of two
  std::size_t indexed_ = 0;           // entries that are in it
  bool is_sorted_ = true;
  // The bytes of the keys.
  std::vector<std::unique_ptr<char[]>> chunks_;
  std::size_t chunk_ = 0;  // the one that is filled
  std::size_t used_ = 0;   // of it
};

}  // namespace stele

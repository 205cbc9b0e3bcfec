#pragma once
// The palette of an encoding: the distinct bit patterns of an array's elements, and the index of each.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "encoding/encoding.hpp"

namespace stele {

/// Immutable after construction; thread-safe.
class Palette {
 public:
  /// The number of patterns that an index of one byte, and of two, can distinguish.
  static constexpr std::size_t most_small = 256;
  static constexpr std::size_t most = 65536;

  /// The patterns of all elements of 2, 4 or 8 bytes; null if there are more than `limit`.
  static std::shared_ptr<const Palette> collect(const Elements& elements, std::size_t limit);
  /// A palette for decoding, from a checked table.
  Palette(std::uint32_t item_size, Bytes table);

  std::uint32_t item_size() const noexcept { return item_size_; }
  std::size_t count() const noexcept { return table_.size() / item_size_; }
  Bytes table() const noexcept { return table_; }
  std::uint32_t index_size() const noexcept { return count() <= most_small ? 1 : 2; }

  /// Converts elements to indices. Only for a palette from collect() and elements it was collected from.
  void encode(const std::byte* elements, std::size_t count, std::byte* indices) const noexcept;
  /// Converts indices to elements. Throws: Error(damaged) for an index outside the table.
  void decode(const std::byte* indices, std::size_t count, std::byte* elements) const;

 private:
  /// An open hash table; a slot without a pattern has index `no_index`.
  struct Slot {
    std::uint64_t pattern = 0;
    std::uint32_t index = no_index;
  };
  static constexpr std::uint32_t no_index = 0xffffffff;
  class Collector;

  explicit Palette(std::uint32_t item_size) : item_size_(item_size) {}
  template <class Pattern, class Index>
  void encode_as(const std::byte* elements, std::size_t count, std::byte* indices) const noexcept;

  std::uint32_t item_size_;
  std::vector<std::byte> table_;
  std::vector<Slot> slots_;  // empty in a palette for decoding
  unsigned shift_ = 0;       // of a hash, to get the index of a slot
};

}  // namespace stele

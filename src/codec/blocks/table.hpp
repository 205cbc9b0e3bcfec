#pragma once
// The block index after the blocks, for formats without an index of their own (lz4.cpp, block_codec.cpp):
//
//   { u32 stored size  u32 plain size }*  u64 XXH3-64 of these  u32 count  u32 magic        (all little-endian)

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/checksum.hpp"
#include "codec/stream/intake.hpp"
#include "stele/codec.hpp"

namespace stele {

constexpr std::size_t most_table_blocks = std::size_t{1} << 28;

constexpr std::uint64_t block_table_size(std::uint64_t blocks) { return blocks * 8 + 16; }

/// Appends the table; it holds at most most_table_blocks blocks.
void append_block_table(std::span<const Block> blocks, std::vector<std::byte>& out);

/// A table found at the end of a file.
struct BlockTable {
  std::vector<Block> blocks;
  std::uint64_t offset = 0;  // offset of its first byte
};

/// The table at the end of a file whose first block begins at `first_block`. Nothing if there is none, its checksum is
/// wrong, or its blocks would overlap it.
std::optional<BlockTable> find_block_table(Peek& file, std::uint64_t first_block);

/// Summarizes the blocks that a reader met, to compare them with the table in constant memory.
class BlockTally {
 public:
  enum class Result : std::uint8_t { same, different, truncated };

  void add(std::uint64_t stored_size, std::uint64_t plain_size);
  void reset();
  std::uint64_t count() const noexcept { return count_; }
  /// Reads a table and compares it.
  Result compare(Intake& in) const;

 private:
  std::uint64_t count_ = 0;
  Xxh3 sizes_;
};

}  // namespace stele

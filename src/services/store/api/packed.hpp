#pragma once
// A store in one file: an archive with the records and the blocks of the index. The file is mapped, or read by ranges
// where it lies on another machine.

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "services/store/index/index.hpp"
#include "services/store/index/key_block.hpp"
#include "services/store/shard/shard.hpp"
#include "stele/archive.hpp"
#include "stele/array.hpp"

namespace stele {

/// What of the archive's root is held in memory, or mapped. The rest are `records` and `blocks`, arrays of bytes.
struct PackedRoot {
  std::uint64_t store_format = 0;
  std::string codec;
  std::uint64_t values = 0;
  std::uint64_t live_bytes = 0;
  std::vector<std::vector<std::byte>> dictionaries;
  Array<std::uint64_t> block_ends;
  Array<std::uint8_t> lows;
  Array<std::uint64_t> low_ends;
};

/// Thread-safe.
class PackedStore {
 public:
  /// `path`: of a file, or a URL.
  /// Throws: as load(), and Error(damaged).
  explicit PackedStore(const std::string& path);
  BlockReader::Handle read() const;
  const std::shared_ptr<Shard>& shard() const noexcept { return shard_; }
  const PackedRoot& root() const noexcept { return root_; }
  std::uint64_t file_bytes() const noexcept { return file_bytes_; }
  std::uint64_t index_bytes() const noexcept;

  /// The number of blocks whose low is less than `key`, or equal.
  std::uint64_t blocks_up_to(std::string_view key, bool or_equal) const;
  /// The low of block `i`. Throws: Error(damaged).
  std::string_view low(std::uint64_t i) const;
  /// Block `i`. `memory` holds it where it is not mapped. Throws: Error(damaged), Error(io), Error(changed).
  KeyBlock block(std::uint64_t i, std::vector<std::byte>& memory) const;
  /// Fetches these blocks, ascending, several at once; does nothing for a mapped file.
  void fetch_blocks(const std::vector<std::uint64_t>& blocks) const;

 private:
  Extent block_place(std::uint64_t i) const;
  void take_root(const File& file, const std::string& path);
  void open_mapped(const std::string& path);
  void open_remote(const std::string& path);

  PackedRoot root_;
  Extent blocks_place_;                        // in the file
  Array<std::uint8_t> blocks_;                 // of a mapped file
  std::unique_ptr<const SourcePieces> index_;  // else its pieces
  std::shared_ptr<Shard> shard_;
  std::uint64_t file_bytes_ = 0;
};

/// Writes the blocks of a store in one file. Entries must arrive sorted.
class PackedIndex {
 public:
  void add(std::string_view key, const Position& position);
  void finish();
  std::vector<std::uint8_t> blocks;
  std::vector<std::uint64_t> block_ends;
  std::vector<std::uint8_t> lows;
  std::vector<std::uint64_t> low_ends;

 private:
  void write(std::optional<std::string_view> next);
  std::vector<std::pair<std::string, Position>> waiting_;
  std::string low_ = std::string(lowest_key);
};

}  // namespace stele

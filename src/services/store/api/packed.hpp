#pragma once
// A store in one file: an archive with the records and the blocks of the index.

#include <memory>
#include <string>
#include <vector>

#include "services/store/index/index.hpp"
#include "services/store/index/key_block.hpp"
#include "services/store/shard/shard.hpp"
#include "stele/array.hpp"

namespace stele {

/// The root of the archive.
struct PackedRoot {
  std::uint64_t store_format = 0;
  std::string codec;
  std::uint64_t values = 0;
  std::uint64_t live_bytes = 0;
  std::vector<std::vector<std::byte>> dictionaries;
  Array<std::uint8_t> records;
  Array<std::uint8_t> blocks;
  Array<std::uint64_t> block_ends;
  Array<std::uint8_t> lows;
  Array<std::uint64_t> low_ends;
};

/// Thread-safe.
class PackedStore {
 public:
  /// Throws: as load(), and Error(damaged).
  explicit PackedStore(const std::string& path);
  BlockReader::Handle read() const;
  const std::shared_ptr<Shard>& shard() const noexcept { return shard_; }
  const PackedRoot& root() const noexcept { return root_; }
  std::uint64_t file_bytes() const noexcept { return file_bytes_; }

 private:
  PackedRoot root_;
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

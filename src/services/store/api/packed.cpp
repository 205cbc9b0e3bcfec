#include "services/store/api/packed.hpp"

#include <algorithm>

#include "services/store/frozen.hpp"
#include "stele/archive.hpp"
#include "stele/error.hpp"

namespace stele {
namespace {

constexpr std::size_t group = 4096;  // entries that are written to blocks at once

/// Part `i` of bytes that are divided at `ends`.
Bytes part(const Array<std::uint8_t>& bytes, const Array<std::uint64_t>& ends, std::uint64_t i) {
  const std::uint64_t first = i == 0 ? 0 : ends[i - 1];
  const std::uint64_t last = ends[i];
  if (first > last || last > bytes.size()) {
    fail(Errc::damaged, "the store's index: a block lies outside of it");
  }
  return {reinterpret_cast<const std::byte*>(bytes.data()) + first, static_cast<std::size_t>(last - first)};
}

std::string_view text(Bytes bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

class PackedRead final : public BlockReader {
 public:
  explicit PackedRead(const PackedRoot& root) : root_(root) {}
  KeyBlock covering(std::string_view key) override {
    std::uint64_t first = 0;
    std::uint64_t left = root_.low_ends.size();
    while (left > 0) {  // binary search for the number of lows that are not greater than the key
      const std::uint64_t half = left / 2;
      if (low(first + half) <= key) {
        first += half + 1;
        left -= half + 1;
      } else {
        left = half;
      }
    }
    const KeyBlock block = at(first);
    if (!block.covers(key)) {
      fail(Errc::damaged, "the store's index has no block for a key");
    }
    return block;
  }
  KeyBlock before(std::string_view wanted) override {
    std::uint64_t first = 0;
    std::uint64_t left = root_.low_ends.size();
    while (left > 0) {
      const std::uint64_t half = left / 2;
      if (low(first + half) < wanted) {
        first += half + 1;
        left -= half + 1;
      } else {
        left = half;
      }
    }
    const KeyBlock block = at(first);
    if (block.high() != wanted) {
      fail(Errc::damaged, "the store's index lacks a block");
    }
    return block;
  }
  std::uint64_t values() override { return root_.values; }

 private:
  std::string_view low(std::uint64_t i) const { return text(part(root_.lows, root_.low_ends, i)); }
  /// The block before block `i`.
  KeyBlock at(std::uint64_t i) const {
    if (i == 0) {
      fail(Errc::damaged, "the store's index has no block for a key");
    }
    return KeyBlock(low(i - 1), part(root_.blocks, root_.block_ends, i - 1));
  }
  const PackedRoot& root_;
};

}  // namespace

PackedStore::PackedStore(const std::string& path) {
  const File file = stele::open(path, {.map = MapMode::read_only});
  root_ = file.load<PackedRoot>();
  file_bytes_ = file.info().stored_bytes;
  if (root_.store_format != store_frozen::format) {
    fail(root_.store_format == 0 ? Errc::not_an_archive : Errc::unsupported,
         root_.store_format == 0 ? path + " is not a store" : path + " is a store of a newer format");
  }
  if (root_.block_ends.size() != root_.low_ends.size() || root_.block_ends.empty()) {
    fail(Errc::damaged, path + ": the store's index is not whole");
  }
  const std::vector<Entry> records = file.list({.path = "records"});
  const std::shared_ptr<Mapping> mapping = Mapping::open(path, MapMode::read_only);
  if (records.empty() || records[0].offset > mapping->bytes().size() ||
      root_.records.size() > mapping->bytes().size() - records[0].offset) {
    fail(Errc::damaged, path + ": the store has no records");
  }
  shard_ = std::make_shared<Shard>(mapping, records[0].offset, root_.records.size(), 0);
}

BlockReader::Handle PackedStore::read() const { return BlockReader::Handle(new PackedRead(root_)); }

void PackedIndex::add(std::string_view key, const Position& position) {
  if (waiting_.size() >= group) {
    write(key);
  }
  waiting_.emplace_back(key, position);
}

void PackedIndex::finish() { write(std::nullopt); }

void PackedIndex::write(std::optional<std::string_view> next) {
  std::vector<BlockEntry> entries;
  entries.reserve(waiting_.size());
  for (const auto& [key, position] : waiting_) {
    entries.push_back({key, position});
  }
  write_blocks(low_, next, entries, true, [&](std::string_view low, Bytes block) {
    const auto append = [](std::vector<std::uint8_t>& to, std::vector<std::uint64_t>& ends, Bytes bytes) {
      for (const std::byte byte : bytes) {
        to.push_back(std::to_integer<std::uint8_t>(byte));
      }
      ends.push_back(to.size());
    };
    append(blocks, block_ends, block);
    append(lows, low_ends, std::as_bytes(std::span(low)));
  });
  if (next) {
    low_ = *next;
  }
  waiting_.clear();
}

}  // namespace stele

#include "services/store/api/packed.hpp"

#include <algorithm>

#include "codec/first_bytes.hpp"
#include "format/directory.hpp"
#include "io/storage/urls.hpp"
#include "io/wrap/held.hpp"
#include "services/store/frozen.hpp"
#include "stele/codec.hpp"
#include "stele/error.hpp"

namespace stele {
namespace {

constexpr std::size_t group = 4096;                           // entries that are written to blocks at once
constexpr std::uint64_t most_block = std::uint64_t{1} << 20;  // those written have a few kilobytes

// Of a file on another machine:
constexpr std::uint64_t kept_bytes = std::uint64_t{32} << 20;  // of the index, and as many of the records
constexpr std::uint64_t end_bytes = std::uint64_t{512} << 10;  // read at its end when it is opened
constexpr std::uint64_t window = std::uint64_t{128} << 10;  // what a reader of archives may take beyond what it needs
constexpr std::uint64_t most_held = std::uint64_t{64} << 20;

/// Part `i` of bytes that are divided at `ends`.
Extent part(std::uint64_t size, const Array<std::uint64_t>& ends, std::uint64_t i) {
  const std::uint64_t first = i == 0 ? 0 : ends[i - 1];
  const std::uint64_t last = ends[i];
  if (first > last || last > size) {
    fail(Errc::damaged, "the store's index: a block lies outside of it");
  }
  return {first, last - first};
}

class PackedRead final : public BlockReader {
 public:
  explicit PackedRead(const PackedStore& store) : store_(store) {}
  KeyBlock covering(std::string_view key) override {
    const KeyBlock block = before_number(store_.blocks_up_to(key, true));
    if (!block.covers(key)) {
      fail(Errc::damaged, "the store's index has no block for a key");
    }
    return block;
  }
  KeyBlock before(std::string_view wanted) override {
    const KeyBlock block = before_number(store_.blocks_up_to(wanted, false));
    if (block.high() != wanted) {
      fail(Errc::damaged, "the store's index lacks a block");
    }
    return block;
  }
  std::uint64_t values() override { return store_.root().values; }
  void will_find(std::span<const std::string_view> keys) override {
    std::vector<std::uint64_t> blocks;
    for (const std::string_view key : keys) {
      const std::uint64_t number = store_.blocks_up_to(key, true);
      if (number > 0 && (blocks.empty() || blocks.back() != number - 1)) {
        blocks.push_back(number - 1);
      }
    }
    store_.fetch_blocks(blocks);
  }

 private:
  KeyBlock before_number(std::uint64_t i) {
    if (i == 0) {
      fail(Errc::damaged, "the store's index has no block for a key");
    }
    copy_ = (copy_ + 1) % copies_.size();
    return store_.block(i - 1, copies_[copy_]);
  }
  const PackedStore& store_;
  // Of blocks that are not mapped. Three, as the key of a call may lie in the block before the last.
  std::array<std::vector<std::byte>, 3> copies_;
  std::size_t copy_ = 0;
};

/// Where an array of bytes lies in the file.
Extent place_of(const File& file, const char* name) {
  const std::vector<Entry> found = file.list({.path = name, .depth = 0});
  if (found.at(0).encoding == "pieces") {
    fail(Errc::unsupported,
         "the store was written to a pipe, so that its records lie in pieces; `stele convert` makes "
         "a file of it that can be read");
  }
  if (found[0].dtype != DType(DType::Kind::uint8) || found[0].encoding != "raw") {
    fail(Errc::type_mismatch, message({name, " are no bytes of the file"}));
  }
  const std::uint64_t size = file.info().stored_bytes;
  if (found[0].offset > size || found[0].bytes > size - found[0].offset) {
    fail(Errc::damaged, message({"the store's ", name, " lie outside of the file"}));
  }
  return {found[0].offset, found[0].bytes};
}

/// Reads with one read each what opening a store in one file needs: the end, then what is before the records and what
/// is between them and the blocks.
void hold_ends(HeldSource& source) {
  if (!source.memory().empty()) {
    return;
  }
  const std::uint64_t size = *source.size();
  source.hold(size - std::min(size, end_bytes), end_bytes);
  std::uint64_t records = 0;
  std::uint64_t behind = 0;
  std::uint64_t blocks = 0;
  try {
    std::array<std::byte, frozen::trailer_bytes> last;
    if (size < last.size()) {
      return;
    }
    source.read_at(size - last.size(), last);
    const Trailer trailer = decode_trailer(last, size - last.size());
    if (trailer.directory_offset > size || trailer.directory_length > std::min(size, most_held)) {
      return;
    }
    std::vector<std::byte> item(static_cast<std::size_t>(trailer.directory_length));
    source.read_at(trailer.directory_offset, item);
    for (const ArrayEntry& entry : decode_directory(item, trailer.directory_offset).arrays) {
      if (entry.path == "records") {
        records = entry.offset;
        behind = entry.offset + entry.length;
      } else if (entry.path == "blocks") {
        blocks = entry.offset;
      }
    }
  } catch (const Error& error) {
    if (error.code() == Errc::io || error.code() == Errc::changed || error.code() == Errc::denied) {
      throw;
    }
    return;  // reading the archive tells what is wrong
  }
  source.hold(0, std::min(records, most_held) + window);
  if (behind != 0) {
    source.hold(behind, std::min(std::max(behind, blocks) - behind, most_held) + window);
  }
}

}  // namespace

PackedStore::PackedStore(const std::string& path) { is_url(path) ? open_remote(path) : open_mapped(path); }

void PackedStore::open_mapped(const std::string& path) {
  const File file = stele::open(path, {.map = MapMode::read_only});
  take_root(file, path);
  const Extent records = place_of(file, "records");
  blocks_ = file.load<Array<std::uint8_t>>("blocks");
  blocks_place_.length = blocks_.size();
  const std::shared_ptr<Mapping> mapping = Mapping::open(path, MapMode::read_only);
  if (mapping->bytes().size() < file_bytes_) {
    fail(Errc::changed, path + " was replaced while it was opened");
  }
  shard_ = std::make_shared<Shard>(mapping, records.offset, records.length, 0);
}

void PackedStore::open_remote(const std::string& path) {
  const std::shared_ptr<Source> source = file_source(path);
  if (!source->random_access()) {
    fail(Errc::unsupported, "cannot read a store in " + path + ": it can only be read in order");
  }
  if (source->size() == 0) {
    fail(Errc::not_an_archive, path + " is empty");
  }
  HeldSource held(*source);
  hold_ends(held);
  const Codecs codecs;
  if (codecs.by_magic(first_bytes(held)) != nullptr) {  // all of it would be decompressed first
    fail(Errc::not_mappable, path + " is compressed");
  }
  const File file = stele::open(std::make_unique<BorrowedSource>(held), {.verify = Verify::directory});
  if (file.list({.depth = 0}).at(0).kind != Kind::map) {  // to be told so, an array would be read
    fail(Errc::type_mismatch, path + " is not a store");
  }
  take_root(file, path);
  const Extent records = place_of(file, "records");
  blocks_place_ = place_of(file, "blocks");
  index_ = std::make_unique<const SourcePieces>(source, blocks_place_, kept_bytes, false);
  shard_ = std::make_shared<Shard>(std::make_shared<const SourcePieces>(source, records, kept_bytes, true), path,
                                   records.offset, records.length, 0);
}

void PackedStore::take_root(const File& file, const std::string& path) {
  root_ = file.load<PackedRoot>();
  const Info info = file.info();
  file_bytes_ = info.stored_bytes;
  if (root_.store_format != store_frozen::format || info.codec != "plain") {
    const bool is_newer = root_.store_format > store_frozen::format;
    fail(is_newer ? Errc::unsupported : Errc::not_an_archive,
         path + (is_newer ? " is a store of a newer format" : " is not a store"));
  }
  if (root_.block_ends.size() != root_.low_ends.size() || root_.block_ends.empty()) {
    fail(Errc::damaged, path + ": the store's index is not whole");
  }
  for (const char* const name : {"records", "blocks"}) {
    if (!file.contains(name)) {
      fail(Errc::missing_field, message({path, " has no ", name}));
    }
  }
}

BlockReader::Handle PackedStore::read() const { return BlockReader::Handle(new PackedRead(*this)); }

std::uint64_t PackedStore::index_bytes() const noexcept {
  return blocks_place_.length + root_.lows.size() + 8 * (root_.block_ends.size() + root_.low_ends.size());
}

std::string_view PackedStore::low(std::uint64_t i) const {
  const Extent place = part(root_.lows.size(), root_.low_ends, i);
  return {reinterpret_cast<const char*>(root_.lows.data()) + place.offset, static_cast<std::size_t>(place.length)};
}

std::uint64_t PackedStore::blocks_up_to(std::string_view key, bool or_equal) const {
  std::uint64_t first = 0;
  std::uint64_t left = root_.low_ends.size();
  while (left > 0) {
    const std::uint64_t half = left / 2;
    const int order = low(first + half).compare(key);
    if (order < 0 || (or_equal && order == 0)) {
      first += half + 1;
      left -= half + 1;
    } else {
      left = half;
    }
  }
  return first;
}

Extent PackedStore::block_place(std::uint64_t i) const {
  const Extent place = part(blocks_place_.length, root_.block_ends, i);
  if (place.length > most_block) {
    fail(Errc::damaged, "the store's index has a block of " + std::to_string(place.length) + " bytes");
  }
  return place;
}

KeyBlock PackedStore::block(std::uint64_t i, std::vector<std::byte>& memory) const {
  const Extent place = block_place(i);
  if (index_ == nullptr) {
    return KeyBlock(low(i),
                    std::as_bytes(std::span(blocks_.data(), blocks_.size()))
                        .subspan(static_cast<std::size_t>(place.offset), static_cast<std::size_t>(place.length)));
  }
  memory.resize(static_cast<std::size_t>(place.length));
  index_->read(blocks_place_.offset + place.offset, memory);
  return KeyBlock(low(i), memory);
}

void PackedStore::fetch_blocks(const std::vector<std::uint64_t>& blocks) const {
  if (index_ == nullptr) {
    return;
  }
  std::vector<Extent> places;
  for (const std::uint64_t i : blocks) {
    const Extent place = block_place(i);
    places.push_back({blocks_place_.offset + place.offset, place.length});
  }
  index_->fetch(places);
}

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

// Writes a store to one file.

#include <algorithm>

#include "io/storage/urls.hpp"
#include "services/store/api/core.hpp"
#include "services/store/api/packed.hpp"
#include "services/store/api/prefetch.hpp"
#include "stele/archive.hpp"
#include "stele/error.hpp"

namespace stele {
namespace {

constexpr std::size_t buffer_size = std::size_t{1} << 20;

/// A growing array of records.
class Records {
 public:
  explicit Records(GrowingArray<std::uint8_t>& array) : array_(array) {}
  /// Returns the offset of the record. Its payload, the last bytes, is aligned if it is large.
  std::uint64_t add(Bytes record, std::size_t payload) {
    if (payload >= store_frozen::aligned_value) {
      const std::uint64_t at = size_ + record.size() - payload;
      const std::uint64_t gap = (store_frozen::alignment - at % store_frozen::alignment) % store_frozen::alignment;
      buffer_.insert(buffer_.end(), static_cast<std::size_t>(gap), std::to_integer<std::uint8_t>(store_frozen::filler));
      size_ += gap;
    }
    const std::uint64_t at = size_;
    const auto* const bytes = reinterpret_cast<const std::uint8_t*>(record.data());
    if (record.size() >= buffer_size) {
      flush();
      array_.append(std::span(bytes, record.size()));
    } else {
      buffer_.insert(buffer_.end(), bytes, bytes + record.size());
    }
    size_ += record.size();
    if (buffer_.size() >= buffer_size) {
      flush();
    }
    return at;
  }
  void flush() {
    if (!buffer_.empty()) {
      array_.append(std::span<const std::uint8_t>(buffer_));
      buffer_.clear();
    }
  }

 private:
  GrowingArray<std::uint8_t>& array_;
  std::vector<std::uint8_t> buffer_;
  std::uint64_t size_ = 0;
};

}  // namespace

void Store::compact_to(const Path& file, const StoreProgress& progress) const {
  require_local(file.text(), "compact_to() writes a local file, which `stele convert` copies to a URL");
  state_->commit_waiting();
  StoreSnapshot snapshot = state_->snapshot();
  std::vector<std::vector<std::byte>> dictionaries;
  std::uint64_t total = 0;
  if (snapshot.index != nullptr) {
    for (std::uint64_t number = 1; number <= snapshot.index->state().dictionary; ++number) {
      dictionaries.push_back(state_->dictionary(number));
    }
    for (const ShardEntry& entry : snapshot.table) {
      total += entry.live_bytes;
    }
  } else {
    dictionaries = state_->packed->root().dictionaries;
    total = state_->packed->root().live_bytes;
  }
  MapWriter out(file, {.codec = "plain", .sync = Sync::file_folder});
  out.write("store_format", store_frozen::format);
  out.write("codec", state_->codec->name());
  out.write("dictionaries", dictionaries);
  PackedIndex packed;
  std::uint64_t values = 0;
  std::uint64_t bytes = 0;
  {
    GrowingArray<std::uint8_t> array = out.grow<std::uint8_t>("records");
    Records records(array);
    std::string low(lowest_key);
    std::string key;
    std::uint64_t told = 0;
    Prefetcher prefetcher;
    std::vector<Position> next;
    for (bool more = true; more;) {
      const KeyBlock block = snapshot.blocks->covering(low);
      next.clear();
      for (std::size_t i = 0; i < block.size(); ++i) {
        next.push_back(block.position(i));
      }
      prefetcher.ahead(snapshot, next);
      for (std::size_t i = 0; i < block.size(); ++i) {
        const Position position = block.position(i);
        const Shard& shard = snapshot.shard(position.shard);
        const Shard::Found found = shard.record(position, Verify::full);
        block.key(i, key);
        if (!found.record.is_key(StoreKey::from_sortable(key))) {
          shard.fail_damaged("has another key than the index says", position.offset);
        }
        const std::size_t payload =
            found.record.items == store_frozen::record_packed ? 0 : found.record.payload().size();
        packed.add(key, {0, records.add(found.bytes, payload), position.length});
        ++values;
        bytes += position.length;
      }
      more = block.high().has_value();
      if (more) {
        low = *block.high();
      }
      if (progress && bytes - told >= std::uint64_t{8} << 20) {
        told = bytes;
        if (!progress(bytes, total)) {
          return;  // the file is not created
        }
      }
    }
    records.flush();
    array.close();
  }
  packed.finish();
  out.write("values", values);
  out.write("live_bytes", bytes);
  out.write("block_ends", packed.block_ends);
  out.write("lows", packed.lows);
  out.write("low_ends", packed.low_ends);
  out.write("blocks", packed.blocks);  // last: what is needed to open the file lies together
  out.close();
  if (progress) {
    progress(total, total);
  }
}

}  // namespace stele

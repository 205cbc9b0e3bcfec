// Copies between stores, of values as they lie.

#include "format/cursor.hpp"
#include "services/store/api/core.hpp"
#include "services/store/exchange/import.hpp"
#include "services/store/shard/store_record.hpp"
#include "stele/value.hpp"

namespace stele {
namespace {

/// Larger values are compressed by blocks as their archive is made, so that memory stays bounded.
constexpr std::size_t compressed_whole = std::size_t{1} << 20;

}  // namespace

const std::string& StoreExchange::path(const Store& store) noexcept { return store.state_->absolute_path; }

bool StoreExchange::put_stored(Store& to, const StoreKey& key, const StoreValue& value, const std::string& from_codec) {
  if (value.is_text()) {
    to.put_text(key, value.text());
    return true;
  }
  if (value.is_bytes()) {
    to.put_bytes(key, value.bytes());
    return true;
  }
  const Bytes item = StoreRecord::item(value);
  cbor::Cursor cursor(item);
  cbor::Head head = cursor.head();
  std::size_t payload = item.size();
  if (head.major == cbor::Major::tag) {
    const bool is_archive = head.value == store_frozen::tag_archive;
    cursor.head();
    payload = static_cast<std::size_t>(cursor.position());
    const bool is_plain = !is_archive || (payload < item.size() && item[payload] == std::byte{0xd9});
    const ValueCodec& codec = *to.state_->codec;
    const bool as_it_is =
        is_plain ? !codec.compresses() || item.size() <= compressed_whole : codec.name() == from_codec;
    if (!as_it_is) {
      return false;
    }
  }
  const std::lock_guard lock(to.state_->write_mutex);
  to.state_->writing().put(key, item.first(payload), item.subspan(payload));
  return true;
}

StoreExchangeReport copy_store(const Store& from, Store& to, const StoreKeyRange& range,
                               const StoreImportOptions& options) {
  const StoreStats stats = from.stats();
  Importer importer(to, options, stats.live_bytes);
  std::uint64_t done = 0;
  for (const StoreItem& item : from.items(range)) {
    with_item(item.key.describe(), [&] {
      StoreRecord::check(item.value);
      const StoreKey key = importer.prefixed(item.key);
      if (importer.begin(key)) {
        if (!StoreExchange::put_stored(to, key, item.value, stats.codec)) {
          to.put(key, item.value.as<Value>({.verify = Verify::full}));
        }
        importer.end(item.value.stored_bytes());
      }
    });
    done += item.value.stored_bytes();
    if (!importer.go_on(done)) {
      break;
    }
  }
  return importer.finish();
}

}  // namespace stele

// Files of a store from any bytes: records of a shard, blocks of the index, values. Checksums are corrected, so that
// the code after them is reached. The first byte chooses the kind.

#include <algorithm>
#include <array>
#include <bit>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "base/checksum.hpp"
#include "fuzz.hpp"
#include "services/store/index/key_block.hpp"
#include "services/store/index/state_record.hpp"
#include "services/store/shard/record.hpp"
#include "services/store/shard/store_record.hpp"
#include "services/store/shard/value_codec.hpp"
#include "stele/value.hpp"

namespace stele {
namespace {

/// Records one after another, as a scan of a shard meets them.
void read_records(Bytes bytes) {
  static const ValueCodec plain("plain", std::nullopt, nullptr);
  static const Codecs codecs;
  static const ValueCodec compressed(codecs.find("zstd") != nullptr ? "zstd" : "gzip", std::nullopt,
                                     [](std::uint64_t) { return std::vector<std::byte>(100, std::byte{1}); });
  Limits limits;
  limits.allocation = 1 << 24;
  for (std::size_t at = 0; at < bytes.size();) {
    const Record record = parse_record(bytes.subspan(at), at);
    fuzz::require(record.length > 0 && record.length <= bytes.size() - at);
    static_cast<void>(record.is_whole());
    if (record.items != store_frozen::record_commit) {
      fuzz::succeeds([&] {
        const StoreKey key = record.decode_key();
        fuzz::require(StoreKey::from_sortable(key.sortable()) == key);
        static_cast<void>(key.describe());
        static_cast<void>(record.is_key(key));
      });
    }
    if (record.holds_value()) {
      static_cast<void>(record.value_is_whole());
      static_cast<void>(record.payload());
      for (const ValueCodec* codec : {&plain, &compressed}) {
        fuzz::succeeds([&] {
          const StoreValue value = StoreRecord::value(
              {nullptr, bytes.subspan(at, static_cast<std::size_t>(record.length)), record}, *codec, limits);
          const LoadOptions options{.limits = limits};
          fuzz::succeeds([&] { static_cast<void>(value.as<std::string>(options)); });
          fuzz::succeeds([&] { static_cast<void>(value.as<Value>(options)); });
          fuzz::succeeds([&] { static_cast<void>(value.as<std::vector<double>>(options)); });
          static_cast<void>(StoreRecord::copy(value));
        });
      }
    }
    at += static_cast<std::size_t>(record.length);
  }
}

/// The size of the low, the low, and a block without its checksum.
void read_block(Bytes bytes) {
  const std::size_t low_size = std::to_integer<std::size_t>(bytes[0]) % 16;
  if (bytes.size() < 1 + low_size) {
    return;
  }
  const std::string low(reinterpret_cast<const char*>(bytes.data()) + 1, low_size);
  std::vector<std::byte> stored(8);
  stored.insert(stored.end(), bytes.begin() + 1 + static_cast<std::ptrdiff_t>(low_size), bytes.end());
  store_le<std::uint64_t>(
      stored.data(), xxh3_64(std::span(stored).subspan(8)) ^ std::rotl(xxh3_64(std::as_bytes(std::span(low))), 32));
  const KeyBlock block(low, stored);
  std::string key;
  for (std::size_t i = 0; i < block.size(); ++i) {
    block.key(i, key);
    static_cast<void>(block.position(i));
    static_cast<void>(block.find(key));
    fuzz::require(block.lower_bound(key) <= block.size());
  }
  static_cast<void>(block.covers(key));
  std::vector<BlockEntry> entries;
  std::string arena;
  block.entries(entries, arena);
  fuzz::require(entries.size() == block.size());
}

/// An entry of the index without its checksum.
void read_entry(Bytes bytes) {
  std::vector<std::byte> stored(8);
  stored.insert(stored.end(), bytes.begin(), bytes.end());
  store_le<std::uint64_t>(stored.data(), xxh3_64(bytes));
  fuzz::succeeds([&] { fuzz::require(!encode_state(decode_state(stored)).empty()); });
  fuzz::succeeds([&] { fuzz::require(encode_shard(decode_shard(stored)).size() == stored.size()); });
}

void read_header(Bytes bytes) { static_cast<void>(decode_header(bytes)); }

}  // namespace
}  // namespace stele

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace stele;
  if (size < 2) {
    return 0;
  }
  const Bytes input = std::as_bytes(std::span(data + 1, size - 1));
  constexpr std::array actions = {read_records, read_block, read_entry, read_header};
  fuzz::succeeds([&] { actions[data[0] % actions.size()](input); });
  return 0;
}

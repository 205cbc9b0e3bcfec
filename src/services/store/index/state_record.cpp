#include "services/store/index/state_record.hpp"

#include <array>

#include "base/bytes.hpp"
#include "base/checksum.hpp"
#include "format/cursor.hpp"
#include "services/store/frozen.hpp"
#include "stele/error.hpp"

namespace stele {
namespace {

constexpr std::size_t checksum_size = 8;
constexpr std::size_t shard_numbers = 7;
constexpr std::uint64_t state_items = 14;

/// Every entry begins with the XXH3-64 of the rest. Returns the rest.
Bytes checked(Bytes bytes, const char* what) {
  if (bytes.size() < checksum_size || load_le<std::uint64_t>(bytes.data()) != xxh3_64(bytes.subspan(checksum_size))) {
    fail(Errc::damaged, std::string("the store's index: ") + what + " does not match its checksum");
  }
  return bytes.subspan(checksum_size);
}

void seal(std::vector<std::byte>& bytes) {
  store_le<std::uint64_t>(bytes.data(), xxh3_64(std::span(bytes).subspan(checksum_size)));
}

}  // namespace

std::vector<std::byte> encode_state(const StoreState& state) {
  std::vector<std::byte> out(checksum_size);
  cbor::Builder builder(out);
  builder.array(state_items);
  builder.natural(store_frozen::format);
  builder.natural(state.store);
  builder.text(state.codec);
  if (state.level) {
    const bool negative = *state.level < 0;
    const auto level = static_cast<std::uint64_t>(negative ? ~std::int64_t{*state.level} : std::int64_t{*state.level});
    builder.head(negative ? cbor::Major::negative : cbor::Major::natural, level);
  } else {
    builder.head(cbor::Major::simple, 22);
  }
  for (const std::uint64_t number :
       {state.shard_bytes, state.values, state.commits, state.table, std::uint64_t{state.next_shard}, state.next_rank,
        state.dictionary, state.next_order, state.transaction}) {
    builder.natural(number);
  }
  builder.array(state.orders.size() * 2);
  for (const StoreState::Order& order : state.orders) {
    builder.natural(order.number);
    builder.text(order.name);
  }
  seal(out);
  return out;
}

StoreState decode_state(Bytes bytes) {
  cbor::Cursor cursor(checked(bytes, "its state"));
  const std::uint64_t items = cursor.array();
  const std::uint64_t format = items > 0 ? cursor.natural() : 0;
  if (format != store_frozen::format || items != state_items) {
    fail(Errc::unsupported, "the store is of format " + std::to_string(format) + "; this version reads format " +
                                std::to_string(store_frozen::format));
  }
  StoreState state;
  state.store = cursor.natural();
  state.codec = cursor.text();
  const cbor::Head level = cursor.head();
  if (level.major == cbor::Major::natural) {
    state.level = static_cast<int>(level.value);
  } else if (level.major == cbor::Major::negative) {
    state.level = static_cast<int>(~static_cast<std::int64_t>(level.value));
  }
  state.shard_bytes = cursor.natural();
  state.values = cursor.natural();
  state.commits = cursor.natural();
  state.table = cursor.natural();
  state.next_shard = static_cast<std::uint32_t>(cursor.natural());
  state.next_rank = cursor.natural();
  state.dictionary = cursor.natural();
  state.next_order = cursor.natural();
  state.transaction = cursor.natural();
  for (std::uint64_t i = cursor.array() / 2; i > 0; --i) {
    const std::uint64_t number = cursor.natural();
    state.orders.push_back({number, std::string(cursor.text())});
  }
  return state;
}

std::vector<std::byte> encode_shard(const ShardEntry& shard) {
  std::vector<std::byte> out(checksum_size + shard_numbers * 8);
  std::byte* to = out.data() + checksum_size;
  for (const std::uint64_t number : {std::uint64_t{shard.number}, shard.rank, shard.length, shard.live_values,
                                     shard.live_bytes, shard.other_bytes, shard.mark}) {
    store_le<std::uint64_t>(to, number);
    to += 8;
  }
  seal(out);
  return out;
}

ShardEntry decode_shard(Bytes bytes) {
  const Bytes body = checked(bytes, "an entry of the table of shards");
  if (body.size() != shard_numbers * 8) {
    fail(Errc::damaged, "the store's index: an entry of the table of shards has another size");
  }
  const auto number = [&](std::size_t i) { return load_le<std::uint64_t>(body.data() + 8 * i); };
  return {static_cast<std::uint32_t>(number(0)), number(1), number(2), number(3), number(4), number(5), number(6)};
}

}  // namespace stele

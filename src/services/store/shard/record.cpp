#include "services/store/shard/record.hpp"

#include <algorithm>
#include <array>
#include <cassert>
#include <cstring>
#include <limits>

#include "base/bytes.hpp"
#include "base/checksum.hpp"
#include "format/cbor.hpp"
#include "format/cursor.hpp"

namespace stele {
namespace {

using cbor::Major;
using namespace store_frozen;

constexpr std::size_t check_size = 8;
constexpr std::size_t mark_payload = 3 * 8;  // checksum, number, id
constexpr std::size_t plain_size_bytes = 8;  // before the compressed bytes of a large value

std::uint64_t read_check(cbor::Cursor& cursor) {
  const cbor::Head head = cursor.head();
  if (head.major != Major::bytes || head.indefinite() || head.value != check_size) {
    cursor.bad("a record without a checksum");
  }
  return load_le<std::uint64_t>(cursor.take(check_size).data());
}

Bytes read_key(cbor::Cursor& cursor, Bytes bytes, std::uint64_t offset) {
  const auto at = static_cast<std::size_t>(cursor.position() - offset);
  const cbor::Head head = cursor.head();
  if (head.indefinite() || head.major > Major::text) {
    cursor.bad("a record with an invalid key");
  }
  if (head.major >= Major::bytes) {
    if (head.value > StoreKey::max_size) {
      cursor.bad("a record with a key of " + std::to_string(head.value) + " bytes");
    }
    cursor.take(head.value);
  }
  return bytes.subspan(at, static_cast<std::size_t>(cursor.position() - offset) - at);
}

/// Skips a value: a number, a string, or a tagged string. Records have no other values; finding the end of one would
/// need a full parse.
void skip_value(cbor::Cursor& cursor) {
  cbor::Head head = cursor.head();
  if (head.major == Major::tag && (head.value == tag_item || head.value == tag_archive)) {
    head = cursor.head();
    if (head.major != Major::bytes) {
      cursor.bad("a value of an unknown form");
    }
  }
  if (head.indefinite() || head.major == Major::array || head.major == Major::map || head.major == Major::tag) {
    cursor.bad("a value of an unknown form");
  }
  if (head.major == Major::bytes || head.major == Major::text) {
    cursor.take(head.value);
  }
}

/// Writes the checksum of the bytes after it at `at` in `out`.
void seal(std::vector<std::byte>& out, std::size_t at) {
  const std::uint64_t check = xxh3_64(std::span(out).subspan(at + check_size));
  store_le<std::uint64_t>(out.data() + at, check);
}

/// Writes the CBOR item of a key; returns the end.
std::byte* put_key(std::byte* to, const StoreKey& key) {
  if (key.kind() == StoreKey::Kind::integer) {
    return key.sortable()[0] == 1 ? cbor::put_head(to, Major::negative, ~static_cast<std::uint64_t>(key.integer()))
                                  : cbor::put_head(to, Major::natural, key.natural());
  }
  const Bytes bytes = key.bytes();
  to = cbor::put_head(to, key.kind() == StoreKey::Kind::text ? Major::text : Major::bytes, bytes.size());
  return std::ranges::copy(bytes, to).out;
}

/// Begins a record of a key; returns the place of its checksum.
std::size_t begin(std::vector<std::byte>& out, std::uint64_t items, const StoreKey& key) {
  assert(key.sortable().size() <= StoreKey::max_size + 1);
  std::array<std::byte, 3 * cbor::max_head + check_size + StoreKey::max_size> bytes;
  std::byte* const check = cbor::put_head(cbor::put_head(bytes.data(), Major::array, items), Major::bytes, check_size);
  store_le<std::uint64_t>(check, 0);
  const std::size_t at = out.size() + static_cast<std::size_t>(check - bytes.data());
  out.insert(out.end(), bytes.data(), put_key(check + check_size, key));
  return at;
}

}  // namespace

Record parse_record(Bytes bytes, std::uint64_t offset) {
  cbor::Cursor cursor(bytes, offset);
  const auto here = [&] { return static_cast<std::size_t>(cursor.position() - offset); };
  Record record;
  record.items = cursor.array();
  std::size_t checked_to = 0;
  switch (record.items) {
    case record_commit: {
      const cbor::Head head = cursor.head();
      if (head.major != Major::bytes || head.value != mark_payload || head.indefinite()) {
        cursor.bad("a commit mark of an unknown form");
      }
      const Bytes all = cursor.take(head.value);
      record.check = load_le<std::uint64_t>(all.data());
      record.commit = load_le<std::uint64_t>(all.data() + check_size);
      record.checked = all.subspan(check_size);
      record.length = here();
      return record;
    }
    case record_erased:
    case record_plain:
    case record_packed:
    case record_large:
      break;
    default:
      cursor.bad("no record");
  }
  record.check = read_check(cursor);
  const std::size_t checked_from = here();
  record.key = read_key(cursor, bytes, offset);
  if (record.items == record_plain) {
    const std::size_t at = here();
    skip_value(cursor);
    record.value = bytes.subspan(at, here() - at);
    if (record.value.size() > large_value + 2 * cbor::max_head) {
      cursor.bad("a large value without its own checksum");
    }
  } else if (record.items == record_packed) {
    record.dictionary = cursor.natural();
    if (cursor.array() != 2) {
      cursor.bad("a compressed value of an unknown form");
    }
    record.plain_size = cursor.natural();
    const cbor::Head head = cursor.head();
    if (head.major != Major::bytes || head.indefinite()) {
      cursor.bad("a compressed value that is not a byte string");
    }
    record.value = cursor.take(head.value);
    if (record.value.size() > large_value) {
      cursor.bad("a large value without its own checksum");
    }
  } else if (record.items == record_large) {
    record.value_check = read_check(cursor);
    const std::uint64_t compressed = cursor.natural();
    const std::size_t at = here();
    cbor::Head head = cursor.head();
    if (head.major == Major::tag && head.value == tag_archive) {
      head = cursor.head();
    }
    if ((head.major != Major::bytes && head.major != Major::text) || head.indefinite()) {
      cursor.bad("a large value of an unknown form");
    }
    checked_to = here();
    cursor.take(head.value);
    record.value = bytes.subspan(at, here() - at);
    if (compressed > 0) {
      record.dictionary = compressed - 1;
      const Bytes packed = bytes.subspan(checked_to, static_cast<std::size_t>(head.value));
      if (packed.size() < plain_size_bytes) {
        cursor.bad("a compressed value without its size");
      }
      record.plain_size = load_le<std::uint64_t>(packed.data());
    }
  }
  record.length = here();
  checked_to = checked_to == 0 ? here() : checked_to;
  record.checked = bytes.subspan(checked_from, checked_to - checked_from);
  return record;
}

bool Record::is_key(const StoreKey& wanted) const noexcept {
  // Compares without decoding: the bytes after the head, and the head's kind.
  const std::string_view sortable = wanted.sortable();
  const auto major = static_cast<Major>(static_cast<unsigned>(key[0]) >> 5);
  if (wanted.kind() == StoreKey::Kind::integer) {
    const auto info = static_cast<std::uint8_t>(static_cast<unsigned>(key[0]) & 31);
    const std::uint64_t argument = cbor::argument(key.data(), key.size(), info);
    const auto number = load_be<std::uint64_t>(reinterpret_cast<const std::byte*>(sortable.data()) + 1);
    return sortable[0] == 1 ? major == Major::negative && ~argument == number
                            : major == Major::natural && argument == number;
  }
  const std::size_t size = sortable.size() - 1;
  return major == (wanted.kind() == StoreKey::Kind::text ? Major::text : Major::bytes) && key.size() > size &&
         std::memcmp(key.data() + key.size() - size, sortable.data() + 1, size) == 0 &&
         key.size() == size + cbor::head_bytes(static_cast<std::uint8_t>(static_cast<unsigned>(key[0]) & 31));
}

StoreKey Record::decode_key() const {
  cbor::Cursor cursor(key);
  const cbor::Head head = cursor.head();
  switch (head.major) {
    case Major::natural:
      return StoreKey(head.value);
    case Major::negative:
      if (head.value > ~(std::uint64_t{1} << 63)) {
        fail(Errc::damaged, "a record whose key is below the integers of 64 bits");
      }
      return StoreKey(static_cast<std::int64_t>(~head.value));
    case Major::text: {
      const Bytes bytes = cursor.take(head.value);
      return StoreKey(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
    }
    default:
      return StoreKey(cursor.take(head.value));
  }
}

Bytes Record::payload() const {
  if (items == record_packed) {
    return value;
  }
  cbor::Cursor cursor(value);
  cbor::Head head = cursor.head();
  if (head.major == Major::tag) {
    head = cursor.head();
  }
  if (head.major != Major::bytes && head.major != Major::text) {
    return {};
  }
  const Bytes bytes = cursor.take(head.value);
  return items == record_large && dictionary ? bytes.subspan(plain_size_bytes) : bytes;
}

bool Record::is_whole() const noexcept { return items != record_commit && xxh3_64(checked) == check; }

namespace {

std::uint64_t mark_check(Bytes number_and_id, const MarkPlace& place) noexcept {
  std::array<std::byte, 5 * 8> all;
  std::memcpy(all.data(), number_and_id.data(), 2 * 8);
  store_le<std::uint64_t>(all.data() + 16, place.store);
  store_le<std::uint64_t>(all.data() + 24, place.shard);
  store_le<std::uint64_t>(all.data() + 32, place.offset);
  return xxh3_64(all);
}

}  // namespace

bool is_mark(const Record& record, const MarkPlace& place) noexcept {
  return record.items == record_commit && mark_check(record.checked, place) == record.check;
}

bool Record::value_is_whole() const noexcept {
  if (!value_check) {
    return true;
  }
  // the payload ends the record; the head before it ends the bytes of the record's own checksum
  const std::byte* const from = checked.data() + checked.size();
  const std::byte* const to = value.data() + value.size();
  return xxh3_64({from, static_cast<std::size_t>(to - from)}) == *value_check;
}

std::uint64_t put_commit(std::vector<std::byte>& out, std::uint64_t number, std::uint64_t id, const MarkPlace& place) {
  cbor::Builder builder(out);
  builder.array(record_commit);
  builder.head(Major::bytes, mark_payload);
  const std::size_t at = out.size();
  out.resize(at + mark_payload);
  store_le<std::uint64_t>(out.data() + at + check_size, number);
  store_le<std::uint64_t>(out.data() + at + check_size + 8, id);
  const std::uint64_t check = mark_check(std::span(out).subspan(at + check_size), place);
  store_le<std::uint64_t>(out.data() + at, check);
  return check;
}

void put_erased(std::vector<std::byte>& out, const StoreKey& key) {
  const std::size_t at = begin(out, record_erased, key);
  seal(out, at);
}

void put_plain(std::vector<std::byte>& out, const StoreKey& key, Bytes head, Bytes payload) {
  const std::size_t at = begin(out, record_plain, key);
  cbor::Builder builder(out);
  builder.raw(head);
  builder.raw(payload);
  seal(out, at);
}

void put_packed(std::vector<std::byte>& out, const StoreKey& key, std::uint64_t dictionary, std::uint64_t plain_size,
                Bytes compressed) {
  const std::size_t at = begin(out, record_packed, key);
  cbor::Builder builder(out);
  builder.natural(dictionary);
  builder.array(2);
  builder.natural(plain_size);
  builder.head(Major::bytes, compressed.size());
  builder.raw(compressed);
  seal(out, at);
}

void put_large_head(std::vector<std::byte>& out, const StoreKey& key, const LargeHead& head) {
  const std::size_t at = begin(out, record_large, key);
  cbor::Builder builder(out);
  builder.head(Major::bytes, check_size);
  out.resize(out.size() + check_size);
  store_le<std::uint64_t>(out.data() + out.size() - check_size, head.value_check);
  builder.natural(head.dictionary ? *head.dictionary + 1 : 0);
  if (head.form == LargeHead::Form::archive) {
    builder.tag(tag_archive);
  }
  builder.wide(head.form == LargeHead::Form::text ? Major::text : Major::bytes, head.size);
  seal(out, at);
}

// The header is a byte string that fills the space up to the first record:
//
//   check  u64  XXH3-64 of the rest of the header
//   format u64, store u64, number u64, rank u64, bytes of a shard u64, level i64 (the lowest value: none),
//   size of the codec's name u8, the name, zeros
namespace {
constexpr std::size_t numbers_size = 6 * 8;
constexpr std::int64_t no_level = std::numeric_limits<std::int64_t>::min();
constexpr std::size_t header_size = header_bytes - label.size() - 2;  // the byte string's head takes 2 bytes
constexpr std::size_t most_codec = header_size - check_size - numbers_size - 1;
}  // namespace

std::vector<std::byte> encode_header(const ShardHeader& header) {
  std::vector<std::byte> out;
  for (const std::uint8_t byte : label) {
    out.push_back(static_cast<std::byte>(byte));
  }
  cbor::Builder(out).head(Major::bytes, header_size);
  const std::size_t at = out.size();
  out.resize(header_bytes);
  std::byte* to = out.data() + at + check_size;
  const std::int64_t level = header.level ? *header.level : no_level;
  for (const std::uint64_t value : {format, header.store, std::uint64_t{header.number}, header.rank, header.shard_bytes,
                                    static_cast<std::uint64_t>(level)}) {
    store_le<std::uint64_t>(to, value);
    to += 8;
  }
  const std::size_t size = std::min(header.codec.size(), most_codec);
  *to = static_cast<std::byte>(size);
  std::memcpy(to + 1, header.codec.data(), size);
  seal(out, at);
  return out;
}

ShardHeader decode_header(Bytes bytes) {
  if (bytes.size() < header_bytes || std::memcmp(bytes.data(), label.data(), label.size()) != 0) {
    fail(Errc::not_an_archive, "the file is not a shard of a store", {{}, 0});
  }
  const Bytes body = bytes.subspan(header_bytes - header_size, header_size);
  if (load_le<std::uint64_t>(body.data()) != xxh3_64(body.subspan(check_size))) {
    fail(Errc::damaged, "the checksum of the shard's header does not match", {{}, label.size()});
  }
  const std::byte* from = body.data() + check_size;
  if (load_le<std::uint64_t>(from) != format) {
    fail(Errc::unsupported, "the shard is of format " + std::to_string(load_le<std::uint64_t>(from)) +
                                "; this version reads format " + std::to_string(format));
  }
  ShardHeader header;
  header.store = load_le<std::uint64_t>(from + 8);
  header.number = load_le<std::uint32_t>(from + 16);
  header.rank = load_le<std::uint64_t>(from + 24);
  header.shard_bytes = load_le<std::uint64_t>(from + 32);
  const auto level = load_le<std::int64_t>(from + 40);
  if (level != no_level) {
    header.level = static_cast<int>(level);
  }
  const auto size = std::to_integer<std::size_t>(from[numbers_size]);
  if (size > most_codec) {
    fail(Errc::damaged, "the shard's header names a codec that is too long", {{}, label.size()});
  }
  header.codec.assign(reinterpret_cast<const char*>(from + numbers_size + 1), size);
  return header;
}

}  // namespace stele

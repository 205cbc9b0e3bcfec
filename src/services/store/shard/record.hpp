#pragma once
// Records: what a shard is made of (docs/store.md). A record is a CBOR array that begins with a check, the XXH3-64 of
// what follows in it; of a large value there is a check of its own, so that the beginning can be trusted without it.

#include <cstdint>
#include <optional>
#include <vector>

#include "services/store/frozen.hpp"
#include "stele/io.hpp"
#include "stele/store/key.hpp"
#include "stele/store/value.hpp"

namespace stele {

/// Where a record lies.
struct Position {
  std::uint32_t shard = 0;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  friend bool operator==(const Position&, const Position&) = default;
};

/// A record found in bytes; its parts point into them.
struct Record {
  std::uint64_t items = 0;   // which kind: store_frozen::record_…
  std::uint64_t length = 0;  // of the whole record
  std::uint64_t check = 0;
  Bytes checked;                             // what the check is of
  Bytes key;                                 // a CBOR item
  Bytes value;                               // a CBOR item; packed ones: the compressed bytes
  std::optional<std::uint64_t> value_check;  // of a large value's payload
  std::optional<std::uint64_t> dictionary;   // of a compressed value; 0: none
  std::uint64_t plain_size = 0;              // packed ones: of the value item
  std::uint64_t commit = 0;                  // marks of commits: the number

  bool holds_value() const noexcept { return items >= store_frozen::record_plain; }
  bool is_key(const StoreKey& wanted) const noexcept;
  StoreKey decode_key() const;
  /// What a text or byte string holds, with or without a tag; nothing of a number.
  Bytes payload() const;
  bool is_whole() const noexcept;        // the check agrees; not of marks, see is_mark()
  bool value_is_whole() const noexcept;  // and that of a large value, which is read
};

/// The record at the start of `bytes`. Looks at forms and lengths only. Throws: Error(malformed), Error(truncated),
/// with offsets from `offset` on.
Record parse_record(Bytes bytes, std::uint64_t offset);

/// Where a mark of a commit stands: what its check is of besides, so that the copy of one elsewhere is none.
struct MarkPlace {
  std::uint64_t store = 0;
  std::uint32_t shard = 0;
  std::uint64_t offset = 0;
};
/// Whether a record is the mark of a commit, and whole.
bool is_mark(const Record& record, const MarkPlace& place) noexcept;
/// What a mark takes.
inline constexpr std::size_t mark_bytes = 27;

// Each appends a record.
/// `id`: a number by which commits of copies of a store that have parted are told apart. Returns the mark's check.
std::uint64_t put_commit(std::vector<std::byte>& out, std::uint64_t number, std::uint64_t id, const MarkPlace& place);
void put_erased(std::vector<std::byte>& out, const StoreKey& key);
/// `head` and `payload` together are the value's CBOR item.
void put_plain(std::vector<std::byte>& out, const StoreKey& key, Bytes head, Bytes payload);
void put_packed(std::vector<std::byte>& out, const StoreKey& key, std::uint64_t dictionary, std::uint64_t plain_size,
                Bytes compressed);

/// The beginning of a large record, whose length does not depend on its numbers, so that it can be written before them.
/// `archive`: the value is tag 63 of a byte string; else a string of `major`.
struct LargeHead {
  enum class Form : std::uint8_t { bytes, text, archive };
  Form form = Form::bytes;
  std::uint64_t size = 0;         // of the payload
  std::uint64_t value_check = 0;  // XXH3-64 of the payload
  std::optional<std::uint64_t> dictionary = std::nullopt;
};
void put_large_head(std::vector<std::byte>& out, const StoreKey& key, const LargeHead& head);

/// The first bytes of a shard: label and header.
struct ShardHeader {
  std::uint64_t store = 0;  // a number drawn when the store was made
  std::uint32_t number = 0;
  std::uint64_t rank = 0;  // what shards are sorted by
  std::uint64_t shard_bytes = 0;
  std::string codec;
  std::optional<int> level = std::nullopt;
};
std::vector<std::byte> encode_header(const ShardHeader& header);
/// Throws: Error(not_an_archive), Error(damaged), Error(unsupported) for a newer format.
ShardHeader decode_header(Bytes bytes);

}  // namespace stele

#pragma once
// Records, of which shards consist (docs/store.md). A record is a CBOR array that begins with a checksum, the XXH3-64
// of the rest. The payload of a large value has its own checksum, so that the beginning can be verified without reading
// it.

#include <cstdint>
#include <optional>
#include <vector>

#include "services/store/frozen.hpp"
#include "stele/io.hpp"
#include "stele/store/key.hpp"
#include "stele/store/value.hpp"

namespace stele {

/// The position of a record.
struct Position {
  std::uint32_t shard = 0;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  friend bool operator==(const Position&, const Position&) = default;
};

/// A parsed record. Its parts point into the parsed bytes.
struct Record {
  std::uint64_t items = 0;   // the kind: store_frozen::record_…
  std::uint64_t length = 0;  // of the whole record
  std::uint64_t check = 0;
  Bytes checked;                             // the bytes that the checksum covers
  Bytes key;                                 // a CBOR item
  Bytes value;                               // a CBOR item; in a packed record the compressed bytes
  std::optional<std::uint64_t> value_check;  // checksum of a large value's payload
  std::optional<std::uint64_t> dictionary;   // of a compressed value; 0: none
  std::uint64_t plain_size = 0;              // packed records: size of the value item
  std::uint64_t commit = 0;                  // commit marks: the number

  bool holds_value() const noexcept { return items >= store_frozen::record_plain; }
  bool is_key(const StoreKey& wanted) const noexcept;
  StoreKey decode_key() const;
  /// The contents of a text or byte string, with or without a tag; empty for a number.
  Bytes payload() const;
  bool is_whole() const noexcept;        // the checksum matches; for marks see is_mark()
  bool value_is_whole() const noexcept;  // and that of a large value, whose payload it reads
};

/// Parses the record at the start of `bytes`. Checks only form and lengths.
/// Throws: Error(malformed), Error(truncated); their offsets count from `offset`.
Record parse_record(Bytes bytes, std::uint64_t offset);

/// The place of a commit mark. The mark's checksum covers it, so that a copy elsewhere is not valid.
struct MarkPlace {
  std::uint64_t store = 0;
  std::uint32_t shard = 0;
  std::uint64_t offset = 0;
};
/// Whether a record is a valid commit mark.
bool is_mark(const Record& record, const MarkPlace& place) noexcept;
/// The size of a mark.
inline constexpr std::size_t mark_bytes = 27;

// These functions append a record. put_commit: `id` tells apart the commits of store copies that have diverged. Returns
// the mark's checksum.
std::uint64_t put_commit(std::vector<std::byte>& out, std::uint64_t number, std::uint64_t id, const MarkPlace& place);
void put_erased(std::vector<std::byte>& out, const StoreKey& key);
/// `head` and `payload` together are the CBOR item of the value.
void put_plain(std::vector<std::byte>& out, const StoreKey& key, Bytes head, Bytes payload);
void put_packed(std::vector<std::byte>& out, const StoreKey& key, std::uint64_t dictionary, std::uint64_t plain_size,
                Bytes compressed);

/// The beginning of a large record. Its length does not depend on its numbers, so it can be written before they are
/// known. `archive`: the value is tag 63 of a byte string; otherwise a string of major type `major`.
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
  std::uint64_t store = 0;  // a random number drawn when the store was created
  std::uint32_t number = 0;
  std::uint64_t rank = 0;  // sorts the shards
  std::uint64_t shard_bytes = 0;
  std::string codec;
  std::optional<int> level = std::nullopt;
};
std::vector<std::byte> encode_header(const ShardHeader& header);
/// Throws: Error(not_an_archive), Error(damaged), Error(unsupported) for a newer format.
ShardHeader decode_header(Bytes bytes);

}  // namespace stele

#pragma once
// Item 3 of an archive, the directory, and item 4, the trailer (docs/format.md).

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "format/frozen.hpp"
#include "stele/array.hpp"
#include "stele/io.hpp"
#include "stele/metadata.hpp"

namespace stele {

/// An array of 4 KiB or more.
struct ArrayEntry {
  std::string path;
  DType dtype;
  Shape shape;
  Order order = Order::row_major;
  std::uint64_t offset = 0;    // of the first element, from the start of the archive
  std::uint64_t length = 0;    // stored bytes
  std::uint64_t checksum = 0;  // XXH3-64 of the elements
  std::string encoding = {};   // its name; empty where the elements are stored as they are
  std::uint64_t header = 0;    // where the array's first tag stands, if it is encoded

  bool is_raw() const noexcept { return encoding.empty(); }
};

/// Another value larger than 64 KiB.
struct NodeEntry {
  std::string path;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
};

/// Places to start from in a long sequence, or in a map whose text keys ascend.
struct StepEntry {
  struct Step {
    std::uint64_t index = 0;   // of the item, or of the map's entry
    std::uint64_t offset = 0;  // of the item, or of the entry's key
    std::string key;           // maps only
  };
  std::string path;
  bool keyed = false;
  std::vector<Step> steps;
};

/// A definition of record fields (tag 105) and where it stands.
struct RecordEntry {
  std::uint64_t offset = 0;
  std::uint64_t id = 0;
  std::vector<std::string> names;
};

/// A shared value (tag 28): which one, and where its tag stands. About one in 64 KiB is listed.
struct SharedEntry {
  std::uint64_t index = 0;
  std::uint64_t offset = 0;
};

/// A deferred value and where it stands. About one in 64 KiB is listed.
using DeferredEntry = SharedEntry;

/// A run of bytes outside the listed arrays, from the end of the one before, with its XXH3-64.
struct SegmentEntry {
  std::uint64_t end = 0;
  std::uint64_t checksum = 0;
};

struct Directory {
  std::uint64_t format = 0;
  std::string writer;
  std::vector<ArrayEntry> arrays;  // in the order of their offsets
  std::vector<NodeEntry> nodes;
  std::vector<StepEntry> steps;
  std::vector<RecordEntry> records;
  std::vector<SharedEntry> shared;
  std::vector<DeferredEntry> deferred;
  std::vector<SegmentEntry> segments;
  Metadata metadata;
};

/// The directory as one CBOR item.
std::vector<std::byte> encode_directory(const Directory& directory);
/// The reverse; unknown keys are skipped. Checks that arrays ascend, do not overlap and end before `offset`, the place
/// of the directory itself. Throws: Error(malformed), Error(unsupported) for a newer format.
Directory decode_directory(Bytes item, std::uint64_t offset);
/// Writes a new checksum into the encoded directory for its array of index `array`.
void patch_checksum(std::span<std::byte> item, std::size_t array, std::uint64_t checksum);

struct Trailer {
  std::uint64_t directory_offset = 0;
  std::uint64_t directory_length = 0;
  std::uint64_t total_length = 0;
  std::uint64_t directory_checksum = 0;
  std::uint64_t structure_checksum = 0;  // XXH3-64 of everything outside the listed arrays, before the trailer
};

/// The trailer as a byte string item of trailer_bytes.
std::array<std::byte, frozen::trailer_bytes> encode_trailer(const Trailer& trailer) noexcept;
/// The reverse, with the relations between its numbers checked. `position` is where the item stands, counted from the
/// archive's start, if that is known. Throws: Error(damaged), Error(truncated).
Trailer decode_trailer(std::span<const std::byte, frozen::trailer_bytes> item, std::uint64_t position);

}  // namespace stele

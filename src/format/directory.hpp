#pragma once
// Item 3 of an archive, the directory, and item 4, the trailer (docs/format.md).

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "format/array/checksum.hpp"
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
  std::uint64_t checksum = 0;  // as ArrayChecksum::whole; of all elements where piece_checksums is empty
  std::vector<std::uint64_t> piece_checksums = {};  // as ArrayChecksum::pieces; files of older versions have none
  std::string encoding = {};                        // empty if the elements are not encoded
  std::uint64_t header = 0;                         // offset of the array's first tag, if it is encoded

  bool is_raw() const noexcept { return encoding.empty(); }
  void set_checksum(ArrayChecksum found) noexcept {
    checksum = found.whole;
    piece_checksums = std::move(found.pieces);
  }
  /// The bytes of the elements, which are stored in `length` bytes; 0 where the shape has more than 64 bits can tell.
  std::uint64_t element_bytes() const noexcept;
  /// Throws: Error(damaged) that names the elements from byte `first` to byte `last`, or as many as there are.
  [[noreturn]] void fail_damaged(std::uint64_t first, std::uint64_t last, const std::string& file) const;
  /// Compares what was found in the file. `in_one`: XXH3-64 of all elements, for an entry without checksums of pieces.
  /// Throws: Error(damaged).
  void check(const ArrayChecksum& found, std::uint64_t in_one, const std::string& file) const;
};

/// An array that was written while it grew, in pieces: chunks of a byte string of indefinite length.
struct PiecesEntry {
  std::string path;
  std::uint64_t header = 0;          // offset of the array's first tag
  std::uint64_t begin = 0;           // offset of the first chunk's head
  std::vector<std::uint64_t> sizes;  // bytes of each chunk; none is 0

  /// The offset after the last chunk.
  std::uint64_t end() const noexcept;
};

/// Another value of more than 64 KiB.
struct NodeEntry {
  std::string path;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
};

/// Starting points in a long sequence, or in a map with ascending text keys.
struct StepEntry {
  struct Step {
    std::uint64_t index = 0;   // index of the item, or of the map's entry
    std::uint64_t offset = 0;  // offset of the item, or of the entry's key
    std::string key;           // maps only
  };
  std::string path;
  bool keyed = false;
  std::vector<Step> steps;
};

/// A definition of record fields (tag 105) and its offset.
struct RecordEntry {
  std::uint64_t offset = 0;
  std::uint64_t id = 0;
  std::vector<std::string> names;
};

/// The index of a shared value (tag 28) and the offset of its tag. About one per 64 KiB is listed.
struct SharedEntry {
  std::uint64_t index = 0;
  std::uint64_t offset = 0;
};

/// The index and offset of a deferred value. About one per 64 KiB is listed.
using DeferredEntry = SharedEntry;

/// A range of bytes outside the listed arrays, which begins at the end of the previous one, with its XXH3-64.
struct SegmentEntry {
  std::uint64_t end = 0;
  std::uint64_t checksum = 0;
};

/// The place of an archive in a file that grows by commits.
struct AppendedEntry {
  std::uint64_t entry = 0;   // the archive's number in the file, from 0
  std::uint64_t commit = 0;  // offset in the file at which its commit begins
};

struct Directory {
  std::uint64_t format = 0;
  std::string writer;
  std::vector<ArrayEntry> arrays;   // ordered by offset
  std::vector<PiecesEntry> pieces;  // ordered by offset
  std::vector<NodeEntry> nodes;
  std::vector<StepEntry> steps;
  std::vector<RecordEntry> records;
  std::vector<SharedEntry> shared;
  std::vector<DeferredEntry> deferred;
  std::vector<SegmentEntry> segments;
  std::optional<AppendedEntry> appended;
  Metadata metadata;
};

/// Encodes the directory as one CBOR item.
std::vector<std::byte> encode_directory(const Directory& directory);
/// Decodes a directory; skips unknown keys. Checks that arrays ascend, do not overlap and end before `offset`, the
/// offset of the directory itself.
/// Throws: Error(malformed), Error(unsupported) for a newer format.
Directory decode_directory(Bytes item, std::uint64_t offset);
/// Overwrites the checksums of array number `array` in an encoded directory.
void patch_checksum(std::span<std::byte> item, std::size_t array, const ArrayEntry& entry);

struct Trailer {
  std::uint64_t directory_offset = 0;
  std::uint64_t directory_length = 0;
  std::uint64_t total_length = 0;
  std::uint64_t directory_checksum = 0;
  std::uint64_t structure_checksum = 0;  // XXH3-64 of everything before the trailer except the listed arrays
};

/// Encodes the trailer as a byte string item of trailer_bytes.
std::array<std::byte, frozen::trailer_bytes> encode_trailer(const Trailer& trailer,
                                                            std::string_view magic = frozen::end_magic) noexcept;
/// Decodes a trailer and checks that its numbers are consistent. `position` is the offset of the item in the archive,
/// if known.
/// Throws: Error(damaged), Error(truncated).
Trailer decode_trailer(std::span<const std::byte, frozen::trailer_bytes> item, std::uint64_t position,
                       std::string_view magic = frozen::end_magic);

}  // namespace stele

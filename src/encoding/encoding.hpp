#pragma once
// Encodings: turn the elements of one array into bytes that compress better, and back. docs/format.md defines every
// stage. This header chooses an encoding and encodes and decodes blocks.
//
// An encoding has up to three stages, in this order: `narrow` or `palette`, which make elements smaller; `delta`;
// `shuffle` or `bitshuffle`, which group bytes or bits of equal weight. `bits`, for bools, is the only stage. Blocks of
// a fixed number of elements are encoded independently, so that several threads can work on one array and a part can be
// decoded alone.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/bits.hpp"
#include "stele/io.hpp"

namespace stele {

class Palette;

/// The meaning of an element's bits.
enum class ElementClass : std::uint8_t {
  natural,  // unsigned integer
  integer,  // signed integer in two's complement
  real,     // floating point of any format; a complex number is two of them
  boolean,  // a byte 0 or 1
  other,    // anything else: text, records
};

/// How an array is encoded. Elements and stored bytes are little-endian. Copies are cheap.
struct Encoding {
  enum class First : std::uint8_t { none, narrow, palette, bits };
  enum class Last : std::uint8_t { none, shuffle, bitshuffle };

  First first = First::none;
  bool delta = false;
  Last last = Last::none;
  std::uint32_t item_size = 1;               // of an element
  std::uint32_t stored_item_size = 1;        // after the first stage; item_size without one; unused for bits
  std::uint64_t block_items = 64;            // elements of a block, a multiple of 64
  std::uint64_t base = 0;                    // narrow: the smallest element, as its bits
  std::shared_ptr<const Palette> palette{};  // palette: the pattern of each index

  bool is_raw() const noexcept { return first == First::none && !delta && last == Last::none; }
  /// The name in options and in the directory: the stages joined by "+", or "raw".
  std::string name() const;
  /// The size of a decoded block in bytes; encoder and decoder hold one at a time.
  std::uint64_t block_size() const noexcept { return block_items * item_size; }
  std::uint64_t block_stored_size() const noexcept { return stored_size(block_items); }
  /// The stored size of `count` elements. Block i begins at i * block_stored_size().
  std::uint64_t stored_size(std::uint64_t count) const noexcept {
    return first == First::bits ? packed_size(count) : count * stored_item_size;
  }
  /// The patterns of the palette in ascending order, item_size bytes each; empty without a palette.
  Bytes table() const noexcept;
};

/// Larger elements are not encoded.
inline constexpr std::uint32_t most_encoded_item_size = 4096;
/// The maximum size of a decoded block in a file, in bytes; stele writes blocks of 256 KiB.
inline constexpr std::uint64_t most_encoded_block_size = std::uint64_t{4} << 20;

/// The description of an encoding in a file, unchecked.
struct StoredEncoding {
  std::string_view name;
  std::uint64_t block_items = 0;
  std::uint64_t stored_item_size = 0;  // narrow only
  std::uint64_t base = 0;              // narrow only
  Bytes table{};                       // palette only
};
/// The encoding that a file describes, for elements of `item_size` bytes.
/// Throws: Error(unsupported) for an unknown name and sizes beyond the limits above; Error(malformed) for parameters
/// that contradict each other or the elements.
Encoding checked_encoding(const StoredEncoding& stored, std::uint64_t item_size, ElementClass element_class);

/// The elements of an array in stored order; for complex numbers, their components.
struct Elements {
  std::uint64_t count = 0;
  std::uint32_t item_size = 1;
  ElementClass element_class = ElementClass::other;
  Bytes dense{};  // all of them, or empty if `gather` copies them
  std::function<void(std::uint64_t first, std::uint64_t count, std::byte* to)> gather{};
};

/// Stores bools as bits.
Encoding bits_encoding();

/// The encoding with this name: "none", or stages as in "delta+shuffle". Leaves out stages that cannot help these
/// elements: narrow unless integers fit fewer bytes, palette unless it makes the array smaller, delta of anything but
/// numbers, shuffle of single bytes. Reads the whole array for narrow and palette.
/// Throws: Error(invalid_argument) for an unknown name.
Encoding plan_encoding(const Elements& elements, std::string_view name);

/// The best encoding in a trial on samples. `compressed_size` compresses bytes as the array will be compressed and
/// returns the compressed size; it gets at most 192 KiB per call. Deterministic.
Encoding choose_encoding(const Elements& elements, const std::function<std::size_t(Bytes)>& compressed_size);

/// Working memory for encoding and decoding; each thread has its own.
class EncodingScratch {
 public:
  /// At least `size` bytes. Calls with the same `index`, 0 to 2, return the same buffer, unless it must grow.
  std::byte* buffer(std::size_t index, std::size_t size);

 private:
  std::vector<std::byte> buffers_[3];
};

/// Encodes a block of `count` elements into stored_size(count) bytes. `count` is block_items, except in an array's last
/// block. The encoding must have been planned for the array that has these elements.
void encode_block(const Encoding& encoding, const std::byte* elements, std::uint64_t count, std::byte* stored,
                  EncodingScratch& scratch);

/// Decodes what encode_block() produced. Other bytes give some elements or an error.
/// Throws: Error(damaged) for an index outside the palette and for a bit after the last element.
void decode_block(const Encoding& encoding, const std::byte* stored, std::uint64_t count, std::byte* elements,
                  EncodingScratch& scratch);

/// Where a part of a block is stored: stretches of `size` bytes, `distance` bytes apart, the first one at `offset` of
/// the block. One after another they are what decode_block() decodes to `count` elements from element `first` of the
/// block on.
struct StoredPart {
  std::uint64_t first = 0;
  std::uint64_t count = 0;
  std::uint64_t offset = 0;
  std::uint64_t stretches = 1;
  std::uint64_t size = 0;
  std::uint64_t distance = 0;
};
/// The least part of a block of `block_count` elements that has `count` elements from `first` on. With delta it begins
/// with the block.
StoredPart stored_part(const Encoding& encoding, std::uint64_t block_count, std::uint64_t first,
                       std::uint64_t count) noexcept;

}  // namespace stele

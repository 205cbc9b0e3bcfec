#pragma once
// Encodings: how the elements of one array are turned into bytes that compress better, and back. docs/format.md defines
// every stage; here is the choice of one and the work on blocks.
//
// An encoding has up to three stages, in this order: `narrow` or `palette`, which make elements smaller; `delta`;
// `shuffle` or `bitshuffle`, which bring bytes or bits of equal weight together. `bits`, for bools, stands alone. It
// works on blocks of a fixed number of elements, each by itself, so that several threads can work on one array and a
// part can be decoded alone.

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

/// What the bits of an element mean.
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
  std::uint32_t stored_item_size = 1;        // behind the first stage; item_size without one; not of bits
  std::uint64_t block_items = 64;            // elements of a block, a multiple of 64
  std::uint64_t base = 0;                    // narrow: the least element, as its bits
  std::shared_ptr<const Palette> palette{};  // palette: what the indices stand for

  bool is_raw() const noexcept { return first == First::none && !delta && last == Last::none; }
  /// As in options and in the directory: the stages joined by "+", or "raw".
  std::string name() const;
  /// Bytes of a whole block: what an encoder and a decoder hold at once.
  std::uint64_t block_size() const noexcept { return block_items * item_size; }
  std::uint64_t block_stored_size() const noexcept { return stored_size(block_items); }
  /// Bytes that `count` elements take, of which those of block i begin at i * block_stored_size().
  std::uint64_t stored_size(std::uint64_t count) const noexcept {
    return first == First::bits ? packed_size(count) : count * stored_item_size;
  }
  /// The patterns of the palette in ascending order, item_size bytes each; empty without one.
  Bytes table() const noexcept;
};

/// Item sizes beyond this are not encoded.
inline constexpr std::uint32_t most_encoded_item_size = 4096;
/// Bytes of elements that a block of a file may have at most; stele's own have 256 KiB.
inline constexpr std::uint64_t most_encoded_block_size = std::uint64_t{4} << 20;

/// What a file says of an encoding, unchecked.
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

/// The elements of an array, in stored order. Of complex numbers these are the components.
struct Elements {
  std::uint64_t count = 0;
  std::uint32_t item_size = 1;
  ElementClass element_class = ElementClass::other;
  Bytes dense{};  // all of them, or empty where `gather` copies them
  std::function<void(std::uint64_t first, std::uint64_t count, std::byte* to)> gather{};
};

/// Bools as bits.
Encoding bits_encoding();

/// The encoding of a name: "none", or stages as in "delta+shuffle". Stages that cannot help these elements are left
/// out: narrow unless integers fit fewer bytes, palette unless it makes the array smaller, delta of anything but
/// numbers, shuffle of single bytes. Reads the whole array for narrow and palette. Throws: Error(invalid_argument) for
/// an unknown name.
Encoding plan_encoding(const Elements& elements, std::string_view name);

/// The encoding that a trial on samples finds best. `compressed_size` compresses bytes as the array will be and says
/// how many remain; it is given at most 192 KiB at once. Deterministic.
Encoding choose_encoding(const Elements& elements, const std::function<std::size_t(Bytes)>& compressed_size);

/// Memory that encoding and decoding take; each thread has its own.
class EncodingScratch {
 public:
  /// At least `size` bytes, the same for each call with the same `index`, 0 to 2, unless it has to grow.
  std::byte* buffer(std::size_t index, std::size_t size);

 private:
  std::vector<std::byte> buffers_[3];
};

/// Encodes a block of `count` elements, block_items but for an array's last one, into stored_size(count) bytes. The
/// encoding was planned for an array that has these elements.
void encode_block(const Encoding& encoding, const std::byte* elements, std::uint64_t count, std::byte* stored,
                  EncodingScratch& scratch);

/// Decodes what encode_block() made. Any stored bytes give some elements.
/// Throws: Error(damaged) for an index beyond the palette and for a bit behind the last element.
void decode_block(const Encoding& encoding, const std::byte* stored, std::uint64_t count, std::byte* elements,
                  EncodingScratch& scratch);

}  // namespace stele

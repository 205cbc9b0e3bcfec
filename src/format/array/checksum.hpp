#pragma once
// The checksums of an array: of all its elements, and of pieces of them, so that a part is checked without the rest
// (docs/format.md, section "Checksums of arrays").

#include <cstdint>
#include <utility>
#include <vector>

#include "base/checksum.hpp"
#include "format/frozen.hpp"
#include "stele/io.hpp"

namespace stele {

struct ArrayChecksum {
  /// XXH3-64 of the elements. Where there are pieces: of their checksums, 8 bytes each, little-endian.
  std::uint64_t whole = 0;
  /// XXH3-64 of every frozen::checked_piece_bytes of the elements; none up to that size.
  std::vector<std::uint64_t> pieces = {};
};

/// What `whole` is for these pieces.
std::uint64_t checksum_of(const std::vector<std::uint64_t>& pieces) noexcept;
ArrayChecksum array_checksum(Bytes elements);

/// The checksum of elements whose bytes arrive one after another.
class ArrayHash {
 public:
  /// `in_one`: also hash all bytes in one, for files that have no checksums of pieces.
  void reset(bool in_one = false);
  void update(Bytes bytes);
  /// After reset(): the checksums of the first pieces, where they are known. At least one byte must follow.
  void begin_with(std::vector<std::uint64_t> pieces) { pieces_ = std::move(pieces); }
  /// Ends the array.
  ArrayChecksum digest();
  bool in_one_wanted() const noexcept { return in_one_; }
  /// XXH3-64 of all bytes, after digest(). Only after reset(true).
  std::uint64_t in_one() const noexcept { return in_one_digest_; }

 private:
  void end_piece();

  Xxh3 piece_;
  Xxh3 all_;
  bool in_one_ = false;
  std::uint64_t used_ = 0;  // bytes of the piece
  std::vector<std::uint64_t> pieces_;
  std::uint64_t in_one_digest_ = 0;
};

}  // namespace stele

#pragma once
// Arrays of integers in state texts: clamped, made small by what all have in common, and laid out in planes of bytes or
// in bits.

#include <cstdint>
#include <optional>
#include <vector>

#include "stele/visitor.hpp"

namespace stele::state_text {

/// Bounds that larger and smaller integers are set to.
struct Bounds {
  std::optional<std::int64_t> lowest = std::nullopt;
  std::optional<std::int64_t> highest = std::nullopt;
  bool any() const noexcept { return lowest.has_value() || highest.has_value(); }
};

bool is_integer(const DType& dtype) noexcept;
bool is_signed(const DType& dtype) noexcept;

/// How an array is stored. Element i is base + offset i modulo 2^64; where differences are stored, it is `first` for
/// the first element, and for each other that sum is what it adds to the one before it.
struct IntegerForm {
  std::uint64_t count = 0;
  bool natural = false;      // the elements are unsigned, else signed
  bool differences = false;  // there are count - 1 offsets
  std::uint64_t first = 0;
  std::uint64_t base = 0;
  unsigned bits = 0;  // of the largest offset, 0 to 64

  std::uint64_t offsets() const noexcept { return differences && count > 0 ? count - 1 : count; }
  unsigned planes() const noexcept { return (bits + 7) / 8; }
};

/// Splits an array of one dimension. `planes` gets the lowest bytes of all offsets, then the next higher ones …
/// Throws: Error(invalid_argument) where a bound is none of the type's values.
IntegerForm split_integers(const ArrayView& values, const Bounds& bounds, std::vector<std::byte>& planes);

/// Offsets in form.bits bits each, lowest bits first, from their planes, and the reverse.
void pack_offsets(const IntegerForm& form, Bytes planes, std::vector<std::byte>& packed);
std::uint64_t packed_size(const IntegerForm& form) noexcept;
/// `packed` has packed_size() bytes.
void unpack_offsets(const IntegerForm& form, Bytes packed, std::vector<std::byte>& planes);

/// Puts the elements into `target`, which wants integers. False if one does not fit; `misfit` then tells which.
bool join_integers(const IntegerForm& form, Bytes planes, ArrayTarget& target, std::uint64_t& misfit);
/// Appends the elements as a typed array (RFC 8746) of the narrowest type, a CBOR item. Throws: Error(limit_exceeded)
/// where they take more than `most` bytes.
void join_typed_array(const IntegerForm& form, Bytes planes, std::uint64_t most, std::vector<std::byte>& item);

/// Little-endian elements of `width` bytes, clamped: what texts without a header hold. Throws: Error(out_of_range).
void raw_integers(const ArrayView& values, const Bounds& bounds, std::size_t width, bool is_signed,
                  std::vector<std::byte>& raw);
/// The reverse, as a form and its planes. `raw` is a whole number of elements.
IntegerForm form_of_raw(Bytes raw, std::size_t width, bool is_signed, std::vector<std::byte>& planes);

/// The array's elements as the smallest integers of the same signedness, clamped, in `order` without gaps; `bytes` has
/// them. The dtype of the result is the array's own where nothing is to be gained.
DType narrow_integers(const ArrayView& values, Order order, const Bounds& bounds, std::vector<std::byte>& bytes);

}  // namespace stele::state_text

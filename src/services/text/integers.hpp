#pragma once
// Arrays of integers in state texts: clamped, made small by what all have in common, and laid out in planes of bytes.

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

/// Of TextSaveOptions or TextLoadOptions. Throws: Error(invalid_argument).
template <class Options>
void check_bare(const Options& options) {
  if (options.item && !is_integer(*options.item)) {
    fail(Errc::invalid_argument, message({"an item of a bare text is int8 to uint64, not ", options.item->name()}));
  }
  if (options.bare && options.dictionary != nullptr) {
    fail(Errc::invalid_argument, "a bare text is made without a dictionary");
  }
}

/// How an array is stored: element i is base + offset i, of which the lowest bytes of all come first, then the next
/// higher ones …
struct IntegerForm {
  std::uint64_t count = 0;
  std::int64_t base = 0;
  unsigned width = 1;  // bytes of an offset, 1 to 8
};

/// Appends the planes of an array of one dimension to `out`.
/// Throws: Error(invalid_argument) where a bound is none of the type's values.
IntegerForm split_integers(const ArrayView& values, const Bounds& bounds, std::vector<std::byte>& out);

/// Puts the elements into `target`, which wants integers. Throws: Error(out_of_range).
void join_integers(const IntegerForm& form, Bytes planes, ArrayTarget& target);
/// Appends the elements as a typed array (RFC 8746) of the narrowest type, a CBOR item. Throws: Error(limit_exceeded)
/// where they take more than `most` bytes, Error(out_of_range) where no type has them all.
void join_typed_array(const IntegerForm& form, Bytes planes, std::uint64_t most, std::vector<std::byte>& item);

/// Appends little-endian elements of the type `stored`, clamped, in `order` without gaps. Throws: Error(out_of_range).
void put_integers(const ArrayView& values, Order order, const Bounds& bounds, const DType& stored,
                  std::vector<std::byte>& out);
/// The narrowest type of the same signedness that has all clamped elements.
DType narrowest(const ArrayView& values, Order order, const Bounds& bounds);
/// The planes of what put_integers() wrote. `elements` is a whole number of them.
IntegerForm form_of(Bytes elements, const DType& stored, std::vector<std::byte>& planes);

}  // namespace stele::state_text

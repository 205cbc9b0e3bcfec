#pragma once
// How element types are named in the file: RFC 8746 tags for numbers, stele's own tag with NumPy's notation for the
// rest.

#include <cstdint>
#include <optional>

#include "format/cursor.hpp"
#include "stele/array.hpp"

namespace stele {

/// The RFC 8746 tag of little-endian arrays of a kind, or nothing.
std::optional<std::uint64_t> typed_array_tag(DType::Kind kind) noexcept;

/// Whether a tag begins an array with its elements: those of RFC 8746 and stele's own, but for views.
bool is_array_tag(std::uint64_t tag) noexcept;

/// The element type of an RFC 8746 tag. Kind none for those without a C++ type (float128).
struct TypedArrayTag {
  DType::Kind kind = DType::Kind::none;
  bool big_endian = false;
};
TypedArrayTag typed_array_type(std::uint64_t tag) noexcept;

/// A dtype as an item: NumPy's notation as text, or for records [item size, [name, dtype, offset, count], ...].
void put_dtype(cbor::Builder& out, const DType& dtype);
/// The reverse. `big_endian` is set where the notation says so; records of big-endian fields are refused.
/// Throws: Error(malformed), Error(unsupported), Error(limit_exceeded).
DType get_dtype(cbor::Cursor& in, bool& big_endian, unsigned depth = 0);

void put_shape(cbor::Builder& out, const Shape& shape);
Shape get_shape(cbor::Cursor& in);

/// No-op tags (55799 in its 3-, 5- and 9-byte encodings) that fill `gap` bytes; gaps of 1, 2, 4 and 7 grow by 64.
void put_padding(cbor::Builder& out, std::size_t gap);
/// The padding before an item whose data begins `header` bytes behind `position`, for data at a multiple of 64.
std::size_t padding_before(std::uint64_t position, std::size_t header) noexcept;

/// The order in which an array is stored: column-major only where it lies so and not also in row-major order.
Order stored_order(const ArrayView& view) noexcept;

}  // namespace stele

#pragma once
// Element types in the file: RFC 8746 tags for numbers; for the rest, stele's own tag with NumPy's notation.

#include <cstdint>
#include <optional>

#include "format/cursor.hpp"
#include "stele/array.hpp"

namespace stele {

/// The RFC 8746 tag for little-endian arrays of a kind; nothing for other kinds.
std::optional<std::uint64_t> typed_array_tag(DType::Kind kind) noexcept;

/// Whether a tag begins an array with its elements: the tags of RFC 8746 and stele's own, except views.
bool is_array_tag(std::uint64_t tag) noexcept;

/// The element type of an RFC 8746 tag. The kind is none for types that C++ lacks (float128).
struct TypedArrayTag {
  DType::Kind kind = DType::Kind::none;
  bool big_endian = false;
};
TypedArrayTag typed_array_type(std::uint64_t tag) noexcept;

/// A dtype as an item: NumPy's notation as text, or for records [item size, [name, dtype, offset, count], ...].
void put_dtype(cbor::Builder& out, const DType& dtype);
/// Reads a dtype. Sets `big_endian` if the notation says so; rejects records with big-endian fields. Throws:
/// Error(malformed), Error(unsupported), Error(limit_exceeded).
DType get_dtype(cbor::Cursor& in, bool& big_endian, unsigned depth = 0);

void put_shape(cbor::Builder& out, const Shape& shape);
Shape get_shape(cbor::Cursor& in);

/// No-op tags (55799 in its 3-, 5- and 9-byte encodings) that fill `gap` bytes; gaps of 1, 2, 4 and 7 grow by 64.
void put_padding(cbor::Builder& out, std::size_t gap);
/// The size of the padding before an item whose data begins `header` bytes after `position`, so that the data is at a
/// multiple of 64.
std::size_t padding_before(std::uint64_t position, std::size_t header) noexcept;

/// The order in which an array is stored: column-major only if it is in that order and not also in row-major order.
Order stored_order(const ArrayView& view) noexcept;

}  // namespace stele

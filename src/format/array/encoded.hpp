#pragma once
// The description of encoded arrays in a file: tag_encoded_array of [dtype, items, description, bytes].

#include "encoding/encoding.hpp"
#include "format/cursor.hpp"
#include "stele/dtype.hpp"

namespace stele {

/// The units that an encoding works on: elements, or the two components of complex numbers.
struct Components {
  ElementClass element_class = ElementClass::other;
  std::uint32_t size = 1;  // bytes
  std::uint64_t per_item = 1;
};
Components components_of(const DType& dtype) noexcept;

/// Writes the description: [name, items per block, …]; with narrow [.., bytes per component, base], with palette [..,
/// table].
void put_encoding(cbor::Builder& out, const Encoding& encoding, const Components& components);
/// Reads a description. Throws: Error(malformed), Error(unsupported).
Encoding get_encoding(cbor::Cursor& in, const Components& components);

}  // namespace stele

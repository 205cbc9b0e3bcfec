#pragma once
// How encoded arrays are described in the file: tag_encoded_array of [dtype, items, description, bytes].

#include "encoding/encoding.hpp"
#include "format/cursor.hpp"
#include "stele/dtype.hpp"

namespace stele {

/// What an encoding works on: elements, or the two components of complex numbers.
struct Components {
  ElementClass element_class = ElementClass::other;
  std::uint32_t size = 1;  // bytes
  std::uint64_t per_item = 1;
};
Components components_of(const DType& dtype) noexcept;

/// The description: [name, items of a block, …]; with narrow [.., bytes of a component, base], with palette [..,
/// table].
void put_encoding(cbor::Builder& out, const Encoding& encoding, const Components& components);
/// The reverse. Throws: Error(malformed), Error(unsupported).
Encoding get_encoding(cbor::Cursor& in, const Components& components);

}  // namespace stele

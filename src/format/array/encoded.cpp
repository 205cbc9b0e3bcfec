#include "format/array/encoded.hpp"

namespace stele {

Components components_of(const DType& dtype) noexcept {
  using Kind = DType::Kind;
  const auto size = static_cast<std::uint32_t>(dtype.item_size());
  switch (dtype.kind()) {
    case Kind::uint8:
    case Kind::uint16:
    case Kind::uint32:
    case Kind::uint64:
      return {ElementClass::natural, size, 1};
    case Kind::int8:
    case Kind::int16:
    case Kind::int32:
    case Kind::int64:
    case Kind::duration:
    case Kind::time_point:
      return {ElementClass::integer, size, 1};
    case Kind::float16:
    case Kind::bfloat16:
    case Kind::float32:
    case Kind::float64:
      return {ElementClass::real, size, 1};
    case Kind::complex64:
    case Kind::complex128:
      return {ElementClass::real, size / 2, 2};
    case Kind::boolean:
      return {ElementClass::boolean, 1, 1};
    default:
      return {ElementClass::other, size, 1};
  }
}

void put_encoding(cbor::Builder& out, const Encoding& encoding, const Components& components) {
  using First = Encoding::First;
  out.array(encoding.first == First::narrow ? 4 : encoding.first == First::palette ? 3 : 2);
  out.text(encoding.name());
  out.natural(encoding.block_items / components.per_item);
  if (encoding.first == First::narrow) {
    out.natural(encoding.stored_item_size);
    out.natural(encoding.base);
  } else if (encoding.first == First::palette) {
    const Bytes table = encoding.table();
    out.head(cbor::Major::bytes, table.size());
    out.raw(table);
  }
}

Encoding get_encoding(cbor::Cursor& in, const Components& components) {
  const std::uint64_t parts = in.array();
  if (parts < 2) {
    in.bad("an encoding has a name and the number of a block's items");
  }
  StoredEncoding stored;
  stored.name = in.text();
  const std::uint64_t items = in.natural();
  if (items > most_encoded_block_size) {
    fail(Errc::unsupported, "an encoding with blocks of " + std::to_string(items) + " items", {{}, in.position()});
  }
  stored.block_items = items * components.per_item;
  if (parts == 4) {
    stored.stored_item_size = in.natural();
    stored.base = in.natural();
  } else if (parts == 3) {
    const cbor::Head head = in.head();
    if (head.major != cbor::Major::bytes || head.indefinite()) {
      in.bad("a palette is a byte string");
    }
    stored.table = in.take(head.value);
  } else if (parts != 2) {
    in.bad("an encoding has two to four parts");
  }
  const Encoding encoding = checked_encoding(stored, components.size, components.element_class);
  const std::uint64_t fits = encoding.first == Encoding::First::narrow    ? 4
                             : encoding.first == Encoding::First::palette ? 3
                                                                          : 2;
  if (encoding.is_raw()) {
    fail(Errc::unsupported, "an encoding without a stage", {{}, in.position()});
  }
  if (parts != fits) {
    in.bad("encoding " + encoding.name() + " in " + std::to_string(parts) + " parts");
  }
  return encoding;
}

}  // namespace stele

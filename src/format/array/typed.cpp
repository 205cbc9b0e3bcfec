#include "format/array/typed.hpp"

#include <array>

#include "format/frozen.hpp"

namespace stele {

using cbor::Builder;
using cbor::Cursor;
using cbor::Major;
using Kind = DType::Kind;

std::optional<std::uint64_t> typed_array_tag(Kind kind) noexcept {
  switch (kind) {
    case Kind::uint8:
      return 64;
    case Kind::uint16:
      return 69;
    case Kind::uint32:
      return 70;
    case Kind::uint64:
      return 71;
    case Kind::int8:
      return 72;
    case Kind::int16:
      return 77;
    case Kind::int32:
      return 78;
    case Kind::int64:
      return 79;
    case Kind::float16:
      return 84;
    case Kind::float32:
      return 85;
    case Kind::float64:
      return 86;
    default:
      return std::nullopt;
  }
}

bool is_array_tag(std::uint64_t tag) noexcept {
  return (tag >= frozen::tag_typed_first && tag <= frozen::tag_typed_last) || tag == frozen::tag_row_major ||
         tag == frozen::tag_column_major || tag == frozen::tag_dtype_array || tag == frozen::tag_growing_rows ||
         tag == frozen::tag_encoded_array;
}

TypedArrayTag typed_array_type(std::uint64_t tag) noexcept {
  // 64 to 87: bits 0b010'f's'e'll, f float, s signed, e little-endian, ll width
  static constexpr std::array<Kind, 24> kinds = {
      Kind::uint8,   Kind::uint16, Kind::uint32,  Kind::uint64,  Kind::uint8,   Kind::uint16,
      Kind::uint32,  Kind::uint64, Kind::int8,    Kind::int16,   Kind::int32,   Kind::int64,
      Kind::none,    Kind::int16,  Kind::int32,   Kind::int64,   Kind::float16, Kind::float32,
      Kind::float64, Kind::none,   Kind::float16, Kind::float32, Kind::float64, Kind::none};
  if (tag < frozen::tag_typed_first || tag > frozen::tag_typed_last) {
    return {};
  }
  const Kind kind = kinds[tag - frozen::tag_typed_first];
  return {kind, (tag & 4) == 0 && DType(kind).item_size() > 1};
}

void put_dtype(Builder& out, const DType& dtype) {
  if (!dtype.is_record()) {
    out.text(dtype.numpy());
    return;
  }
  out.array(1 + dtype.fields().size());
  out.natural(dtype.item_size());
  for (const DType::Field& field : dtype.fields()) {
    out.array(4);
    out.text(field.name);
    put_dtype(out, field.type);
    out.natural(field.offset);
    out.natural(field.count);
  }
}

DType get_dtype(Cursor& in, bool& big_endian, unsigned depth) {
  if (in.next_is(Major::text)) {
    const std::string_view name = in.text();
    if (name.starts_with('=')) {
      in.bad("an element type in the reader's byte order");
    }
    return DType::from_numpy(name, big_endian);
  }
  if (depth > 16) {
    fail(Errc::limit_exceeded, "record types are nested too deeply", {{}, in.position()});
  }
  const std::uint64_t count = in.array();
  if (count < 2) {
    in.bad("a record type without fields");
  }
  const auto narrow = [&](std::uint64_t value) {
    if (value > 0x7fffffff) {
      in.bad("a record type of more than 2 GiB");
    }
    return static_cast<std::uint32_t>(value);
  };
  const std::uint32_t size = narrow(in.natural());
  std::vector<DType::Field> fields;
  for (std::uint64_t i = 1; i < count; ++i) {
    if (in.array() != 4) {
      in.bad("a record field has four parts");
    }
    DType::Field field;
    field.name = in.text();
    bool swapped = false;
    field.type = get_dtype(in, swapped, depth + 1);
    if (swapped) {
      fail(Errc::unsupported, "a record of big-endian fields", {{}, in.position()});
    }
    field.offset = narrow(in.natural());
    field.count = narrow(in.natural());
    fields.push_back(std::move(field));
  }
  return DType::record(std::move(fields), size);
}

void put_shape(Builder& out, const Shape& shape) {
  out.array(shape.rank());
  for (const std::uint64_t extent : shape) {
    out.natural(extent);
  }
}

Shape get_shape(Cursor& in) {
  const std::uint64_t rank = in.array();
  if (rank > max_rank) {
    fail(Errc::limit_exceeded, "an array of more than 32 dimensions", {{}, in.position()});
  }
  Shape shape;
  for (std::uint64_t i = 0; i < rank; ++i) {
    shape.push_back(in.natural());
  }
  return shape;
}

void put_padding(Builder& out, std::size_t gap) {
  static constexpr std::array<std::uint8_t, 3> three = {0xd9, 0xd9, 0xf7};
  static constexpr std::array<std::uint8_t, 5> five = {0xda, 0x00, 0x00, 0xd9, 0xf7};
  static constexpr std::array<std::uint8_t, 9> nine = {0xdb, 0, 0, 0, 0, 0, 0, 0xd9, 0xf7};
  while (gap > 0) {
    // as many 9-byte tags as leave a gap that 3 and 5 bytes can fill: not 1, 2, 4 or 7
    if (gap == 9 || gap == 12 || (gap >= 14 && gap != 16)) {
      out.raw(std::as_bytes(std::span(nine)));
      gap -= 9;
    } else if (gap == 5 || gap == 8 || gap == 10 || gap == 11 || gap == 13 || gap == 16) {
      out.raw(std::as_bytes(std::span(five)));
      gap -= 5;
    } else {
      out.raw(std::as_bytes(std::span(three)));
      gap -= 3;
    }
  }
}

std::size_t padding_before(std::uint64_t position, std::size_t header) noexcept {
  const std::size_t align = frozen::array_alignment;
  const std::size_t gap = (align - static_cast<std::size_t>((position + header) % align)) % align;
  const bool impossible = gap == 1 || gap == 2 || gap == 4 || gap == 7;
  return impossible ? gap + align : gap;
}

Order stored_order(const ArrayView& view) noexcept {
  const bool columns = view.shape.rank() > 1 && !view.is_dense(Order::row_major) && view.is_dense(Order::column_major);
  return columns ? Order::column_major : Order::row_major;
}

}  // namespace stele

#include "services/store/exchange/npy.hpp"

#include <algorithm>
#include <limits>

#include "archive/convert.hpp"
#include "base/bytes.hpp"
#include "format/utf8.hpp"
#include "services/store/exchange/array.hpp"
#include "services/store/exchange/literal.hpp"
#include "stele/error.hpp"

namespace stele {
namespace {

using LiteralKind = PythonLiteral::Kind;

constexpr std::string_view magic = "\x93NUMPY";
constexpr std::size_t short_start = 10;  // of version 1, whose size has two bytes
constexpr std::size_t header_alignment = 64;

[[noreturn]] void fail_header(std::string_view what) { fail(Errc::malformed, "a .npy header " + std::string(what)); }

const PythonLiteral& member(const PythonLiteral& dict, std::string_view name) {
  for (std::size_t i = 0; i + 1 < dict.items.size(); i += 2) {
    if (dict.items[i].kind == LiteralKind::text && dict.items[i].text == name) {
      return dict.items[i + 1];
    }
  }
  fail_header("without " + std::string(name));
}

Shape shape_of(const PythonLiteral& literal) {
  if (literal.kind != LiteralKind::sequence) {
    fail_header("whose shape is no tuple");
  }
  Shape shape;
  for (const PythonLiteral& extent : literal.items) {
    if (extent.kind != LiteralKind::natural) {
      fail_header("whose shape has something else than numbers");
    }
    shape.push_back(extent.number);
  }
  return shape;
}

/// The number of elements of a field that is an array.
std::uint64_t field_count(const PythonLiteral& literal) {
  if (literal.kind == LiteralKind::natural) {
    return literal.number;
  }
  return shape_of(literal).count();
}

/// Bytes of a gap between fields, "|V4"; 0 for what is none.
std::uint64_t padding_bytes(const std::string& name, const PythonLiteral& descr) {
  if (!name.empty() || descr.kind != LiteralKind::text || !descr.text.starts_with("|V")) {
    return 0;
  }
  return parse_literal(std::string_view(descr.text).substr(2)).number;
}

DType dtype_of(const PythonLiteral& descr, std::uint64_t offset, std::uint64_t count, std::vector<NpySwap>& swaps);

DType record_of(const PythonLiteral& descr, std::uint64_t base, std::vector<NpySwap>& swaps) {
  constexpr std::uint64_t most = std::numeric_limits<std::uint32_t>::max();
  std::vector<DType::Field> fields;
  std::uint64_t offset = 0;
  for (const PythonLiteral& field : descr.items) {
    if (field.kind != LiteralKind::sequence || field.items.size() < 2 || field.items.size() > 3) {
      fail_header("with a field that is no tuple of two or three");
    }
    const PythonLiteral& named = field.items[0];  // a name, or a title and a name
    const std::string name =
        named.kind == LiteralKind::sequence && named.items.size() == 2 ? named.items[1].text : named.text;
    if (const std::uint64_t gap = padding_bytes(name, field.items[1]); gap > 0) {
      offset += std::min(gap, most + 1);
    } else {
      const std::uint64_t count = field.items.size() == 3 ? field_count(field.items[2]) : 1;
      const DType type = dtype_of(field.items[1], base + offset, count, swaps);
      if (count > most) {
        fail(Errc::limit_exceeded, "a field of " + std::to_string(count) + " elements");
      }
      fields.push_back({name, type, static_cast<std::uint32_t>(offset), static_cast<std::uint32_t>(count)});
      offset += type.item_size() * count;
    }
    if (offset > most) {
      fail(Errc::limit_exceeded, "an element of more than " + std::to_string(most) + " bytes");
    }
  }
  return DType::record(std::move(fields), static_cast<std::uint32_t>(offset));
}

DType dtype_of(const PythonLiteral& descr, std::uint64_t offset, std::uint64_t count, std::vector<NpySwap>& swaps) {
  if (descr.kind == LiteralKind::sequence) {
    const std::size_t before = swaps.size();
    DType dtype = record_of(descr, offset, swaps);
    if (swaps.size() > before && count != 1) {
      fail(Errc::unsupported, "an array of records with big-endian numbers in a record");
    }
    return dtype;
  }
  if (descr.kind != LiteralKind::text) {
    fail_header("whose descr is neither a text nor a list");
  }
  bool big_endian = false;
  DType dtype = DType::from_numpy(descr.text, big_endian);
  if (big_endian && dtype.item_size() > 1 && dtype.kind() != DType::Kind::bytes) {
    swaps.push_back({dtype, offset, count});
  }
  return dtype;
}

/// Latin-1 as UTF-8.
std::string from_latin1(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80) {
      out += c;
    } else {
      out += {static_cast<char>(0xc0 | byte >> 6), static_cast<char>(0x80 | (byte & 0x3f))};
    }
  }
  return out;
}

/// As NumPy describes it; empty where it cannot.
std::string descr(const DType& dtype) {
  if (!dtype.is_record()) {
    const std::string text = dtype.numpy();
    return text.empty() || std::string_view("<|").find(text[0]) == std::string_view::npos ? "" : python_text(text);
  }
  std::vector<const DType::Field*> fields;
  for (const DType::Field& field : dtype.fields()) {
    fields.push_back(&field);
  }
  std::sort(fields.begin(), fields.end(), [](const auto* a, const auto* b) { return a->offset < b->offset; });
  std::string out = "[";
  std::uint64_t at = 0;
  const auto gap_to = [&](std::uint64_t offset) {
    if (offset > at) {
      out += "('', '|V" + std::to_string(offset - at) + "'), ";
    }
  };
  for (const DType::Field* field : fields) {
    const std::string inner = descr(field->type);
    if (inner.empty() || field->offset < at) {  // fields may lie over each other here, but not there
      return "";
    }
    gap_to(field->offset);
    out += "(" + python_text(field->name) + ", " + inner;
    out += field->count == 1 ? "), " : ", (" + std::to_string(field->count) + ",)), ";
    at = field->offset + std::uint64_t{field->count} * field->type.item_size();
  }
  gap_to(dtype.item_size());
  return out + "]";
}

}  // namespace

NpyPlace find_npy_header(Bytes first) {
  if (first.size() < short_start) {
    fail(Errc::truncated, "a .npy file of " + std::to_string(first.size()) + " bytes");
  }
  const std::string_view text(reinterpret_cast<const char*>(first.data()), first.size());
  if (!text.starts_with(magic)) {
    fail(Errc::malformed, "no .npy file: it does not begin as one");
  }
  NpyPlace place;
  place.version = std::to_integer<unsigned>(first[magic.size()]);
  if (place.version < 1 || place.version > 3) {
    fail(Errc::unsupported, "a .npy file of version " + std::to_string(place.version));
  }
  place.at = place.version == 1 ? short_start : npy_start;
  if (first.size() < place.at) {
    fail(Errc::truncated, "a .npy file that ends in its header");
  }
  place.bytes = load_le(first.data() + magic.size() + 2, place.version == 1 ? 2 : 4);
  if (place.bytes > npy_header_most) {
    fail(Errc::limit_exceeded, "a .npy header of " + std::to_string(place.bytes) + " bytes");
  }
  return place;
}

NpyHeader parse_npy_header(std::string_view text, unsigned version) {
  if (version == 3 && !is_utf8(text)) {
    fail_header("that is no UTF-8");
  }
  const PythonLiteral dict = parse_literal(version == 3 ? std::string(text) : from_latin1(text));
  if (dict.kind != LiteralKind::dict) {
    fail_header("that is no dict");
  }
  NpyHeader header;
  header.shape = shape_of(member(dict, "shape"));
  header.dtype = dtype_of(member(dict, "descr"), 0, 1, header.swaps);
  const PythonLiteral& fortran = member(dict, "fortran_order");
  if (fortran.kind != LiteralKind::boolean) {
    fail_header("whose fortran_order is neither True nor False");
  }
  if (fortran.number != 0 && header.shape.rank() > 1) {
    header.order = Order::column_major;
  }
  return header;
}

void swap_npy(const NpyHeader& header, std::byte* elements, std::uint64_t count) {
  for (const NpySwap& swap : header.swaps) {
    if (!header.dtype.is_record()) {
      swap_elements(swap.dtype, elements, count);
      continue;
    }
    for (std::uint64_t i = 0; i < count; ++i) {
      swap_elements(swap.dtype, elements + i * header.dtype.item_size() + swap.offset, swap.count);
    }
  }
}

std::string npy_header(const ArrayView& view) {
  const std::string type = descr(view.dtype);
  if (type.empty()) {
    return "";
  }
  std::string text = "{'descr': " + type + ", 'fortran_order': ";
  text += order_of(view) == Order::row_major ? "False" : "True";
  text += ", 'shape': (";
  for (const std::uint64_t extent : view.shape) {
    text += std::to_string(extent) + (view.shape.rank() == 1 ? "," : ", ");
  }
  text += "), }";
  const bool ascii = std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
  const auto padded = [&](std::size_t start) {
    return (start + text.size() + 1 + header_alignment - 1) / header_alignment * header_alignment - start;
  };
  const unsigned version = !ascii ? 3 : padded(short_start) > 0xffff ? 2 : 1;
  const std::size_t start = version == 1 ? short_start : npy_start;
  const std::size_t bytes = padded(start);
  text.resize(bytes - 1, ' ');
  text += '\n';
  std::string out(magic);
  out += {static_cast<char>(version), '\0'};
  std::byte size[4];
  store_le(size, bytes, sizeof size);
  out.append(reinterpret_cast<const char*>(size), version == 1 ? 2 : 4);
  return out + text;
}

}  // namespace stele

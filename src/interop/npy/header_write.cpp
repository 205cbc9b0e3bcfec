#include <algorithm>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "interop/array.hpp"
#include "interop/npy/npy.hpp"

namespace stele {
namespace {

constexpr std::size_t header_alignment = 64;

/// As NumPy describes it; empty where it cannot.
std::string descr(const DType& dtype) {
  if (!dtype.is_record()) {
    const std::string text = dtype.numpy();
    return text.empty() || std::string_view("<|").find(text[0]) == std::string_view::npos ? "" : python_quoted(text);
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
    out += "(" + python_quoted(field->name) + ", " + inner;
    out += field->count == 1 ? "), " : ", (" + std::to_string(field->count) + ",)), ";
    at = field->offset + std::uint64_t{field->count} * field->type.item_size();
  }
  gap_to(dtype.item_size());
  return out + "]";
}

}  // namespace

std::string python_quoted(std::string_view text) {
  static constexpr std::string_view digits = "0123456789abcdef";
  std::string out = "'";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      out += {'\\', 'x', digits[byte >> 4], digits[byte & 15]};
    } else {
      out += c == '\'' || c == '\\' ? "\\" : "";
      out += c;
    }
  }
  return out + "'";
}

std::optional<std::string> npy_header(const ArrayHeader& array) {
  const std::string type = descr(array.dtype);
  if (type.empty()) {
    return std::nullopt;
  }
  std::string text = "{'descr': " + type + ", 'fortran_order': ";
  const ArrayView view(array.dtype, nullptr, array.shape, array.order);  // of one row or column, the order is none
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
  const unsigned version = !ascii ? 3 : padded(npy_short_start) > 0xffff ? 2 : 1;
  const std::size_t start = version == 1 ? npy_short_start : npy_long_start;
  const std::size_t bytes = padded(start);
  text.resize(bytes - 1, ' ');
  text += '\n';
  std::string out(npy_magic);
  out += {static_cast<char>(version), '\0'};
  std::byte size[4];
  store_le(size, bytes, sizeof size);
  out.append(reinterpret_cast<const char*>(size), start - npy_size_at);
  return out + text;
}

}  // namespace stele

#include <algorithm>
#include <cstring>

#include "archive/convert.hpp"
#include "base/bytes.hpp"
#include "interop/array.hpp"
#include "interop/input.hpp"
#include "interop/npy.hpp"
#include "stele/error.hpp"

namespace stele {
namespace {

constexpr std::string_view magic = "\x93NUMPY";
constexpr std::size_t size_at = 8;       // of the text, after the magic and two bytes of the version
constexpr std::size_t short_start = 10;  // of the text in version 1, whose size has two bytes
constexpr std::size_t long_start = 12;   // in versions 2 and 3, where it has four
constexpr std::size_t header_alignment = 64;
constexpr std::uint64_t longest_header = std::uint64_t{1} << 20;

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

/// A header and the elements after it.
class NpySource final : public Source {
 public:
  NpySource(std::string header, AnyArray array) : header_(std::move(header)), array_(std::move(array)) {}

  std::size_t read(MutableBytes into) override {
    const bool in_header = position_ < header_.size();
    const auto at = static_cast<std::size_t>(in_header ? position_ : position_ - header_.size());
    const Bytes part =
        in_header ? std::as_bytes(std::span(header_)) : Bytes(array_.view().data, array_.view().byte_count());
    const std::size_t count = std::min(into.size(), part.size() - at);
    if (count > 0) {
      std::memcpy(into.data(), part.data() + at, count);
    }
    position_ += count;
    return count;
  }
  std::optional<std::uint64_t> size() const override { return header_.size() + array_.view().byte_count(); }

 private:
  const std::string header_;
  const AnyArray array_;  // dense
  std::uint64_t position_ = 0;
};

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

void swap_npy(const NpyHeader& header, std::byte* elements) {
  const DType& dtype = header.array.dtype;
  const std::uint64_t count = header.array.shape.count();
  for (const NpySwap& swap : header.swaps) {
    if (!dtype.is_record()) {
      swap_elements(swap.dtype, elements, count);
      continue;
    }
    for (std::uint64_t i = 0; i < count; ++i) {
      swap_elements(swap.dtype, elements + i * dtype.item_size() + swap.offset, swap.count);
    }
  }
}

NpyHeader read_npy_header(Source& file) {
  std::byte start[long_start];  // the magic, the version and the size of the text
  const std::size_t got = read_up_to(file, std::span(start).first(short_start));
  if (got < short_start) {
    fail(Errc::truncated, "a .npy file of " + std::to_string(got) + " bytes");
  }
  if (std::string_view(reinterpret_cast<const char*>(start), magic.size()) != magic) {
    fail(Errc::malformed, "no .npy file: it does not begin as one");
  }
  const auto version = std::to_integer<unsigned>(start[magic.size()]);
  if (version < 1 || version > 3) {
    fail(Errc::unsupported, "a .npy file of version " + std::to_string(version));
  }
  const std::size_t begin = version == 1 ? short_start : long_start;
  read_exactly(file, std::span(start).subspan(short_start, begin - short_start));
  const std::uint64_t bytes = load_le(start + size_at, begin - size_at);
  if (bytes > longest_header) {
    fail(Errc::limit_exceeded, "a .npy header of " + std::to_string(bytes) + " bytes");
  }
  std::string text(static_cast<std::size_t>(bytes), '\0');
  read_exactly(file, std::as_writable_bytes(std::span(text)));
  NpyHeader header = parse_npy_header(text, version);
  header.offset = begin + bytes;
  return header;
}

AnyArray read_npy(Source& file) {
  const NpyHeader header = read_npy_header(file);
  AnyArray array = read_elements(file, header.array);
  std::byte rest{};
  if (read_up_to(file, {&rest, 1}) != 0) {  // also reads the end, where a checksum may be compared
    fail(Errc::malformed, "it goes on after the array's elements");
  }
  swap_npy(header, array.buffer()->mutable_data());
  return array;
}

std::optional<std::string_view> npz_name(std::string_view member) noexcept {
  constexpr std::string_view ending = ".npy";
  return member.ends_with(ending) ? std::optional(member.substr(0, member.size() - ending.size())) : std::nullopt;
}

std::optional<std::string> npy_header(const ArrayView& view) {
  const std::string type = descr(view.dtype);
  if (type.empty()) {
    return std::nullopt;
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
  const std::size_t start = version == 1 ? short_start : long_start;
  const std::size_t bytes = padded(start);
  text.resize(bytes - 1, ' ');
  text += '\n';
  std::string out(magic);
  out += {static_cast<char>(version), '\0'};
  std::byte size[4];
  store_le(size, bytes, sizeof size);
  out.append(reinterpret_cast<const char*>(size), start - size_at);
  return out + text;
}

std::unique_ptr<Source> npy_source(const AnyArray& array) {
  AnyArray lying = dense(array);
  std::optional<std::string> header = npy_header(lying.view());
  return header ? std::make_unique<NpySource>(std::move(*header), std::move(lying)) : nullptr;
}

}  // namespace stele

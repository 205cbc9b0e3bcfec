#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "archive/value/later.hpp"
#include "base/bytes.hpp"
#include "base/printable.hpp"
#include "format/path/path.hpp"
#include "format/text/utf8.hpp"
#include "interop/ordered_dict.hpp"
#include "interop/safetensors/header.hpp"
#include "interop/safetensors/safetensors.hpp"
#include "interop/safetensors/types.hpp"
#include "stele/error.hpp"

namespace stele {
namespace {

constexpr std::uint64_t alignment = 64;  // of the first array
constexpr std::uint64_t write_bytes = std::uint64_t{1} << 20;

/// An array to be written.
struct Written {
  std::string name;
  const SafetensorsType* type = nullptr;
  const Value* elements = nullptr;  // an array
  Shape shape;                      // as the format has it
  std::uint64_t bytes = 0;
};

[[noreturn]] void refuse(const std::string& what) { fail(Errc::unsupported, "a safetensors file cannot hold " + what); }

[[noreturn]] void fail_form(std::string_view type) {
  fail(Errc::invalid_argument, "a " + printable(type) + " without the form that it has when it is read");
}

// What a value is in the file, without its name.

Written tensor_of(const Value& array) {
  const ArrayHeader header = header_of(array);
  Written tensor;
  tensor.type = find_safetensors_type(header.dtype);
  if (tensor.type == nullptr) {
    refuse("elements of the type " + header.dtype.name());
  }
  tensor.elements = &array;
  tensor.shape = header.shape;
  const std::optional<std::uint64_t> bytes = safetensors_bytes(*tensor.type, tensor.shape);
  if (!bytes) {
    fail(Errc::limit_exceeded, "an array of the shape " + tensor.shape.text() + " is too large");
  }
  tensor.bytes = *bytes;
  return tensor;
}

/// The array under a value if it is one of that type and rank, else null.
const Value* array_in(const Value* value, DType::Kind kind, std::optional<std::size_t> rank = std::nullopt) {
  if (value == nullptr || !value->is_array()) {
    return nullptr;
  }
  const ArrayHeader header = header_of(*value);
  return header.dtype == DType(kind) && (!rank || header.shape.rank() == *rank) ? value : nullptr;
}

/// The shape of packed elements; nothing where `content` has not the form.
std::optional<Shape> packed_shape(const Value& content) {
  const bool is_group = (content.is_record() || content.is_map()) && content.size() == 2;  // a map: of an archive
  const Value* const extents = is_group ? array_in(content.find("shape"), DType::Kind::uint64, 1) : nullptr;
  if (extents == nullptr || header_of(*extents).shape[0] > max_rank) {
    return std::nullopt;
  }
  std::uint64_t all[max_rank];
  const std::span<std::uint64_t> shape(all, static_cast<std::size_t>(header_of(*extents).shape[0]));
  gather(extents->array().view(), Order::row_major, 0, shape.size(), std::as_writable_bytes(shape).data());
  return Shape(shape);
}

Written typed_tensor(const Value& value) {
  const std::string& name = value.type_name();
  const Value& content = value.content();
  Written tensor;
  tensor.type = find_safetensors_type(std::string_view(name).substr(safetensors_typed.size()));
  if (tensor.type == nullptr || tensor.type->kind != DType::Kind::none) {
    fail_form(name);
  }
  const std::optional<Shape> shape = tensor.type->is_packed() ? packed_shape(content) : std::nullopt;
  const Value* const data = !tensor.type->is_packed() ? array_in(&content, DType::Kind::uint8)
                            : shape                   ? array_in(content.find("data"), DType::Kind::uint8, 1)
                                                      : nullptr;
  if (data == nullptr) {
    fail_form(name);
  }
  tensor.elements = data;
  const Shape stored = header_of(*data).shape;
  tensor.shape = shape ? *shape : stored;
  const std::optional<std::uint64_t> bytes = safetensors_bytes(*tensor.type, tensor.shape);
  if (!bytes || *bytes != stored.count()) {  // of uint8
    fail_form(name);
  }
  tensor.bytes = *bytes;
  return tensor;
}

/// The arrays of a value.
class Collector {
 public:
  explicit Collector(const Value& root) { open_.push_back({&root, {}, {}}); }

  /// The last one first.
  std::vector<Written> all() && {
    for (bool at_root = true; !open_.empty(); at_root = false) {  // a list, as values may lie deep in each other
      Place place = std::move(open_.back());
      open_.pop_back();
      try {
        visit(place, at_root);
      } catch (const Error& error) {
        rethrow_at(error, {.path = place.path});
      }
    }
    return std::move(found_);
  }

 private:
  struct Place {
    const Value* value;
    std::string name;
    std::string path;
  };

  void visit(const Place& place, bool at_root) {
    const Value* const value = &plain_dict(*place.value);
    const bool is_group = value->is_map() || value->is_record();
    if (at_root && !is_group) {
      refuse("a single value of the kind " + std::string(to_string(value->kind())) +
             ", only maps and records of arrays");
    }
    if (value->is_array() || (value->is(ValueKind::typed) && value->type_name().starts_with(safetensors_typed))) {
      found_.push_back(value->is_array() ? tensor_of(*value) : typed_tensor(*value));
      found_.back().name = place.name;
    } else if (!is_group) {
      refuse(value->is(ValueKind::reference) ? "a reference to a value that is shared"
             : value->is(ValueKind::typed)
                 ? "an object of the type " + printable(value->type_name())
                 : "a value of the kind " + std::string(to_string(value->kind())) + ", only arrays");
    } else if (!at_root && value->empty()) {
      refuse("a " + std::string(to_string(value->kind())) + " without entries");
    } else if (value->is_map()) {
      std::uint64_t number = 0;
      for (const auto& [key, item] : value->entries()) {
        if (!key.is_text()) {
          std::string path = place.path;
          append_place(path, number);
          fail(Errc::unsupported, "a safetensors file cannot hold a key that is no text", {.path = path});
        }
        add(place, key.text(), item);
        ++number;
      }
    } else {
      for (std::size_t i = 0; i < value->size(); ++i) {
        add(place, value->names()[i], value->items()[i]);
      }
    }
  }

  void add(const Place& parent, std::string_view name, const Value& value) {
    Place place{&value, parent.path.empty() ? std::string() : parent.name + ".", parent.path};
    place.name += name;
    append_step(place.path, name);
    if (!is_utf8(name)) {
      fail(Errc::unsupported, "a safetensors file cannot hold a name that is not UTF-8", {.path = place.path});
    }
    if (place.name == safetensors_metadata) {
      fail(Errc::unsupported, "a safetensors file cannot hold an array of this name", {.path = place.path});
    }
    open_.push_back(std::move(place));
  }

  std::vector<Place> open_;
  std::vector<Written> found_;
};

void refuse_duplicates(const std::vector<Written>& tensors) {
  std::vector<std::string_view> names;
  names.reserve(tensors.size());
  for (const Written& tensor : tensors) {
    names.push_back(tensor.name);
  }
  std::sort(names.begin(), names.end());
  if (const auto twice = std::adjacent_find(names.begin(), names.end()); twice != names.end()) {
    fail(Errc::duplicate_field, "two arrays have this name in a safetensors file", {.path = safetensors_path(*twice)});
  }
}

void append_text(std::string& out, std::string_view text) {
  out += '"';
  append_json_text(out, text);
  out += '"';
}

std::string header_text(const std::vector<Written>& tensors, const Metadata& metadata) {
  std::string out = "{";
  if (!metadata.empty()) {
    append_text(out, safetensors_metadata);
    const char* separator = ":{";
    for (const auto& [name, value] : metadata) {
      if (!value.is_text() || !is_utf8(value.text()) || !is_utf8(name)) {
        refuse("the metadata \"" + printable(name) + "\", which is no text");
      }
      out += std::exchange(separator, ",");
      append_text(out, name);
      out += ':';
      append_text(out, value.text());
    }
    out += '}';
  }
  std::uint64_t at = 0;
  for (const Written& tensor : tensors) {
    out += out.size() > 1 ? "," : "";
    append_text(out, tensor.name);
    out += R"(:{"dtype":")" + std::string(tensor.type->name) + R"(","shape":[)";
    const char* separator = "";
    for (const std::uint64_t extent : tensor.shape) {
      out += std::exchange(separator, ",") + std::to_string(extent);
    }
    const std::optional<std::uint64_t> end = checked_add(at, tensor.bytes);
    if (!end) {
      fail(Errc::limit_exceeded, "more than 2^64 bytes of arrays");
    }
    out += R"(],"data_offsets":[)" + std::to_string(at) + "," + std::to_string(*end) + "]}";
    at = *end;
  }
  out += '}';
  const std::uint64_t whole = safetensors_length_bytes + out.size();
  out.append(static_cast<std::size_t>((alignment - whole % alignment) % alignment), ' ');
  if (out.size() > longest_safetensors_header) {
    fail(Errc::limit_exceeded, "a header of " + std::to_string(out.size()) + " bytes");
  }
  return out;
}

void write_elements(Sink& to, const ArrayView& view, std::vector<std::byte>& piece) {
  if (view.is_dense(Order::row_major)) {
    to.write({view.data, static_cast<std::size_t>(view.byte_count())});
    return;
  }
  const std::uint64_t count = view.shape.count();
  const std::uint64_t item = view.dtype.item_size();
  piece.resize(static_cast<std::size_t>(write_bytes));
  for (std::uint64_t first = 0; first < count; first += write_bytes / item) {
    const std::uint64_t part = std::min(count - first, write_bytes / item);
    gather(view, Order::row_major, first, part, piece.data());
    to.write(std::span(piece).first(static_cast<std::size_t>(part * item)));
  }
}

/// An array that is left in its file is read piece by piece, or, to be turned, whole and given up again.
void write_elements(Sink& to, const Value& array, std::vector<std::byte>& piece) {
  LaterArray* const later = later_array(array);
  if (later == nullptr || !later->in_any_order()) {
    return write_elements(to, array.array().view(), piece);
  }
  const ArrayHeader& header = later->header();
  if (ArrayView(header.dtype, nullptr, header.shape, header.order).is_dense(Order::row_major)) {
    return later->pass([&](Bytes elements) { to.write(elements); });
  }
  const AnyArray whole = later->read();
  write_elements(to, whole.view(), piece);
}

}  // namespace

void write_safetensors(Sink& to, const Value& value, const Metadata& metadata) {
  std::vector<Written> tensors = Collector(value).all();
  // Arrays that only follow one another are read now, in the order of their file.
  std::for_each(tensors.rbegin(), tensors.rend(), [](const Written& tensor) {
    if (LaterArray* const later = later_array(*tensor.elements); later != nullptr && !later->in_any_order()) {
      tensor.elements->array();
    }
  });
  refuse_duplicates(tensors);
  std::sort(tensors.begin(), tensors.end(), [](const Written& a, const Written& b) {
    return a.type != b.type ? a.type < b.type : a.name < b.name;  // types are in the order of the file
  });
  const std::string header = header_text(tensors, metadata);
  std::byte length[safetensors_length_bytes];
  store_le<std::uint64_t>(length, header.size());
  to.write(length);
  to.write(std::as_bytes(std::span(header)));
  std::vector<std::byte> piece;
  for (const Written& tensor : tensors) {
    write_elements(to, *tensor.elements, piece);
  }
}

}  // namespace stele

#include "interop/safetensors/header.hpp"

#include <algorithm>
#include <optional>
#include <span>
#include <tuple>
#include <utility>

#include "base/bytes.hpp"
#include "format/path/path.hpp"
#include "interop/safetensors/json_events.hpp"
#include "stele/error.hpp"

namespace stele {
namespace {

class HeaderEvents final : public JsonEvents {
 public:
  explicit HeaderEvents(SafetensorsHeader& header) : header_(header) {}

  void begin(bool is_object) override {
    switch (++depth_) {
      case 1:
        return require(is_object, "the header is no object");
      case 2:
        return begin_entry(is_object);
      case 3:
        if (in_metadata_) {
          fail_metadata();
        }
        return begin_field(is_object);
      default:
        return require(field_ == Field::unknown, "no natural number");
    }
  }

  void end() override {
    if (depth_-- == 2 && !in_metadata_) {
      end_tensor();
    } else if (depth_ == 2 && field_ == Field::data_offsets && offsets_ != 2) {
      fail_here("data_offsets are not two");
    }
  }

  void key(std::string&& name) override {
    if (depth_ == 1) {
      begin_name(std::move(name));
    } else if (depth_ == 2 && in_metadata_) {
      name_ = std::move(name);
    } else if (depth_ == 2) {
      field_ = name == "dtype"          ? Field::dtype
               : name == "shape"        ? Field::shape
               : name == "data_offsets" ? Field::data_offsets
                                        : Field::unknown;
      if (field_ != Field::unknown && std::exchange(seen_[static_cast<std::size_t>(field_)], true)) {
        fail_here("\"" + name + "\" comes twice", Errc::duplicate_field);
      }
    }
  }

  void scalar(Scalar kind, const Number& number, std::string&& text) override {
    if (depth_ == 0) {
      fail(Errc::malformed, "the header is no object");
    } else if (depth_ == 1) {
      require(in_metadata_ && kind == Scalar::null, "no object follows");
    } else if (in_metadata_) {
      if (kind != Scalar::text) {
        fail_metadata();
      }
      if (!header_.metadata.try_emplace(name_, std::move(text)).second) {
        fail(Errc::duplicate_field, "the metadata names \"" + name_ + "\" twice");
      }
    } else if (depth_ == 2) {
      scalar_field(kind, text);
    } else if (field_ != Field::unknown) {
      require(kind == Scalar::natural, "no natural number");
      add_number(number.natural);
    }
  }

 private:
  enum class Field : std::uint8_t { dtype, shape, data_offsets, unknown };
  using Tensor = SafetensorsHeader::Tensor;

  [[noreturn]] void fail_here(const std::string& what, Errc code = Errc::malformed) const {
    if (in_metadata_ || depth_ == 0 || header_.tensors.empty()) {
      fail(code, what);
    }
    fail(code, what, {.path = safetensors_path(header_.tensors.back().name)});
  }
  [[noreturn]] static void fail_metadata() { fail(Errc::malformed, "the metadata has something else than texts"); }
  void require(bool holds, const char* otherwise) const {
    if (!holds) {
      fail_here(otherwise);
    }
  }

  void begin_name(std::string&& name) {
    in_metadata_ = name == safetensors_metadata;
    if (in_metadata_) {
      if (std::exchange(had_metadata_, true)) {
        fail(Errc::duplicate_field, "the metadata comes twice");
      }
      return;
    }
    header_.tensors.push_back({.name = std::move(name), .extents_at = header_.extents.size()});
    std::fill(std::begin(seen_), std::end(seen_), false);
    offsets_ = 0;
  }

  void begin_entry(bool is_object) {
    if (in_metadata_ && !is_object) {
      fail_metadata();
    }
    require(is_object, "no object follows");
  }

  void begin_field(bool is_object) {
    require(field_ != Field::dtype, "the dtype is no text");
    require(field_ == Field::unknown || !is_object, "no list of numbers");
  }

  void scalar_field(Scalar kind, const std::string& text) {
    if (field_ == Field::dtype) {
      require(kind == Scalar::text, "the dtype is no text");
      tensor().type = find_safetensors_type(text);
      if (tensor().type == nullptr) {
        fail_here("the dtype \"" + text + "\" is unknown", Errc::unsupported);
      }
    }
    require(field_ == Field::dtype || field_ == Field::unknown, "no list of numbers");
  }

  void add_number(std::uint64_t number) {
    if (field_ == Field::shape) {
      if (++tensor().rank > max_rank) {
        fail_here("more than " + std::to_string(max_rank) + " dimensions", Errc::limit_exceeded);
      }
      header_.extents.push_back(number);
      return;
    }
    require(++offsets_ <= 2, "data_offsets are not two");
    (offsets_ == 1 ? tensor().begin : tensor().end) = number;
  }

  void end_tensor() {
    constexpr const char* names[] = {"the dtype is missing", "the shape is missing", "data_offsets are missing"};
    for (std::size_t i = 0; i < std::size(names); ++i) {
      require(seen_[i], names[i]);
    }
  }

  Tensor& tensor() { return header_.tensors.back(); }

  SafetensorsHeader& header_;
  std::size_t depth_ = 0;
  bool in_metadata_ = false;
  bool had_metadata_ = false;
  std::string name_;  // of metadata
  Field field_ = Field::unknown;
  bool seen_[3] = {};
  int offsets_ = 0;
};

void refuse_duplicates(const SafetensorsHeader& header) {
  std::vector<std::string_view> names;
  names.reserve(header.tensors.size());
  for (const SafetensorsHeader::Tensor& tensor : header.tensors) {
    names.push_back(tensor.name);
  }
  std::sort(names.begin(), names.end());
  if (const auto twice = std::adjacent_find(names.begin(), names.end()); twice != names.end()) {
    fail(Errc::duplicate_field, "the header names it twice", {.path = safetensors_path(*twice)});
  }
}

/// Elements lie without a gap and do not overlap, and fit the shapes.
void check_places(const SafetensorsHeader& header) {
  std::uint64_t at = 0;
  for (const SafetensorsHeader::Tensor& tensor : header.tensors) {
    try {
      if (tensor.begin != at || tensor.end < tensor.begin) {
        fail(Errc::malformed, "data_offsets are " + std::to_string(tensor.begin) + " and " +
                                  std::to_string(tensor.end) + ", but the data before ends at " + std::to_string(at));
      }
      at = tensor.end;
      const Shape shape = header.shape(tensor);
      if (safetensors_bytes(*tensor.type, shape) != tensor.end - tensor.begin) {
        fail(Errc::malformed, std::to_string(tensor.end - tensor.begin) + " bytes of data do not fit " +
                                  std::string(tensor.type->name) + shape.text());
      }
    } catch (const Error& error) {
      rethrow_at(error, {.path = safetensors_path(tensor.name)});
    }
  }
}

}  // namespace

Shape SafetensorsHeader::shape(const Tensor& tensor) const {
  return Shape(std::span(extents).subspan(tensor.extents_at, tensor.rank));
}

std::optional<std::uint64_t> safetensors_bytes(const SafetensorsType& type, const Shape& shape) noexcept {
  std::optional<std::uint64_t> bits = 1;
  for (const std::uint64_t extent : shape) {
    bits = bits ? checked_multiply(*bits, extent) : bits;
  }
  bits = bits ? checked_multiply(*bits, type.bits) : bits;
  return bits && *bits % 8 == 0 ? std::optional(*bits / 8) : std::nullopt;
}

std::string safetensors_path(std::string_view name) {
  std::string path;
  append_step(path, name);
  return path;
}

SafetensorsHeader parse_safetensors_header(std::string_view text) {
  if (!text.starts_with('{')) {
    fail(Errc::malformed, "the header does not begin with '{'");
  }
  SafetensorsHeader header;
  HeaderEvents events(header);
  parse_json_events(text, events);
  refuse_duplicates(header);
  std::sort(header.tensors.begin(), header.tensors.end(), [](const auto& a, const auto& b) {
    return std::tuple(a.begin, a.end, a.extents_at) < std::tuple(b.begin, b.end, b.extents_at);
  });
  check_places(header);
  return header;
}

}  // namespace stele

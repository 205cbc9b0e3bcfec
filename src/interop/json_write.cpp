#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>

#include "base/float_mode.hpp"
#include "base/printable.hpp"
#include "format/text/base64.hpp"
#include "interop/array.hpp"
#include "interop/json.hpp"

namespace stele {
namespace {

constexpr std::size_t passed_on = std::size_t{64} << 10;
constexpr std::size_t base64_piece = 3 * (std::size_t{16} << 10);

bool is_extension(std::string_view name) noexcept { return name.starts_with('$'); }

/// Whether names make up a plain JSON object.
bool are_plain(std::vector<std::string_view> names) {
  if (names.size() == 1) {
    return !is_extension(names[0]);
  }
  std::sort(names.begin(), names.end());
  return std::adjacent_find(names.begin(), names.end()) == names.end();
}

}  // namespace

void JsonWriter::pass_on() {
  if (out_.size() >= passed_on) {
    flush();
  }
}

std::uint64_t JsonWriter::flush() {
  to_.write(std::as_bytes(std::span(out_)));
  passed_ += out_.size();
  out_.clear();
  return passed_;
}

void JsonWriter::end_line() {
  out_ += '\n';
  anchors_.clear();
  pass_on();
}

void JsonWriter::text(std::string_view text) {
  const auto is_special = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == '"' || c == '\\'; };
  out_ += '"';
  while (!text.empty()) {
    const auto as_it_is = static_cast<std::size_t>(std::find_if(text.begin(), text.end(), is_special) - text.begin());
    out_ += text.substr(0, as_it_is);
    text.remove_prefix(as_it_is);
    append_json_text(out_, text.substr(0, 1));
    text.remove_prefix(std::min<std::size_t>(1, text.size()));
  }
  out_ += '"';
  pass_on();
}

void JsonWriter::base64(Bytes bytes) {
  out_ += '"';
  for (std::size_t at = 0; at < bytes.size(); at += base64_piece) {
    append_base64(out_, bytes.subspan(at, std::min(base64_piece, bytes.size() - at)));
    pass_on();
  }
  out_ += '"';
}

void JsonWriter::floating(double value, std::uint64_t bits) {
  std::array<char, 32> digits{};
  if (!std::isfinite(value)) {
    const bool common = std::isinf(value) || bits == 0x7ff8000000000000U;
    out_ += R"({"$float":")";
    if (common) {
      out_ += std::isnan(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity";
    } else {
      const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), bits, 16).ptr;
      out_.append("0x").append(digits.data(), end);
    }
    out_ += "\"}";
    return;
  }
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  const std::string_view shortest(digits.data(), static_cast<std::size_t>(end - digits.data()));
  out_ += shortest;
  if (shortest.find_first_of(".e") == std::string_view::npos) {
    out_ += ".0";  // stays a float
  }
}

void JsonWriter::number(const Number& number) {
  const StandardFloats standard;
  switch (number.type) {
    case Number::Type::natural:
      out_ += std::to_string(number.bits);
      return;
    case Number::Type::negative:
      if (number.bits <= static_cast<std::uint64_t>(INT64_MAX)) {
        out_ += std::to_string(static_cast<std::int64_t>(~number.bits));
      } else {  // -1 - bits, beyond what readers of JSON take
        out_ += R"({"$negative":)" + std::to_string(number.bits) + "}";
      }
      return;
    case Number::Type::float16:
    case Number::Type::float32:
    case Number::Type::float64:
      break;
  }
  double value = 0;
  if (number.type == Number::Type::float16) {
    float16 half;
    half.bits = static_cast<std::uint16_t>(number.bits);
    value = std::bit_cast<double>(widened_bits(std::bit_cast<std::uint32_t>(static_cast<float>(half))));
  } else if (number.type == Number::Type::float32) {
    value = std::bit_cast<double>(widened_bits(static_cast<std::uint32_t>(number.bits)));
  } else {
    value = std::bit_cast<double>(number.bits);
  }
  floating(value, number.type == Number::Type::float64 ? number.bits : std::bit_cast<std::uint64_t>(value));
}

void JsonWriter::dtype(const DType& dtype) {
  if (!dtype.is_record()) {
    text(dtype.numpy());
    return;
  }
  out_ += R"({"size":)" + std::to_string(dtype.item_size()) + R"(,"fields":[)";
  bool first = true;
  for (const DType::Field& field : dtype.fields()) {
    out_ += first ? R"({"name":)" : R"(,{"name":)";
    first = false;
    text(field.name);
    out_ += R"(,"dtype":)";
    this->dtype(field.type);
    out_ += R"(,"offset":)" + std::to_string(field.offset) + R"(,"count":)" + std::to_string(field.count) + "}";
  }
  out_ += "]}";
}

void JsonWriter::array(const AnyArray& array) {
  const AnyArray lying = dense(array);
  const ArrayView& view = lying.view();
  out_ += R"({"$array":{"dtype":)";
  dtype(view.dtype);
  out_ += R"(,"shape":[)";
  for (std::size_t axis = 0; axis < view.shape.rank(); ++axis) {
    out_ += (axis > 0 ? "," : "") + std::to_string(view.shape[axis]);
  }
  out_ += order_of(view) == Order::row_major ? R"(],"order":"C","data":)" : R"(],"order":"F","data":)";
  base64({view.data, static_cast<std::size_t>(view.byte_count())});
  out_ += "}}";
}

void JsonWriter::map(const Value& map) {
  std::vector<std::string_view> names;
  for (const auto& [key, item] : map.entries()) {
    if (!key.is_text()) {
      break;
    }
    names.push_back(key.text());
  }
  const bool plain = names.size() == map.entries().size() && are_plain(std::move(names));
  out_ += plain ? "{" : R"({"$map":[)";
  bool first = true;
  for (const auto& [key, item] : map.entries()) {
    out_ += first ? "" : ",";
    first = false;
    out_ += plain ? "" : "[";
    value(key);
    out_ += plain ? ':' : ',';
    value(item);
    out_ += plain ? "" : "]";
  }
  out_ += plain ? "}" : "]}";
}

void JsonWriter::record(const Value& record) {
  const std::span<const std::string_view> names = record.names();
  const bool plain = record.version() == 0 && are_plain({names.begin(), names.end()});
  out_ += plain ? "{" : R"({"$record":[)" + std::to_string(record.version());
  for (std::size_t i = 0; i < names.size(); ++i) {
    out_ += plain ? (i > 0 ? "," : "") : ",[";
    text(names[i]);
    out_ += plain ? ':' : ',';
    value(record.items()[i]);
    out_ += plain ? "" : "]";
  }
  out_ += plain ? "}" : "]}";
}

void JsonWriter::anchored(std::string_view name, const Value& value) {
  const std::size_t number = anchors_.emplace(value.anchor().get(), anchors_.size()).first->second;
  out_.append("{\"").append(name).append(value.is(ValueKind::shared) ? "\":[" : "\":");
  out_ += std::to_string(number);
  if (value.is(ValueKind::shared)) {
    out_ += ',';
    this->value(value.content());
    out_ += ']';
  }
  out_ += '}';
}

void JsonWriter::value(const Value& value) {
  switch (value.kind()) {
    case ValueKind::null:
      out_ += "null";
      return;
    case ValueKind::boolean:
      out_ += value.boolean() ? "true" : "false";
      return;
    case ValueKind::integer:
    case ValueKind::real:
      return number(value.number());
    case ValueKind::text:
      return text(value.text());
    case ValueKind::bytes:
      out_ += R"({"$bytes":)";
      base64(value.bytes());
      out_ += '}';
      return;
    case ValueKind::array:
      return array(value.array());
    case ValueKind::sequence:
      out_ += '[';
      for (std::size_t i = 0; i < value.items().size(); ++i) {
        out_ += i > 0 ? "," : "";
        this->value(value.items()[i]);
        pass_on();
      }
      out_ += ']';
      return;
    case ValueKind::map:
      return map(value);
    case ValueKind::record:
      return record(value);
    case ValueKind::typed:
      out_ += R"({"$typed":[)";
      text(value.type_name());
      out_ += ',';
      this->value(value.content());
      out_ += "]}";
      return;
    case ValueKind::shared:
      return anchored("$shared", value);
    case ValueKind::reference:
      return anchored("$reference", value);
  }
}

}  // namespace stele

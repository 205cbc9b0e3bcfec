#include "interop/json.hpp"
#include "stele/error.hpp"

#if STELE_WITH_JSON

#include <algorithm>
#include <charconv>
#include <limits>
#include <map>
#include <optional>

#include <nlohmann/json.hpp>

#include "base/float_mode.hpp"
#include "format/text/base64.hpp"
#include "interop/array.hpp"

namespace stele {
namespace {

constexpr std::size_t deepest = Limits{}.depth;

// Checks of the fields of special objects. The caller adds the object's name to the Error.

[[noreturn]] void fail_form(std::string what) { fail(Errc::malformed, std::move(what)); }

std::uint64_t natural(const Value* value, std::uint64_t most = std::numeric_limits<std::uint64_t>::max()) {
  if (value == nullptr || !value->is(ValueKind::integer) || value->number().type != Number::Type::natural ||
      value->number().bits > most) {
    fail_form("a number that is missing, or no natural one, or too large");
  }
  return value->number().bits;
}

std::uint32_t natural32(const Value* value) {
  return static_cast<std::uint32_t>(natural(value, std::numeric_limits<std::uint32_t>::max()));
}

const std::string& text_of(const Value* value) {
  if (value == nullptr || !value->is_text()) {
    fail_form("a text is missing");
  }
  return value->text();
}

std::span<const Value> items_of(const Value* value) {
  if (value == nullptr || !value->is_sequence()) {
    fail_form("a list is missing");
  }
  return value->items();
}

std::span<const Value> pair_of(const Value& value) {
  const std::span<const Value> items = items_of(&value);
  if (items.size() != 2) {
    fail_form("a list of two is expected");
  }
  return items;
}

std::vector<std::byte> base64_bytes(const Value* value) {
  const std::string& text = text_of(value);
  try {
    return decode_base64(text);
  } catch (const Error& error) {
    fail_form("no valid base64: " + error.message());
  }
}

DType dtype_of(const Value* value) {
  if (value != nullptr && value->is_text()) {
    bool big_endian = false;
    const DType dtype = DType::from_numpy(value->text(), big_endian);
    if (big_endian) {
      fail(Errc::unsupported, "elements that are not little-endian");
    }
    return dtype;
  }
  if (value == nullptr || !value->is_map()) {
    fail_form("the dtype is missing");
  }
  std::vector<DType::Field> fields;
  for (const Value& field : items_of(value->find("fields"))) {
    if (!field.is_map()) {
      fail_form("a field of its dtype is no object");
    }
    fields.push_back({text_of(field.find("name")), dtype_of(field.find("dtype")), natural32(field.find("offset")),
                      natural32(field.find("count"))});
  }
  return DType::record(std::move(fields), natural32(value->find("size")));
}

Value array_value(const Value& form) {
  if (!form.is_map()) {
    fail_form("no object follows");
  }
  ArrayHeader header;
  header.dtype = dtype_of(form.find("dtype"));
  for (const Value& extent : items_of(form.find("shape"))) {
    header.shape.push_back(natural(&extent));
  }
  const std::string& order = text_of(form.find("order"));
  if (order != "C" && order != "F") {
    fail_form("the order is neither C nor F");
  }
  header.order = order == "C" ? Order::row_major : Order::column_major;
  const std::vector<std::byte> data = base64_bytes(form.find("data"));
  if (data.size() != array_bytes(header)) {
    fail_form(std::to_string(data.size()) + " bytes of data do not fit " + header.dtype.name() + header.shape.text());
  }
  return read_elements(*memory_source(data), header);
}

Value float_value(const Value& form) {
  const std::string& text = text_of(&form);
  constexpr double infinity = std::numeric_limits<double>::infinity();
  if (text == "Infinity" || text == "-Infinity") {
    return Value(text[0] == '-' ? -infinity : infinity);
  }
  std::uint64_t bits = 0x7ff8000000000000U;
  if (text != "NaN") {
    const char* const end = text.data() + text.size();
    if (!text.starts_with("0x") || text.size() > 18) {
      fail_form("neither NaN, Infinity, -Infinity nor 0x and up to 16 digits");
    }
    const auto [stop, error] = std::from_chars(text.data() + 2, end, bits, 16);
    if (error != std::errc() || stop != end) {
      fail_form("no hexadecimal number");
    }
  }
  return Value(Number{Number::Type::float64, bits});
}

Value map_value(const Value& form) {
  std::vector<Value::Entry> entries;
  for (const Value& entry : items_of(&form)) {
    const std::span<const Value> items = pair_of(entry);
    entries.emplace_back(items[0], items[1]);
  }
  return Value::make_map(std::move(entries));
}

Value record_value(const Value& form) {
  const std::span<const Value> items = items_of(&form);
  const std::uint32_t version = natural32(items.empty() ? nullptr : items.data());
  std::vector<std::string> names;
  std::vector<Value> values;
  for (const Value& field : items.subspan(1)) {
    const std::span<const Value> both = pair_of(field);
    names.push_back(text_of(both.data()));
    values.push_back(both[1]);
  }
  return Value::make_record(std::move(names), std::move(values), version);
}

/// Makes a Value of what the parser meets.
class Builder final : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit Builder(JsonForm form) : form_(form) {}

  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(number_integer_t value) override { return add(std::int64_t{value}); }
  bool number_unsigned(number_unsigned_t value) override { return add(std::uint64_t{value}); }
  bool number_float(number_float_t value, const string_t& text) override {
    if (text.find_first_of(".eE") == string_t::npos) {
      fail(Errc::out_of_range, "the integer " + text + " does not fit 64 bits");
    }
    return add(value);
  }
  bool string(string_t& value) override { return add(Value(std::move(value))); }
  bool binary(binary_t& value) override {
    static_cast<void>(value);
    return false;  // JSON has none
  }
  bool start_object(std::size_t) override { return open(true); }
  bool start_array(std::size_t) override { return open(false); }
  bool key(string_t& value) override {
    frames_.back().keys.push_back(std::move(value));
    return true;
  }
  bool end_object() override {
    Frame frame = close();
    return add(object(std::move(frame)));
  }
  bool end_array() override {
    Frame frame = close();
    return add(Value::make_sequence(std::move(frame.values)));
  }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception& error) override {
    if (dynamic_cast<const nlohmann::detail::out_of_range*>(&error) != nullptr) {
      fail(Errc::out_of_range, "a number at byte " + std::to_string(position) + " does not fit a float");
    }
    fail(Errc::malformed, "no valid JSON at byte " + std::to_string(position));
  }

  Value finish() {
    for (const auto& [number, anchor] : anchors_) {
      if (!anchor.defined) {
        fail(Errc::malformed, "a $reference to " + std::to_string(number) + ", which is not $shared");
      }
    }
    return std::move(root_);
  }

 private:
  struct Frame {
    bool is_object = false;
    std::vector<std::string> keys;
    std::vector<Value> values;
  };
  struct Anchor {
    Value::Anchor anchor;
    bool defined = false;
  };

  bool add(Value value) {
    if (frames_.empty()) {
      root_ = std::move(value);
    } else {
      frames_.back().values.push_back(std::move(value));
    }
    return true;
  }
  bool open(bool is_object) {
    if (frames_.size() >= deepest) {
      fail(Errc::limit_exceeded, "lists and objects lie more than " + std::to_string(deepest) + " deep in each other");
    }
    frames_.emplace_back().is_object = is_object;
    return true;
  }
  Frame close() {
    Frame frame = std::move(frames_.back());
    frames_.pop_back();
    return frame;
  }

  Value object(Frame frame) {
    if (form_ == JsonForm::extended && !frames_.empty() && frame.keys.size() == 1 && frame.keys[0].starts_with('$')) {
      try {
        if (std::optional<Value> value = extension(frame.keys[0], frame.values[0])) {
          return std::move(*value);
        }
      } catch (const Error& error) {
        fail(error.code(), frame.keys[0] + ": " + error.message());
      }
    }
    std::vector<std::string_view> names(frame.keys.begin(), frame.keys.end());
    std::sort(names.begin(), names.end());
    if (const auto twice = std::adjacent_find(names.begin(), names.end()); twice != names.end()) {
      fail(Errc::duplicate_field, "an object names \"" + std::string(*twice) + "\" twice");
    }
    std::vector<Value::Entry> entries;
    entries.reserve(frame.keys.size());
    for (std::size_t i = 0; i < frame.keys.size(); ++i) {
      entries.emplace_back(Value(std::move(frame.keys[i])), std::move(frame.values[i]));
    }
    return Value::make_map(std::move(entries));
  }

  std::optional<Value> extension(const std::string& name, const Value& form) {
    if (name == "$bytes") {
      return Value::make_bytes(base64_bytes(&form));
    }
    if (name == "$array") {
      return array_value(form);
    }
    if (name == "$float") {
      return float_value(form);
    }
    if (name == "$negative") {
      return Value(Number{Number::Type::negative, natural(&form)});
    }
    if (name == "$map") {
      return map_value(form);
    }
    if (name == "$record") {
      return record_value(form);
    }
    if (name == "$typed") {
      const std::span<const Value> both = pair_of(form);
      return Value::make_typed(text_of(both.data()), both[1]);
    }
    if (name == "$shared") {
      const std::span<const Value> both = pair_of(form);
      Anchor& anchor = anchor_of(natural(both.data()));
      if (anchor.defined) {
        fail_form("the same number twice");
      }
      anchor.defined = true;
      return Value::make_shared(anchor.anchor, both[1]);
    }
    if (name == "$reference") {
      return Value::make_reference(anchor_of(natural(&form)).anchor);
    }
    return std::nullopt;
  }
  Anchor& anchor_of(std::uint64_t number) {
    Anchor& anchor = anchors_[number];
    if (anchor.anchor == nullptr) {
      anchor.anchor = Value::make_anchor(number);
    }
    return anchor;
  }

  const JsonForm form_;
  std::vector<Frame> frames_;
  std::map<std::uint64_t, Anchor> anchors_;
  Value root_;
};

}  // namespace

Value parse_json(std::string_view text, JsonForm form) {
  if (const std::size_t at = text.find('\0'); at != std::string_view::npos) {  // ends the text for the parser
    fail(Errc::malformed, "no valid JSON at byte " + std::to_string(at + 1));
  }
  const StandardFloats standard;
  Builder builder(form);
  if (!nlohmann::json::sax_parse(text, &builder)) {
    fail(Errc::malformed, "no valid JSON");
  }
  return builder.finish();
}

}  // namespace stele

#else

namespace stele {

Value parse_json(std::string_view, JsonForm) { fail(Errc::unsupported, "this build of stele reads no JSON"); }

}  // namespace stele

#endif  // STELE_WITH_JSON

// The state of a numpy.dtype: a call numpy.dtype("f8", False, True) and, in BUILD, a tuple of the version (3 or 4),
// byte order, sub-array, field names, fields, item size, alignment, flags, and the unit of times.

#include <charconv>
#include <limits>
#include <map>
#include <utility>

#include "interop/pickle/numpy/numpy.hpp"
#include "stele/error.hpp"

namespace stele::pickle {
namespace {

constexpr std::uint32_t most_fields = 4096;  // of nested records too
constexpr std::int64_t flag_object = 0x01;
constexpr std::int64_t flag_aligned = 0x80;
constexpr int deepest = 32;

std::optional<std::int64_t> small(const Value& value) {
  if (value.is(ValueKind::boolean)) {
    return value.boolean() ? 1 : 0;
  }
  if (!value.is(ValueKind::integer)) {
    return std::nullopt;
  }
  const Number number = value.number();
  if (number.bits > static_cast<std::uint64_t>(INT64_MAX)) {
    return std::nullopt;
  }
  const auto magnitude = static_cast<std::int64_t>(number.bits);
  return number.type == Number::Type::natural ? magnitude : -1 - magnitude;
}

using Type = std::shared_ptr<const NumpyType>;
Type type_at(const Value& value, int depth, Budget& budget);

/// A sub-array: the dtype of its elements, and its shape.
struct SubArray {
  Type base;
  Shape shape;
};
std::optional<SubArray> sub_array(const Value& value, int depth, Budget& budget) {
  if (!value.is(part::tuple) || items_of(value).size() != 2) {
    return std::nullopt;
  }
  Type base = type_at(items_of(value)[0], depth + 1, budget);
  const auto shape = shape_of(items_of(value)[1]);
  return base != nullptr && shape ? std::optional(SubArray{std::move(base), *shape}) : std::nullopt;
}
/// That of a dtype, where it is one.
std::optional<SubArray> sub_array_of(const Value& dtype, int depth, Budget& budget) {
  const std::vector<Value>& states = node_of<Object>(dtype).states;
  if (states.size() != 1 || !states[0].is(part::tuple) || items_of(states[0]).size() < 8) {
    return std::nullopt;
  }
  return sub_array(items_of(states[0])[2], depth, budget);
}

/// Adds a field to a list of fields, as far as such a list can say where it lies.
struct Fields {
  NumpyType& type;
  std::vector<DType::Field> fields = {};
  std::uint64_t offset = 0;  // where the fields so far end

  std::string separator() const { return type.descr == "[" ? "" : ", "; }
  void gap_to(std::uint64_t to) {
    if (to > offset) {
      type.descr += separator() + "('', '|V" + std::to_string(to - offset) + "')";
    } else if (to < offset) {
      type.is_exact = false;  // they overlap or are not in order
    }
  }
  void add(const std::string& name, const NumpyType& field, const Shape& shape, std::uint64_t at) {
    gap_to(at);
    const std::uint64_t count = shape.count();
    type.descr += separator() + "(" + python_quoted(name) + ", ";
    type.descr += field.descr[0] == '[' ? field.descr : python_quoted(field.descr);
    if (shape.rank() > 0) {
      type.descr += ", (" + std::to_string(shape[0]);
      for (std::size_t axis = 1; axis < shape.rank(); ++axis) {
        type.descr += ", " + std::to_string(shape[axis]);
      }
      type.descr += shape.rank() == 1 ? ",)" : ")";
    }
    type.descr += ")";
    type.is_exact = type.is_exact && field.is_exact && !name.empty();
    type.has_objects = type.has_objects || field.has_objects;
    type.field_count += field.field_count;
    if (type.field_count > most_fields) {
      fail(Errc::limit_exceeded, "a dtype of more than " + std::to_string(most_fields) + " fields");
    }
    constexpr std::uint64_t most = std::numeric_limits<std::uint32_t>::max();
    type.is_plain = type.is_plain && field.is_plain && shape.rank() <= 1 && count > 0 && count <= most && at <= most &&
                    (count == 1 || !field.dtype.is_record() || field.swaps.empty());
    if (type.is_plain) {
      for (const NpySwap& swap : field.swaps) {
        type.swaps.push_back({swap.dtype, at + swap.offset, swap.count * count});
      }
      fields.push_back({name, field.dtype, static_cast<std::uint32_t>(at), static_cast<std::uint32_t>(count)});
    }
    offset = at + field.item_size * count;
  }
};

/// A record: names, and a dict of dtype and offset.
bool read_fields(NumpyType& type, const Value& names, const Value& fields, int depth, Budget& budget) {
  budget.charge_items(items_of(names).size() + 2 * node_of<Map>(fields).entries.size());
  std::map<std::string_view, const Value*> by_name;
  for (const auto& [name, field] : node_of<Map>(fields).entries) {
    if (is_string(name)) {
      by_name[string_of(name)] = &field;
    }
  }
  type.descr = "[";
  type.is_exact = type.is_plain = true;
  Fields list{type};
  for (const Value& name : items_of(names)) {
    if (!is_string(name)) {
      return false;
    }
    const auto found = by_name.find(string_of(name));
    if (found == by_name.end() || !found->second->is(part::tuple) || items_of(*found->second).size() < 2) {
      return false;
    }
    const std::vector<Value>& parts = items_of(*found->second);
    const Type field = type_at(parts[0], depth + 1, budget);
    const auto at = small(parts[1]);
    if (field == nullptr || !at || *at < 0 || static_cast<std::uint64_t>(*at) > type.item_size) {
      return false;
    }
    const auto inner = sub_array_of(parts[0], depth + 1, budget);
    list.add(std::string(string_of(name)), inner ? *inner->base : *field, inner ? inner->shape : Shape(),
             static_cast<std::uint64_t>(*at));
    budget.charge(2 * string_of(name).size() + field->descr.size());
    if (parts.size() > 2) {  // a title, which has no place in the list or in a DType
      type.is_exact = type.is_plain = false;
    }
  }
  list.gap_to(type.item_size);
  type.descr += "]";
  type.is_plain = type.is_plain && type.item_size <= std::numeric_limits<std::uint32_t>::max();
  if (type.is_plain) {
    try {
      type.dtype = DType::record(std::move(list.fields), static_cast<std::uint32_t>(type.item_size));
    } catch (const Error&) {
      type.is_plain = false;  // names that come twice, fields outside the record
    }
  }
  return true;
}

/// The unit of times, as in "[25us]"; empty for the generic one, nothing for an unknown form.
std::optional<std::string> unit_text(const Value& metadata) {
  if (!metadata.is(part::tuple) || items_of(metadata).size() != 2 || !items_of(metadata)[1].is(part::tuple)) {
    return std::nullopt;
  }
  const std::vector<Value>& unit = items_of(items_of(metadata)[1]);
  if (unit.size() < 3 || !is_string(unit[0])) {
    return std::nullopt;
  }
  const auto multiple = small(unit[1]);
  if (!multiple || *multiple < 1 || small(unit[2]) != 1 || (unit.size() > 3 && small(unit[3]) != 1)) {
    return std::nullopt;
  }
  const std::string name(string_of(unit[0]));
  return name == "generic" ? "" : "[" + (*multiple == 1 ? "" : std::to_string(*multiple)) + name + "]";
}

/// A number, a text, bytes, a time or an object.
bool read_simple(NumpyType& type, std::string_view code, char order, const std::string& unit) {
  std::uint64_t digits = 0;
  const auto [end, error] = std::from_chars(code.data() + 1, code.data() + code.size(), digits);
  if (error != std::errc() || end != code.data() + code.size() || digits > (std::uint64_t{1} << 40)) {
    return false;
  }
  const char kind = code[0];
  if (std::string_view("biufcmMSUVO").find(kind) == std::string_view::npos) {
    return false;
  }
  const bool is_flexible = kind == 'S' || kind == 'U' || kind == 'V';
  const std::uint64_t bytes = kind == 'U' ? 4 * digits : digits;
  if (is_flexible && type.item_size != 0 && type.item_size != bytes) {
    return false;
  }
  type.item_size = bytes;
  const bool has_order = kind != 'S' && kind != 'V' && kind != 'O' && kind != 'b' && bytes != 1;
  type.descr = std::string(1, !has_order ? '|' : order == '>' ? '>' : '<');
  type.descr += kind == 'O' ? "O" : std::string(code);
  type.descr += unit;
  type.is_exact = true;
  type.has_objects = type.is_object = kind == 'O';
  try {
    bool is_swapped = false;
    type.dtype = DType::from_numpy(type.descr, is_swapped);
    type.is_plain = kind != 'V' && kind != 'O';
    if (is_swapped && bytes > 1) {
      type.swaps.push_back({type.dtype, 0, 1});
    }
  } catch (const Error&) {
    type.is_plain = false;
  }
  return true;
}

Type read_type(const Object& object, int depth, Budget& budget) {
  const std::vector<Value>& args = items_of(object.args);
  if (args.empty() || !is_string(args[0]) || object.states.size() > 1 || depth > deepest) {
    return nullptr;
  }
  const std::string_view code = string_of(args[0]);
  if (code.size() < 2) {
    return nullptr;
  }
  auto type = std::make_shared<NumpyType>();
  if (object.states.empty()) {  // the name says all: "f8", "<M8[ns]"
    const bool has_order = std::string_view("<>|=").find(code[0]) != std::string_view::npos;
    const std::string_view name = code.substr(has_order ? 1 : 0);
    const std::size_t unit = std::min(name.find('['), name.size());
    return unit > 1 && read_simple(*type, name.substr(0, unit), code[0], std::string(name.substr(unit))) ? type
                                                                                                         : nullptr;
  }
  if (!object.states[0].is(part::tuple)) {
    return nullptr;
  }
  const std::vector<Value>& state = items_of(object.states[0]);
  if (state.size() < 8 || state.size() > 9) {
    return nullptr;
  }
  const auto version = small(state[0]);
  const auto size = small(state[5]);
  const auto flags = small(state[7]);
  if ((version != 3 && version != 4) || !is_string(state[1]) || string_of(state[1]).size() != 1 || !size || !flags) {
    return nullptr;
  }
  type->item_size = *size < 0 ? 0 : static_cast<std::uint64_t>(*size);
  bool is_known = false;
  if (state[3].is(part::tuple) && state[4].is_map() && state[2].is_null()) {
    is_known = read_fields(*type, state[3], state[4], depth, budget);
  } else if (!state[2].is_null()) {  // a sub-array, which only the fields of a record are
    is_known = sub_array(state[2], depth, budget).has_value();
  } else {
    std::optional<std::string> unit = "";
    if (code[0] == 'm' || code[0] == 'M') {
      unit = state.size() > 8 ? unit_text(state[8]) : std::nullopt;
    } else if (state.size() > 8 && !state[8].is_null()) {
      return nullptr;  // metadata of the user's
    }
    is_known = unit && read_simple(*type, code, string_of(state[1])[0], *unit);
  }
  type->has_objects = type->has_objects || (*flags & flag_object) != 0;
  type->is_plain = type->is_plain && !type->has_objects;
  if ((*flags & flag_aligned) != 0) {
    type->is_exact = false;
  }
  return is_known ? type : nullptr;
}

Type type_at(const Value& value, int depth, Budget& budget) {
  if (known_callable(value) != Known::dtype) {
    return nullptr;
  }
  Object& object = node_of<Object>(value);
  if (!std::exchange(object.is_type_known, true)) {  // also ends the recursion of a dtype that holds itself
    object.type = read_type(object, depth, budget);
  }
  return object.type;
}

}  // namespace

Type numpy_type(const Value& value, Budget& budget) { return type_at(value, 0, budget); }

void settle_dtype(Object& object, Budget& budget) {
  const bool has_more = !object.kwargs.is_null() || !object.items.empty() || !object.entries.empty();
  if (object.has_finished || has_more || known(object.callable) != Known::dtype || !object.args.is(part::tuple)) {
    return;
  }
  if (!std::exchange(object.is_type_known, true)) {
    object.type = read_type(object, 0, budget);
  }
  if (object.type != nullptr && object.type->is_exact) {
    object.finished = Value::make_typed("py:numpy.dtype", Value(object.type->descr));
    object.has_finished = true;
  }
}

}  // namespace stele::pickle

#include "interop/pickle/numpy/numpy.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>
#include <vector>

#include "archive/convert.hpp"
#include "archive/read/decoder/fields.hpp"
#include "interop/array.hpp"
#include "stele/error.hpp"

namespace stele::pickle {
namespace {

/// The bytes of `value` as the elements of an array; taken over, shared or copied.
Value array_of(const Value& value, const NumpyType& type, const Shape& shape, Order order, Budget& budget) {
  const NpyHeader header{{type.dtype, shape, order}, 0, type.swaps};
  const std::uint64_t bytes = array_bytes(header.array);
  std::uint64_t have = 0;
  if (value.is_array()) {
    have = value.array().view().byte_count();
  } else {
    have = string_of(value).size();
  }
  if (have != bytes) {
    fail(Errc::malformed, "an array of the shape " + shape.text() + " with " + std::to_string(have) +
                              " bytes instead of " + std::to_string(bytes));
  }
  std::shared_ptr<Buffer> buffer;
  const std::byte* first = nullptr;
  if (value.is_array()) {
    buffer = value.array().buffer();
    first = value.array().view().data;
  } else if (value.is(part::data) || value.is(part::byte_array)) {
    Data& data = node_of<Data>(value);
    buffer = data.taken ? nullptr : data.buffer;
    first = data.buffer->data();
  } else {
    first = reinterpret_cast<const std::byte*>(string_of(value).data());
  }
  const bool is_aligned = reinterpret_cast<std::uintptr_t>(first) % alignment_to_map(type.dtype) == 0;
  if (!value.is(part::data) && !value.is(part::byte_array)) {
    budget.charge(bytes);
  }
  if (buffer == nullptr || !is_aligned || !type.swaps.empty()) {
    budget.charge(bytes);
    buffer = Buffer::allocate(static_cast<std::size_t>(bytes));
    if (bytes > 0) {
      std::memcpy(buffer->mutable_data(), first, static_cast<std::size_t>(bytes));
    }
    first = buffer->data();
    swap_npy(header, buffer->mutable_data());
  } else if (!value.is_array()) {
    node_of<Data>(value).taken = true;
  }
  if (has_booleans(type.dtype) && !booleans_are_valid(type.dtype, first, shape.count())) {
    fail(Errc::malformed, "an array of bools with a byte that is neither 0 nor 1");
  }
  return AnyArray(ArrayView(type.dtype, first, shape, order), std::move(buffer));
}

bool holds_bytes(const Value& value) noexcept {
  return is_string(value) || (value.is_array() && (value.array().view().is_dense(Order::row_major) ||
                                                   value.array().view().is_dense(Order::column_major)));
}

std::optional<bool> truth(const Value& value) {
  if (value.is(ValueKind::boolean)) {
    return value.boolean();
  }
  return value.is(ValueKind::integer) ? std::optional(value.number().bits != 0) : std::nullopt;
}

/// Items in the order of columns, of those in the order of rows.
std::vector<Value> by_columns(const std::vector<Value>& rows, const Shape& shape) {
  std::vector<Value> columns;
  columns.reserve(rows.size());
  std::vector<std::uint64_t> index(shape.rank());
  std::vector<std::uint64_t> strides(shape.rank(), 1);
  for (std::size_t axis = shape.rank(); axis-- > 1;) {
    strides[axis - 1] = strides[axis] * shape[axis];
  }
  std::uint64_t at = 0;
  for (std::size_t n = 0; n < rows.size(); ++n) {
    columns.push_back(rows[static_cast<std::size_t>(at)]);
    for (std::size_t axis = 0; axis < shape.rank(); ++axis) {
      at += strides[axis];
      if (++index[axis] < shape[axis]) {
        break;
      }
      at -= strides[axis] * shape[axis];
      index[axis] = 0;
    }
  }
  return columns;
}

/// An array of objects, whose items are those of a list in the order of rows.
Value object_array(const Shape& shape, Order order, const Value& list, Marks& marks) {
  Value items = list;
  if (order == Order::column_major) {
    marks.budget().charge_items(items_of(list).size());
    for (const Value& item : items_of(list)) {
      marks.mark(item);
    }
    items = new_items(ValueKind::sequence, by_columns(items_of(list), shape));
  }
  std::vector<std::uint64_t> extents(shape.begin(), shape.end());
  const ArrayView view(DType::Kind::uint64, extents.data(), extents.size());
  Value record = Value::make_record({"shape", "order", "items"},
                                    {AnyArray::copy_of(view), order == Order::row_major ? "C" : "F", std::move(items)});
  return Value::make_typed("py:numpy.object_array", std::move(record));
}

/// The state of an array: its version, shape, dtype, order and elements.
struct ArrayState {
  std::size_t start = 0;  // of the shape in the tuple
  Shape shape;
  Order order = Order::row_major;
  std::shared_ptr<const NumpyType> type;
  const Value* elements = nullptr;
};
std::optional<ArrayState> array_state(const Value& state, Budget& budget) {
  if (!state.is(part::tuple) || items_of(state).size() < 4) {
    return std::nullopt;
  }
  const std::vector<Value>& items = items_of(state);
  ArrayState found;
  found.start = items[0].is(ValueKind::integer) ? 1 : 0;
  if (items.size() < found.start + 4) {
    return std::nullopt;
  }
  const auto shape = shape_of(items[found.start]);
  const auto by_column = truth(items[found.start + 2]);
  found.type = numpy_type(items[found.start + 1], budget);
  if (!shape || !by_column || found.type == nullptr) {
    return std::nullopt;
  }
  found.shape = *shape;
  found.order = *by_column && shape->rank() > 1 ? Order::column_major : Order::row_major;
  found.elements = &items[found.start + 3];
  return found;
}

}  // namespace

std::optional<Shape> shape_of(const Value& value) {
  if (value.is(ValueKind::integer)) {  // as old versions wrote one extent
    const Number number = value.number();
    return number.type == Number::Type::natural ? std::optional(Shape{number.bits}) : std::nullopt;
  }
  if (!value.is(part::tuple)) {
    return std::nullopt;
  }
  Shape shape;
  for (const Value& extent : items_of(value)) {
    if (!extent.is(ValueKind::integer) || extent.number().type != Number::Type::natural) {
      return std::nullopt;
    }
    shape.push_back(extent.number().bits);
  }
  return shape;
}

std::optional<Value> built_array(const Object& object, const Value& state, Marks& marks) {
  const std::vector<Value>& args = items_of(object.args);
  if (args.empty() || known(args[0]) != Known::ndarray) {
    return std::nullopt;
  }
  const auto array = array_state(state, marks.budget());
  if (!array || items_of(state).size() != array->start + 4) {
    return std::nullopt;
  }
  const Value& elements = *array->elements;
  if (array->type->is_object && elements.is(ValueKind::sequence)) {
    if (items_of(elements).size() != array->shape.count()) {
      fail(Errc::malformed, "an array of the shape " + array->shape.text() + " with " +
                                std::to_string(items_of(elements).size()) + " objects");
    }
    return object_array(array->shape, array->order, elements, marks);
  }
  if (!array->type->is_plain || !holds_bytes(elements)) {
    return std::nullopt;
  }
  return array_of(elements, *array->type, array->shape, array->order, marks.budget());
}

std::optional<Value> with_array(const Value& state, Budget& budget) {
  const auto array = array_state(state, budget);
  if (!array || !array->type->is_plain || !array->type->swaps.empty() || !is_string(*array->elements)) {
    return std::nullopt;
  }
  budget.charge_items(items_of(state).size());
  std::vector<Value> items = items_of(state);
  items[array->start + 3] = array_of(*array->elements, *array->type, array->shape, array->order, budget);
  return new_items(part::tuple, std::move(items));
}

std::optional<Value> scalar(std::span<const Value> args, Budget& budget) {
  if (args.size() != 2 || !is_string(args[1])) {
    return std::nullopt;
  }
  const std::shared_ptr<const NumpyType> type = numpy_type(args[0], budget);
  if (type == nullptr || !type->is_plain) {
    return std::nullopt;
  }
  return Value::make_typed("py:numpy.generic", array_of(args[1], *type, Shape(), Order::row_major, budget));
}

std::optional<Value> from_buffer(std::span<const Value> args, Budget& budget) {
  if (args.size() < 4 || args.size() > 5 || !holds_bytes(args[0]) || !is_string(args[3])) {
    return std::nullopt;
  }
  const std::shared_ptr<const NumpyType> type = numpy_type(args[1], budget);
  const auto shape = shape_of(args[2]);
  const std::string_view order = string_of(args[3]);
  if (type == nullptr || !type->is_plain || !shape) {
    return std::nullopt;
  }
  if (order == "C" || order == "F") {
    return array_of(args[0], *type, *shape, order == "F" && shape->rank() > 1 ? Order::column_major : Order::row_major,
                    budget);
  }
  if (order != "K" || args.size() != 5) {
    return std::nullopt;
  }
  const auto axes = shape_of(args[4]);
  if (!axes || axes->rank() != shape->rank()) {
    return std::nullopt;
  }
  const Value dense = array_of(args[0], *type, *shape, Order::row_major, budget);
  ArrayView turned = dense.array().view();
  std::array<bool, max_rank> seen{};
  for (std::size_t axis = 0; axis < axes->rank(); ++axis) {
    const std::uint64_t from = (*axes)[axis];
    if (from >= shape->rank() || std::exchange(seen.at(static_cast<std::size_t>(from)), true)) {
      fail(Errc::malformed, "the axes of an array are not a permutation");
    }
    turned.shape[axis] = (*shape)[static_cast<std::size_t>(from)];
    turned.strides[axis] = dense.array().view().strides[from];
  }
  return AnyArray(turned, dense.array().buffer());
}

Value reconstructed(Value subclass, const Shape& shape, Value dtype, Order order, Value elements) {
  std::vector<Value> extents;
  for (const std::uint64_t extent : shape) {
    extents.emplace_back(extent);
  }
  std::vector<Value> args;
  args.push_back(std::move(subclass));
  args.push_back(new_items(part::tuple, {Value(0)}));
  args.push_back(new_text(ValueKind::bytes, "b"));
  Value made = new_object(new_global("numpy.core.multiarray", "_reconstruct"), new_items(part::tuple, std::move(args)));
  std::vector<Value> state;
  state.emplace_back(1);
  state.push_back(new_items(part::tuple, std::move(extents)));
  state.push_back(std::move(dtype));
  state.emplace_back(order == Order::column_major);
  state.push_back(std::move(elements));
  node_of<Object>(made).states.push_back(new_items(part::tuple, std::move(state)));
  return made;
}

}  // namespace stele::pickle

#include "interop/pickle/read/tensor.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "archive/convert.hpp"
#include "archive/read/decoder/fields.hpp"
#include "base/bytes.hpp"
#include "interop/array.hpp"
#include "interop/pickle/numpy/numpy.hpp"
#include "stele/error.hpp"

namespace stele::pickle {
namespace {

/// The array, if a value is one.
const AnyArray* array_in(const Value& value) noexcept {
  const Value* inside = &value;
  if (value.is(part::given)) {
    inside = &static_cast<const Given&>(*ValueAccess::shared_node(value)).value;
  }
  return inside->is_array() ? &inside->array() : nullptr;
}

std::optional<std::uint64_t> natural(const Value& value) {
  if (!value.is(ValueKind::integer) || value.number().type != Number::Type::natural) {
    return std::nullopt;
  }
  return value.number().bits;
}

struct TypeName {
  std::string_view name;
  DType::Kind kind;
};
using Kind = DType::Kind;
constexpr std::array<TypeName, 15> types{{
    {"torch.bfloat16", Kind::bfloat16},
    {"torch.complex128", Kind::complex128},
    {"torch.complex64", Kind::complex64},
    {"torch.float16", Kind::float16},
    {"torch.float32", Kind::float32},
    {"torch.float64", Kind::float64},
    {"torch.float8_e4m3fn", Kind::float8_e4m3fn},
    {"torch.float8_e5m2", Kind::float8_e5m2},
    {"torch.int16", Kind::int16},
    {"torch.int32", Kind::int32},
    {"torch.int64", Kind::int64},
    {"torch.int8", Kind::int8},
    {"torch.uint16", Kind::uint16},
    {"torch.uint32", Kind::uint32},
    {"torch.uint64", Kind::uint64},
}};

/// The type that the third form gives: its storages are bytes.
std::optional<DType> type_of(const Value& value) {
  if (!value.is(part::global)) {
    return std::nullopt;
  }
  const auto* const found = std::ranges::find(types, node_of<Global>(value).name, &TypeName::name);
  return found == types.end() ? std::nullopt : std::optional<DType>(found->kind);
}

bool is_empty(const Value& value) { return value.is_null() || (value.is_map() && node_of<Map>(value).entries.empty()); }

std::string list_text(std::span<const std::uint64_t> numbers) {
  std::string text = "[";
  for (const std::uint64_t number : numbers) {
    text += (text.size() > 1 ? ", " : "") + std::to_string(number);
  }
  return text + "]";
}

/// Where the last element lies, counted from the first one; nothing where no number holds it.
std::optional<std::uint64_t> reach(const Shape& shape, std::span<const std::uint64_t> strides) {
  std::optional<std::uint64_t> last = 0;
  for (std::size_t axis = 0; axis < shape.rank() && last; ++axis) {
    const auto step = checked_multiply(shape[axis] - 1, strides[axis]);
    last = step ? checked_add(*last, *step) : std::nullopt;
  }
  return last;
}

}  // namespace

std::optional<Value> tensor(Known form, std::span<const Value> args, Budget& budget) {
  const bool has_type = form == Known::tensor_v3;
  const std::size_t least = form == Known::tensor ? 4 : has_type ? 7 : 6;
  if (args.size() < least || args.size() > least + (form == Known::tensor ? 0 : 1)) {
    return std::nullopt;
  }
  if (form != Known::tensor && args.size() > least && !is_empty(args[least])) {
    return std::nullopt;  // conjugated or negated when it is looked at
  }
  const AnyArray* const storage = array_in(args[0]);
  const auto offset = natural(args[1]);
  const auto shape = shape_of(args[2]);
  if (storage == nullptr || storage->shape().rank() != 1 || !storage->view().is_dense(Order::row_major) || !offset ||
      !shape || !args[2].is(part::tuple) || !args[3].is(part::tuple)) {
    return std::nullopt;
  }
  DType dtype = storage->dtype();
  if (has_type) {
    const auto type = type_of(args[6]);
    if (!type || dtype != DType(Kind::uint8) ||
        reinterpret_cast<std::uintptr_t>(storage->view().data) % alignment_to_map(*type) != 0) {
      return std::nullopt;
    }
    dtype = *type;
  }
  std::array<std::uint64_t, max_rank> strides{};
  const std::vector<Value>& steps = items_of(args[3]);
  if (steps.size() != shape->rank()) {
    return std::nullopt;
  }
  for (std::size_t axis = 0; axis < steps.size(); ++axis) {
    const auto step = natural(steps[axis]);
    if (!step) {
      return std::nullopt;
    }
    strides.at(axis) = *step;
  }

  const std::uint64_t bytes = array_bytes({dtype, *shape, Order::row_major});
  const std::uint64_t room = storage->shape()[0] * storage->dtype().item_size() / dtype.item_size();
  ArrayView view(dtype, storage->view().data, *shape, Order::row_major);
  if (bytes > 0) {
    const auto last = reach(*shape, std::span(strides).first(shape->rank()));
    if (!last || *last >= room || *offset >= room - *last) {
      fail(Errc::malformed, "a tensor of the shape " + shape->text() + " with the strides " +
                                list_text(std::span(strides).first(shape->rank())) + " at " + std::to_string(*offset) +
                                ", outside of its storage of " + std::to_string(room) + " elements");
    }
    view.data += *offset * dtype.item_size();
    for (std::size_t axis = 0; axis < shape->rank(); ++axis) {
      if ((*shape)[axis] > 1) {
        view.strides[axis] = static_cast<std::int64_t>(strides.at(axis) * dtype.item_size());
      }
    }
  }
  budget.charge_view(bytes);
  return AnyArray(view, storage->buffer());
}

std::optional<Value> parameter(std::span<const Value> args) {
  const AnyArray* const data = args.size() == 3 ? array_in(args[0]) : nullptr;
  return data == nullptr ? std::nullopt : std::optional<Value>(*data);
}

std::optional<Value> tensor_size(std::span<const Value> args, Marks& marks) {
  if (args.size() != 1 || !args[0].is(part::tuple)) {
    return std::nullopt;
  }
  std::vector<Value> extents = items_of(args[0]);
  marks.budget().charge_items(extents.size());
  std::ranges::for_each(extents, [&](const Value& extent) { marks.mark(extent); });
  return new_items(part::tuple, std::move(extents));
}

}  // namespace stele::pickle

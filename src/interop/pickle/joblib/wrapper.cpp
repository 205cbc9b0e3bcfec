#include "interop/pickle/joblib/wrapper.hpp"

#include "archive/convert.hpp"
#include "archive/read/rereader.hpp"
#include "base/bytes.hpp"
#include "interop/array.hpp"
#include "interop/pickle/numpy/numpy.hpp"
#include "io/wrap/slice.hpp"
#include "stele/error.hpp"

namespace stele::pickle {
namespace {

Known wrapper_kind(const Object& object) noexcept {
  const Known what = known(object.callable);
  if (what == Known::reconstructor && object.args.is(part::tuple) && !items_of(object.args).empty()) {
    return known(items_of(object.args)[0]);  // protocols 0 and 1
  }
  return what;
}

/// Skips the byte that states a length and as many bytes.
void skip_padding(Window& window) { window.skip(std::to_integer<std::uint64_t>(window.byte())); }

bool begins_pickle(Window& window) {
  const Bytes first = window.peek(2);
  return first.size() == 2 && first[0] == std::byte{0x80} && first[1] <= std::byte{5};
}

}  // namespace

Value read_inner(const Machine::Input& input) {
  Machine inner({input.window, input.file, input.options, input.listener, false});
  auto node = std::make_shared<Given>();
  node->value = inner.run();
  return ValueAccess::make(part::given, std::move(node));
}

AnyArray next_array(Window& window, const Neighbour& file, const NpyHeader& header) {
  const std::uint64_t bytes = array_bytes(header.array);
  window.expect(bytes);
  if (file.mapping != nullptr && header.swaps.empty()) {
    const std::uint64_t offset = window.position();
    window.skip(bytes);
    WindowSource source(window);
    return array_at({source, file.mapping, file.path, file.options}, offset, header.array);
  }
  if (file.mapping != nullptr && file.mapping->mode() == MapMode::read_write) {
    fail(Errc::not_mappable, "the array is big-endian, so changes could not be written to it");
  }
  if (bytes >= parallel_array_bytes && file.source.random_access()) {  // the window began with the source
    const std::uint64_t offset = window.position();
    window.skip(bytes);
    SliceSource source(file.source, 0, file.source.size().value());
    source.seek(offset);
    AnyArray array = read_elements_at(source, offset, header.array, file.options.threads);
    swap_npy(header, array.buffer()->mutable_data());
    return array;
  }
  WindowSource source(window);
  AnyArray array = read_elements(source, header.array);
  swap_npy(header, array.buffer()->mutable_data());
  return array;
}

bool is_wrapper(const Object& object) noexcept {
  const Known what = wrapper_kind(object);
  return what == Known::array_wrapper || what == Known::file_wrapper || what == Known::zfile_wrapper;
}

Value read_wrapped(const Object& object, const Machine::Input& input, Marks& marks) {
  constexpr std::size_t most_fields = 32;
  if (object.states.size() != 1 || !object.states[0].is_map() ||
      node_of<Map>(object.states[0]).entries.size() > most_fields) {
    fail(Errc::malformed, "an array of joblib without a description");
  }
  if (wrapper_kind(object) != Known::array_wrapper) {
    return read_companion(object, input, marks);
  }
  const Value& state = object.states[0];
  const Value* const dtype = entry(state, "dtype");
  const Value* const extents = entry(state, "shape");
  const Value* const order_name = entry(state, "order");
  const Value* const subclass = entry(state, "subclass");
  const Value* const alignment = entry(state, "numpy_array_alignment_bytes");
  const auto type = dtype != nullptr ? numpy_type(*dtype, marks.budget()) : nullptr;
  const auto shape = extents != nullptr ? shape_of(*extents) : std::nullopt;
  if (dtype != nullptr && type == nullptr &&
      begins_pickle(input.window)) {  // a dtype of other objects, such as strings
    return read_inner(input);
  }
  if (type == nullptr || !shape || order_name == nullptr || !is_string(*order_name) || subclass == nullptr) {
    fail(Errc::malformed, "an array of joblib whose description is incomplete or unknown");
  }
  if (type->has_objects) {  // a pickle of its own
    return read_inner(input);
  }
  if (alignment != nullptr && !alignment->is_null()) {
    skip_padding(input.window);
  }
  const bool by_column = string_of(*order_name) == "F" && shape->rank() > 1;
  const NpyHeader header{{type->dtype, *shape, by_column ? Order::column_major : Order::row_major}, 0, type->swaps};
  const bool is_whole = known(*subclass) == Known::ndarray;
  std::uint64_t bytes = 0;
  if (type->is_plain) {
    bytes = array_bytes(header.array);
  } else {
    const auto all = checked_multiply(shape->count(), type->item_size);
    bytes = all.value_or(UINT64_MAX);
  }
  input.window.expect(bytes);
  if (input.listener != nullptr) {
    input.window.skip(bytes);
    return {};
  }
  Value elements;
  if (!type->is_plain) {
    auto node = new_node<Data>();
    node->buffer = input.window.buffer(bytes);
    elements = ValueAccess::make(part::data, std::move(node));
  } else {
    const bool comes_later = input.file.again != nullptr && input.file.mapping == nullptr && is_whole &&
                             bytes <= input.file.options.limits.allocation && may_come_later(header);
    if (comes_later) {
      elements = input.file.again->array(input.window.position(), header.array, false);
      input.window.skip(bytes);
    } else {
      elements = next_array(input.window, input.file, header);
    }
  }
  if (is_whole && type->is_plain) {
    return elements;
  }
  marks.mark(*dtype);
  marks.mark(*subclass);
  return reconstructed(*subclass, *shape, *dtype, header.array.order, std::move(elements));
}

}  // namespace stele::pickle

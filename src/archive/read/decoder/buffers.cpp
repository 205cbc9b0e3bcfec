// Arrays in buffers: mapped, shared by several arrays, or views of another array.

#include <algorithm>
#include <cstring>

#include "archive/convert.hpp"
#include "archive/read/decoder/decoder.hpp"
#include "archive/read/decoder/state.hpp"
#include "archive/value/any_array.hpp"
#include "base/bytes.hpp"

namespace stele {

using cbor::Head;
using cbor::Major;

/// The array in the mapping, or null if it cannot be used there.
std::shared_ptr<Decoder::KnownArray> Decoder::load_in_place(const ArrayItem& item) {
  if (context_.mapping == nullptr || !is_listed(item)) {
    return nullptr;
  }
  if (item.encoding != nullptr) {
    error(Errc::not_mappable,
          "the array is stored encoded (" + item.encoding->name() +
              ") and cannot be mapped; load it, or save the file again " +
              (item.encoding->first == Encoding::First::bits ? "with an Array<bool> in place of the vector"
                                                             : "without a filter"));
  }
  const Bytes bytes = in_->in_place(item.data_offset, item.bytes);
  const std::uint64_t alignment = alignment_to_map(item.header.dtype);
  if (bytes.size() != item.bytes || reinterpret_cast<std::uintptr_t>(bytes.data()) % alignment != 0) {
    if (context_.mapping->mode() == MapMode::read_write) {
      error(Errc::not_mappable, "the array is not aligned in the file, so changes could not be written to it");
    }
    return nullptr;
  }
  const bool hash = context_.verify == Verify::full;
  const std::uint64_t checksum = in_->skip_payload(item.bytes, hash);
  note_listed(item.data_offset, item.bytes, checksum, hash);
  if (context_.verify != Verify::none) {
    check_booleans(item.header.dtype, bytes.data(), item.header.shape.count());
  }
  // The cast is safe: only memory that Buffer marks as writable is written.
  auto buffer = Buffer::wrap(const_cast<std::byte*>(bytes.data()), bytes.size(),
                             context_.mapping->mode() != MapMode::read_only, context_.mapping);
  auto known = std::make_shared<KnownArray>();
  known->view = ArrayView(item.header.dtype, bytes.data(), item.header.shape, item.header.order);
  known->view.buffer = buffer.get();
  known->buffer = std::move(buffer);
  return known;
}

std::shared_ptr<Decoder::KnownArray> Decoder::load(ArrayItem& item) {
  if (!item.definite) {
    return load_indefinite(item);
  }
  std::shared_ptr<KnownArray> known = item.big_endian ? nullptr : load_in_place(item);
  if (known == nullptr) {
    refuse_copy(item.bytes, item.big_endian    ? "its bytes are stored in the other order"
                            : !is_listed(item) ? "it is stored as a string of bytes"
                                               : "it is not aligned in the file");
    check_allocation(0, item.stored_bytes);
    check_limit(item.bytes);
    AnyTarget target;
    const bool trusted = in_->surely_holds(item.stored_bytes);
    std::byte* to = target.memory(item.header, item.bytes == 0 ? 0 : 1, item.bytes, trusted);
    begin_data(item);
    for (std::uint64_t have = 0; have < item.bytes;) {
      const std::uint64_t end = trusted ? item.bytes : ArrayItem::next_end(have, item.bytes, false);
      to = target.memory(item.header, end, item.bytes, trusted);
      read_data(item, {to + have, static_cast<std::size_t>(end - have)});
      have = end;
    }
    end_data(item);
    if (item.big_endian) {
      swap_elements(item.header.dtype, to, item.header.shape.count());
    }
    check_booleans(item.header.dtype, to, item.header.shape.count());
    known = std::make_shared<KnownArray>();
    known->view = target.view();
    known->buffer = target.buffer();
    if (context_.mapping != nullptr && context_.mapping->mode() == MapMode::read_write) {
      // This is a copy; changes to it would not reach the file, so it is read-only.
      known->buffer = Buffer::wrap(known->buffer->mutable_data(), known->buffer->size(), false, known->buffer);
      known->view.buffer = known->buffer.get();
    }
  }
  known->mappable = is_listed(item) && is_as_in_memory(item);
  for (const std::uint64_t index : item.shared) {
    shared_arrays_[index] = known;
  }
  return known;
}

/// Elements stored as CBOR numbers: int64 if all are integers that fit, else float64. Returns their bytes.
std::string Decoder::read_items(ArrayItem& item) {
  std::vector<Number> numbers;
  bool integers = true;
  for (std::uint64_t i = 0; i < *item.items; ++i) {
    check_limit(8 * (i + 1));
    prepare();
    item_at_ = in_->position();
    const Number number = read_number();
    integers = integers && (number.type == Number::Type::natural || number.type == Number::Type::negative) &&
               number.bits >> 63 == 0;
    numbers.push_back(number);
  }
  std::string bytes(8 * numbers.size(), '\0');
  auto* to = reinterpret_cast<std::byte*>(bytes.data());
  for (const Number& number : numbers) {
    if (integers) {
      store_le<std::uint64_t>(to, number.type == Number::Type::negative ? ~number.bits : number.bits);
    } else {
      store_le<std::uint64_t>(to, std::bit_cast<std::uint64_t>(to_double(number, *this)));
    }
    to += 8;
  }
  item.header.dtype = DType(integers ? DType::Kind::int64 : DType::Kind::float64);
  return bytes;
}

std::shared_ptr<Decoder::KnownArray> Decoder::load_indefinite(ArrayItem& item) {
  std::string bytes;
  if (item.items) {
    bytes = read_items(item);
  } else {
    read_text({Major::bytes, cbor::info_indefinite, 0}, bytes);
  }
  const std::uint64_t size = item.header.dtype.item_size();
  if (item.growing) {
    std::uint64_t row = size;
    for (const std::uint64_t extent : item.header.shape) {
      row = checked_multiply(row, extent).value_or(0);
    }
    if (row == 0 || bytes.size() % row != 0) {
      error(Errc::malformed, "the bytes of an array are no whole number of rows");
    }
    Shape shape{bytes.size() / row};
    for (const std::uint64_t extent : item.header.shape) {
      shape.push_back(extent);
    }
    item.header.shape = shape;
    item.growing = false;
  }
  auto known = std::make_shared<KnownArray>();
  std::uint64_t expected = size;
  for (const std::uint64_t extent : item.header.shape) {
    expected = checked_multiply(expected, extent).value_or(~std::uint64_t{0});
  }
  if (expected != bytes.size()) {
    error(Errc::malformed, "an array " + item.header.dtype.name() + item.header.shape.text() + " of " +
                               std::to_string(bytes.size()) + " bytes");
  }
  refuse_copy(bytes.size(), item.items ? "it is stored number by number" : "it is stored in pieces");
  known->buffer = Buffer::allocate(bytes.size());
  if (!bytes.empty()) {
    std::memcpy(known->buffer->mutable_data(), bytes.data(), bytes.size());
  }
  if (item.big_endian) {
    swap_elements(item.header.dtype, known->buffer->mutable_data(), item.header.shape.count());
  }
  check_booleans(item.header.dtype, known->buffer->data(), item.header.shape.count());
  known->view = ArrayView(item.header.dtype, known->buffer->data(), item.header.shape, item.header.order);
  known->view.buffer = known->buffer.get();
  for (const std::uint64_t index : item.shared) {
    shared_arrays_[index] = known;
  }
  return known;
}

std::shared_ptr<Decoder::KnownArray> Decoder::load_reference() {
  const std::uint64_t index = next_is_tag(frozen::tag_deferred) ? read_deferred().index : read_index();
  const auto known = shared_arrays_.find(index);
  if (known != shared_arrays_.end()) {
    return known->second;
  }
  enter_shared(index);
  prepare();
  std::shared_ptr<KnownArray> loaded;
  if (next_is_tag(frozen::tag_array_view)) {
    loaded = read_view();
  } else if (next_is_reference()) {
    error(Errc::malformed, "a reference to a reference");
  } else {
    ArrayItem item = read_array_header();
    item.shared.push_back(index);
    loaded = load(item);
  }
  leave_shared();
  shared_arrays_[index] = loaded;
  return loaded;
}

/// [base, first element, extents, strides]; every element lies inside the base.
std::shared_ptr<Decoder::KnownArray> Decoder::read_view() {
  in_->head();
  const Head parts = in_->head();
  if (parts.major != Major::array || parts.indefinite() || parts.value != 4) {
    error(Errc::malformed, "a view of an array has four parts");
  }
  prepare();
  std::shared_ptr<KnownArray> base;
  if (next_is_reference()) {
    base = load_reference();
  } else {
    ArrayItem item = read_array_header();
    base = load(item);
  }
  const Head first = in_->head();
  if (first.major != Major::natural) {
    error(Errc::malformed, "a view begins at a natural number");
  }
  const Shape shape = read_shape();
  const Head count = in_->head();
  if (count.major != Major::array || count.indefinite() || count.value != shape.rank()) {
    error(Errc::malformed, "a view has one stride for each extent");
  }
  auto view = std::make_shared<KnownArray>();
  view->view.dtype = base->view.dtype;
  view->view.shape = shape;
  view->view.buffer = base->view.buffer;
  view->buffer = base->buffer;
  view->mappable = base->mappable;
  __extension__ using Wide = __int128;
  const auto elements = static_cast<Wide>(base->view.shape.count());
  const auto size = static_cast<std::int64_t>(base->view.dtype.item_size());
  Wide lowest = static_cast<Wide>(first.value);
  Wide highest = lowest;
  bool empty = false;
  for (std::size_t axis = 0; axis < shape.rank(); ++axis) {
    const Head head = in_->head();
    if (head.major != Major::natural && head.major != Major::negative) {
      error(Errc::malformed, "the strides of a view are integers");
    }
    if (head.value > static_cast<std::uint64_t>(elements) || shape[axis] > static_cast<std::uint64_t>(elements) + 1) {
      error(Errc::malformed, "a view reaches outside of its array");
    }
    const auto stride = head.major == Major::natural ? static_cast<std::int64_t>(head.value)
                                                     : -1 - static_cast<std::int64_t>(head.value);
    empty = empty || shape[axis] == 0;
    const Wide reach = static_cast<Wide>(stride) * (static_cast<Wide>(shape[axis]) - 1);
    (reach < 0 ? lowest : highest) += reach;
    view->view.strides[axis] = stride * size;
  }
  const bool dense = base->view.is_dense(Order::row_major) || base->view.is_dense(Order::column_major);
  if (!empty && (lowest < 0 || highest >= elements || !dense)) {
    error(Errc::malformed, "a view reaches outside of its array");
  }
  view->view.data = base->view.data + (empty ? 0 : static_cast<std::int64_t>(first.value) * size);
  check_limit(shape.count());
  return view;
}

}  // namespace stele

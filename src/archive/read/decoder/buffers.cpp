// Arrays in buffers: mapped, shared by several arrays, or views of another array.

#include <algorithm>
#include <cstring>
#include <numeric>

#include "archive/convert.hpp"
#include "archive/read/decoder/decoder.hpp"
#include "archive/read/decoder/state.hpp"
#include "archive/value/any_array.hpp"
#include "array/growing.hpp"
#include "base/bits.hpp"
#include "base/bytes.hpp"
#include "base/checksum.hpp"

namespace stele {

using cbor::Head;
using cbor::Major;

namespace {

constexpr std::size_t most_unlisted_chunks = std::size_t{1} << 18;

}  // namespace

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
  begin_listed_data(item);
  in_->skip_payload(item.bytes, hash);
  end_listed_data(item, hash);
  if (context_.verify != Verify::none) {
    check_booleans(item.header.dtype, bytes.data(), item.header.shape.count());
  }
  if (context_.handed_out) {
    context_.handed_out(item.data_offset);
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

/// Calls `use` at the first byte of each chunk of a byte string of indefinite length; it must consume the chunk.
void Decoder::for_each_chunk(const std::function<void(const Head&)>& use) {
  const std::uint64_t begin = in_->position();
  Xxh3 sizes;
  while (in_->peek() != cbor::break_byte) {
    const Head chunk = in_->head();
    if (chunk.major != Major::bytes || chunk.indefinite()) {
      error(Errc::malformed, "a string of indefinite length holds something else than strings");
    }
    use(chunk);
    sizes.update(std::as_bytes(std::span(&chunk.value, 1)));
  }
  in_->advance(1);
  if (in_ == &main_) {
    seen_pieces_.push_back({begin, sizes.digest64()});
  }
}

/// What the directory tells of the chunks from `begin` on; null where it does not, or is not known.
const PiecesEntry* Decoder::listed_pieces(std::uint64_t begin) {
  if (context_.directory == nullptr) {
    return nullptr;
  }
  const auto& all = context_.directory->pieces;
  const auto entry = std::lower_bound(all.begin(), all.end(), begin,
                                      [](const PiecesEntry& e, std::uint64_t at) { return e.begin < at; });
  const bool found = entry != all.end() && entry->begin == begin;
  if (!found &&
      ((entry != all.end() && entry->header < begin) || (entry != all.begin() && std::prev(entry)->end() > begin))) {
    error(Errc::damaged, "the directory lists the pieces of the array at another place");
  }
  return found ? &*entry : nullptr;
}

/// Skips the chunks of an array in pieces, and completes `item`.
void Decoder::skip_chunks(ArrayItem& item) {
  std::uint64_t bytes = 0;
  const PiecesEntry* const listed = in_->hashing() ? nullptr : listed_pieces(in_->position());
  if (listed != nullptr) {
    bytes = std::accumulate(listed->sizes.begin(), listed->sizes.end(), std::uint64_t{0});
    in_->skip(listed->end() - in_->position());
    if (in_->peek() != cbor::break_byte) {
      error(Errc::damaged, "the directory contradicts the pieces of the array");
    }
    in_->advance(1);
    if (in_ == &main_) {
      seen_pieces_.push_back({listed->begin, xxh3_64(std::as_bytes(std::span(listed->sizes)))});
    }
  } else {
    for_each_chunk([&](const Head& chunk) {
      skip_string(chunk);
      bytes += chunk.value;
    });
  }
  finish_rows(item, bytes);
}

/// Sets what follows from the number of bytes, for an array in pieces.
void Decoder::finish_rows(ArrayItem& item, std::uint64_t bytes) {
  const auto multiply = [](std::uint64_t a, std::uint64_t b) {
    return checked_multiply(a, b).value_or(~std::uint64_t{0});
  };
  std::uint64_t expected = item.header.dtype.item_size();
  for (const std::uint64_t extent : item.header.shape) {
    expected = multiply(expected, extent);
  }
  if (item.growing) {
    if (expected == 0 || bytes % expected != 0) {
      error(Errc::malformed, "the bytes of an array are no whole number of rows");
    }
    Shape shape{bytes / expected};
    for (const std::uint64_t extent : item.header.shape) {
      shape.push_back(extent);
    }
    item.header.shape = shape;
    item.growing = false;
  } else if (expected != bytes) {
    error(Errc::malformed, "an array " + item.header.dtype.name() + item.header.shape.text() + " of " +
                               std::to_string(bytes) + " bytes");
  }
  item.stored_bytes = item.bytes = bytes;
}

/// Elements number by number, or in pieces. The number of pieces and their sizes are not known before.
std::shared_ptr<Decoder::KnownArray> Decoder::load_indefinite(ArrayItem& item) {
  auto known = std::make_shared<KnownArray>();
  if (item.items) {
    const std::string bytes = read_items(item);
    finish_rows(item, bytes.size());
    known->buffer = Buffer::allocate(bytes.size());
    std::copy_n(reinterpret_cast<const std::byte*>(bytes.data()), bytes.size(), known->buffer->mutable_data());
  } else {
    GrowingBuffer bytes;
    if (const PiecesEntry* const listed = listed_pieces(in_->position())) {
      const std::uint64_t size = std::accumulate(listed->sizes.begin(), listed->sizes.end(), std::uint64_t{0});
      check_allocation(0, size);
      bytes.reserve(in_->surely_holds(size) ? static_cast<std::size_t>(size) : 0);
    }
    for_each_chunk([&](const Head& chunk) {
      std::uint64_t size = chunk.value;
      check_allocation(bytes.size(), size);
      for (const bool sure = in_->surely_holds(size); size > 0;) {
        const std::uint64_t step =
            sure ? size : std::min(size, std::max(ArrayItem::step_claimed, std::uint64_t{bytes.size()}));
        in_->read(bytes.add(static_cast<std::size_t>(step)));
        size -= step;
      }
    });
    finish_rows(item, bytes.size());
    known->buffer = bytes.take();
  }
  refuse_copy(item.bytes, item.items ? "it is stored number by number" : "it is stored in pieces");
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
    loaded = load_view();
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

/// The beginning of a view, up to its base.
void Decoder::begin_view() {
  in_->head();
  const Head parts = in_->head();
  if (parts.major != Major::array || parts.indefinite() || parts.value != 4) {
    error(Errc::malformed, "a view of an array has four parts");
  }
  prepare();
}

/// The rest of a view after its base, which has so many elements: the first element, extents, strides. Every element
/// lies inside the base, and the base is dense. Returns the first element, 0 if there are none.
std::uint64_t Decoder::read_view(std::uint64_t elements, bool dense, Shape& shape, std::int64_t (&strides)[max_rank]) {
  const Head first = in_->head();
  if (first.major != Major::natural) {
    error(Errc::malformed, "a view begins at a natural number");
  }
  shape = read_shape();
  const Head count = in_->head();
  if (count.major != Major::array || count.indefinite() || count.value != shape.rank()) {
    error(Errc::malformed, "a view has one stride for each extent");
  }
  __extension__ using Wide = __int128;
  Wide lowest = static_cast<Wide>(first.value);
  Wide highest = lowest;
  bool empty = false;
  for (std::size_t axis = 0; axis < shape.rank(); ++axis) {
    const Head head = in_->head();
    if (head.major != Major::natural && head.major != Major::negative) {
      error(Errc::malformed, "the strides of a view are integers");
    }
    empty = empty || shape[axis] == 0;
    strides[axis] = 0;
    if (shape[axis] < 2 || (head.major == Major::natural && head.value == 0)) {
      continue;  // the stride of a single position has no meaning; without a stride, one element is repeated
    }
    if (head.value > elements || shape[axis] > elements) {
      error(Errc::malformed, "a view reaches outside of its array");
    }
    strides[axis] = head.major == Major::natural ? static_cast<std::int64_t>(head.value)
                                                 : -1 - static_cast<std::int64_t>(head.value);
    const Wide reach = static_cast<Wide>(strides[axis]) * (static_cast<Wide>(shape[axis]) - 1);
    (reach < 0 ? lowest : highest) += reach;
  }
  if (!empty && (lowest < 0 || highest >= static_cast<Wide>(elements) || !dense)) {
    error(Errc::malformed, "a view reaches outside of its array");
  }
  check_limit(shape.count());
  return empty ? 0 : first.value;
}

std::shared_ptr<Decoder::KnownArray> Decoder::load_view() {
  begin_view();
  std::shared_ptr<KnownArray> base;
  if (next_is_reference()) {
    base = load_reference();
  } else {
    ArrayItem item = read_array_header();
    base = load(item);
  }
  auto view = std::make_shared<KnownArray>();
  view->view.dtype = base->view.dtype;
  const bool dense = base->view.is_dense(Order::row_major) || base->view.is_dense(Order::column_major);
  const std::uint64_t first = read_view(base->view.shape.count(), dense, view->view.shape, view->view.strides);
  const auto size = static_cast<std::int64_t>(base->view.dtype.item_size());
  for (std::size_t axis = 0; axis < view->view.shape.rank(); ++axis) {
    view->view.strides[axis] *= size;
  }
  view->view.data = base->view.data + static_cast<std::int64_t>(first) * size;
  view->view.buffer = base->view.buffer;
  view->buffer = base->buffer;
  view->mappable = base->mappable;
  return view;
}

Decoder::ArrayPlace Decoder::place_array() {
  if (kind() != Kind::array && kind() != Kind::bytes) {
    mismatch("an array");
  }
  ArrayPlace place;
  if (listed_) {
    item_at_ = listed_->data_offset;
    place_item(*std::exchange(listed_, std::nullopt), place);
    return place;
  }
  place.view = next_is_tag(frozen::tag_array_view);
  if (!place.view) {
    place_item(read_array_header(), place);
    return place;
  }
  begin_view();
  if (next_is_reference()) {
    enter_shared(next_is_tag(frozen::tag_deferred) ? read_deferred().index : read_index());
    prepare();
    place.whole = next_is_tag(frozen::tag_array_view) || next_is_reference();
    if (place.whole) {
      return place;
    }
    place_item(read_array_header(), place);
    leave_shared();
  } else {
    place_item(read_array_header(), place);
    if (place.item.definite) {
      skip_data(place.item);
    }
  }
  if (!place.whole) {
    place.first = read_view(place.item.header.shape.count(), true, place.shape, place.strides);
  }
  return place;
}

void Decoder::place_item(ArrayItem item, ArrayPlace& place) {
  place.whole = item.items.has_value();
  place.listed = is_listed(item);
  if (!item.definite && !place.whole) {
    std::uint64_t bytes = 0;
    const auto add = [&](std::uint64_t offset, std::uint64_t size) {
      if (size > 0) {
        place.chunks.push_back({bytes, offset, size});
      }
      bytes += size;
    };
    if (const PiecesEntry* const listed = listed_pieces(in_->position())) {
      place.heads_unread = true;
      std::uint64_t at = listed->begin;
      for (const std::uint64_t size : listed->sizes) {
        at += cbor::shortest_head_bytes(size);
        add(at, size);
        at += size;
      }
      in_->skip(at + 1 - in_->position());
    } else {
      for_each_chunk([&](const Head& chunk) {
        add(in_->position(), chunk.value);
        skip_string(chunk);
        if (place.chunks.size() > most_unlisted_chunks) {  // their places might take more memory than the array
          place.whole = true;
          place.chunks = {};
        }
      });
    }
    finish_rows(item, bytes);
  } else if (item.stored_bytes > 0) {
    place.chunks.push_back({0, item.data_offset, item.stored_bytes});
  }
  const Shape& shape = place.shape = item.header.shape;
  std::uint64_t stride = 1;
  for (std::size_t i = 0; i < shape.rank(); ++i) {
    const std::size_t axis = item.header.order == Order::row_major ? shape.rank() - 1 - i : i;
    place.strides[axis] = static_cast<std::int64_t>(stride);
    stride *= std::max<std::uint64_t>(shape[axis], 1);
  }
  place.item = std::move(item);
}

std::optional<Decoder::Rows> Decoder::begin_rows(ArrayTarget& wanted, ArrayTarget& whole) {
  if (kind() != Kind::array && kind() != Kind::bytes) {
    mismatch("an array");
  }
  const auto check = [&](const DType& dtype, const Shape& shape) { check_type({dtype, shape}, wanted); };
  if (next_is_reference() || next_is_tag(frozen::tag_array_view)) {
    const std::shared_ptr<KnownArray> known = next_is_reference() ? load_reference() : load_view();
    check(known->view.dtype, known->view.shape);
    deliver_known(*known, whole);
    return std::nullopt;
  }
  auto state = std::make_unique<RowsState>();
  ArrayItem& item = state->item = read_array_header();
  Rows rows{item.header, !item.growing, item.big_endian};
  if (item.growing) {
    rows.header.shape = Shape{0};
    for (const std::uint64_t extent : item.header.shape) {
      rows.header.shape.push_back(extent);
    }
  }
  check(rows.header.dtype, rows.header.shape);
  if (item.items || item.header.order == Order::column_major) {
    deliver(item, whole);
    return std::nullopt;
  }
  if (item.definite) {
    begin_data(item);
    state->left = item.bytes;
  } else {
    state->begin = in_->position();
  }
  rows_ = std::move(state);
  return rows;
}

std::size_t Decoder::read_elements(MutableBytes to) {
  RowsState& state = *rows_;
  if (!state.item.definite) {
    return read_chunks(to);
  }
  const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(to.size(), state.left));
  read_data(state.item, to.first(count));
  state.left -= count;
  if (state.left == 0 && !std::exchange(state.ended, true)) {
    end_data(state.item);
  }
  return count;
}

std::size_t Decoder::read_chunks(MutableBytes to) {
  RowsState& state = *rows_;
  std::size_t have = 0;
  while (have < to.size() && !state.ended) {
    if (state.left == 0 && in_->peek() == cbor::break_byte) {
      in_->advance(1);
      state.ended = true;
      if (in_ == &main_) {
        seen_pieces_.push_back({state.begin, state.sizes.digest64()});
      }
      finish_rows(state.item, state.bytes);
    } else if (state.left == 0) {
      const Head chunk = in_->head();
      if (chunk.major != Major::bytes || chunk.indefinite()) {
        error(Errc::malformed, "a string of indefinite length holds something else than strings");
      }
      state.left = chunk.value;
      state.sizes.update(std::as_bytes(std::span(&chunk.value, 1)));
    } else {
      const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(to.size() - have, state.left));
      in_->read(to.subspan(have, count));
      state.left -= count;
      state.bytes += count;
      have += count;
    }
  }
  return have;
}

}  // namespace stele

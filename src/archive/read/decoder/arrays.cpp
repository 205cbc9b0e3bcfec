// Reading arrays: directly to the destination, in place, through a conversion, or from a buffer that was read before.

#include <algorithm>
#include <cstring>
#include <limits>

#include "archive/convert.hpp"
#include "archive/read/decoder/decoder.hpp"
#include "archive/read/decoder/state.hpp"
#include "archive/value/any_array.hpp"
#include "base/bits.hpp"
#include "base/bytes.hpp"
#include "format/array/boolean.hpp"
#include "format/array/encoded.hpp"
#include "format/array/typed.hpp"

namespace stele {

using cbor::Head;
using cbor::Major;

namespace {

constexpr std::uint64_t chunk_bytes = std::uint64_t{256} << 10;  // of a conversion
constexpr std::uint64_t free_copy = std::uint64_t{16} << 20;     // of a view's elements, whatever its base
constexpr std::uint64_t most_copies = 64;                        // of each byte of the base
constexpr std::uint64_t most_empty_rows = std::uint64_t{1} << 20;
const std::string own_memory = "the type it is read into owns its memory; use stele::Array";

}  // namespace

// --- Headers ---------------------------------------------------------------------------------------------------------

Shape Decoder::read_shape() {
  const Head head = in_->head();
  if (head.major != Major::array || head.indefinite()) {
    error(Errc::malformed, "the extents of an array are an array");
  }
  if (head.value > max_rank) {
    error(Errc::limit_exceeded, "an array of more than 32 dimensions");
  }
  Shape shape;
  for (std::uint64_t i = 0; i < head.value; ++i) {
    const Head extent = in_->head();
    if (extent.major != Major::natural) {
      error(Errc::malformed, "the extents of an array are natural numbers");
    }
    shape.push_back(extent.value);
  }
  return shape;
}

Decoder::ArrayItem Decoder::read_array_header() {
  ArrayItem item;
  item.shared = std::move(pending_shared_);
  pending_shared_.clear();
  std::optional<Shape> extents;
  std::optional<std::uint64_t> items;  // of an encoded array
  Head head = in_->head();
  if (head.major == Major::tag && (head.value == frozen::tag_row_major || head.value == frozen::tag_column_major ||
                                   head.value == frozen::tag_growing_rows)) {
    item.growing = head.value == frozen::tag_growing_rows;
    item.header.order = head.value == frozen::tag_column_major ? Order::column_major : Order::row_major;
    const Head parts = in_->head();
    if (parts.major != Major::array || parts.indefinite() || parts.value != 2) {
      error(Errc::malformed, "an array of several dimensions has extents and elements");
    }
    extents = read_shape();
    head = in_->head();
    while (head.major == Major::tag && (head.value == frozen::tag_no_op || head.value == frozen::tag_shareable)) {
      if (head.value == frozen::tag_shareable) {
        error(Errc::unsupported, "the elements of an array are shared, but not the array");
      }
      head = in_->head();
    }
  }
  if (head.major == Major::tag && head.value >= frozen::tag_typed_first && head.value <= frozen::tag_typed_last) {
    const TypedArrayTag type = typed_array_type(head.value);
    if (type.kind == DType::Kind::none) {
      error(Errc::unsupported, "an array of 128-bit floats");
    }
    item.header.dtype = DType(type.kind);
    item.big_endian = type.big_endian;
    head = in_->head();
  } else if (head.major == Major::tag && head.value == frozen::tag_dtype_array) {
    const Head parts = in_->head();
    if (parts.major != Major::array || parts.indefinite() || parts.value != 2) {
      error(Errc::malformed, "an array with a dtype has the dtype and its bytes");
    }
    read_dtype(item);
    head = in_->head();
  } else if (head.major == Major::tag && head.value == frozen::tag_encoded_array && !item.growing) {
    items = read_encoding(item);
    head = in_->head();
    if (head.indefinite()) {
      error(Errc::malformed, "an encoded array in pieces");
    }
  } else if (head.major == Major::bytes && !extents) {
    item.header.dtype = DType(DType::Kind::uint8);
    item.plain = true;
  } else if (head.major == Major::array && extents && !item.growing && !head.indefinite()) {
    if (!in_->may_hold(head.value)) {
      error(Errc::truncated, "a count of " + std::to_string(head.value) + " goes beyond the end of the input");
    }
    item.definite = false;
    item.items = head.value;
    item.header.dtype = DType(DType::Kind::float64);
    item.header.shape = *extents;
    item.data_offset = in_->position();
    return item;
  } else {
    error(Errc::unsupported, "an array whose elements are no typed array");
  }
  if (head.major != Major::bytes) {
    error(Errc::malformed, "the elements of a typed array are a byte string");
  }
  item.definite = !head.indefinite();
  item.stored_bytes = item.bytes = item.definite ? head.value : 0;
  item.data_offset = in_->position();
  const std::uint64_t size = item.header.dtype.item_size();
  if (items) {
    item.bytes = checked_multiply(*items, size).value_or(~std::uint64_t{0});
    if (item.stored_bytes != item.encoding->stored_size(*items * components_of(item.header.dtype).per_item) ||
        item.bytes > std::numeric_limits<std::uint64_t>::max() / 2) {
      error(Errc::malformed, "an encoded array of " + std::to_string(*items) + " items in " +
                                 std::to_string(item.stored_bytes) + " bytes");
    }
  }
  if (!item.definite) {
    if (extents) {
      item.header.shape = *extents;
    }
    item.growing = item.growing || !extents;
    return item;
  }
  if (item.growing) {
    std::uint64_t row = size;
    for (const std::uint64_t extent : *extents) {
      row = checked_multiply(row, extent).value_or(0);
    }
    if (row == 0 || item.bytes % row != 0) {
      error(Errc::malformed, "the bytes of an array are no whole number of rows");
    }
    item.header.shape.push_back(item.bytes / row);
    for (const std::uint64_t extent : *extents) {
      item.header.shape.push_back(extent);
    }
    item.growing = false;
  } else if (extents) {
    item.header.shape = *extents;
  } else {
    item.header.shape.push_back(size == 0 ? 0 : item.bytes / size);
  }
  std::uint64_t bytes = size;
  bool any_zero = false;
  for (const std::uint64_t extent : item.header.shape) {
    any_zero = any_zero || extent == 0;
  }
  for (const std::uint64_t extent : item.header.shape) {
    bytes = any_zero ? 0 : checked_multiply(bytes, extent).value_or(~std::uint64_t{0});
  }
  if (bytes != item.bytes) {
    error(Errc::malformed, "an array " + item.header.dtype.name() + item.header.shape.text() + " of " +
                               std::to_string(item.bytes) + " bytes");
  }
  if (item.header.shape.rank() < 2) {
    item.header.order = Order::row_major;
  }
  if (!in_->may_hold(item.stored_bytes)) {
    error(Errc::truncated,
          "an array of " + std::to_string(item.stored_bytes) + " bytes goes beyond the end of the input");
  }
  return item;
}

void Decoder::read_dtype(ArrayItem& item) {
  const std::uint64_t at = in_->position();
  const std::vector<std::byte> bytes = capture();
  cbor::Cursor cursor(bytes, at);
  try {
    item.header.dtype = get_dtype(cursor, item.big_endian);
  } catch (const Error& failed) {
    error(failed.code(), failed.message());
  }
  if (item.header.dtype.item_size() == 0) {
    error(Errc::unsupported, "an array of elements without bytes");
  }
}

/// [dtype, items, description, bytes] up to the bytes. Returns the number of items.
std::optional<std::uint64_t> Decoder::read_encoding(ArrayItem& item) {
  const Head parts = in_->head();
  if (parts.major != Major::array || parts.indefinite() || parts.value != 4) {
    error(Errc::malformed, "an encoded array has a dtype, a number of items, a description and bytes");
  }
  read_dtype(item);
  if (item.big_endian) {
    error(Errc::unsupported, "an encoded array of big-endian elements");
  }
  const Head items = in_->head();
  if (items.major != Major::natural || items.value > std::numeric_limits<std::uint64_t>::max() / 2) {
    error(Errc::malformed, "an encoded array without the number of its items");
  }
  const std::uint64_t at = in_->position();
  const std::vector<std::byte> description = capture();
  cbor::Cursor cursor(description, at);
  try {
    item.encoding = std::make_shared<Encoding>(get_encoding(cursor, components_of(item.header.dtype)));
  } catch (const Error& failed) {
    error(failed.code(), failed.message());
  }
  return items.value;
}

/// Whether the elements are stored as they are in memory.
bool Decoder::is_as_in_memory(const ArrayItem& item) noexcept {
  return item.definite && item.encoding == nullptr && !item.big_endian;
}

bool Decoder::is_listed(const ArrayItem& item) const noexcept {
  return item.definite && !item.plain && item.stored_bytes >= frozen::listed_array_bytes;
}

// --- Data ------------------------------------------------------------------------------------------------------------

void Decoder::begin_data(const ArrayItem& item) {
  if (is_listed(item)) {
    begin_listed_data(item);
  }
  encoded_.reset();  // an exception may have left one
  if (item.encoding != nullptr) {
    encoded_ = std::make_unique<EncodedReader>(*in_, *item.encoding, is_listed(item),
                                               item.bytes / components_of(item.header.dtype).size);
  }
}

void Decoder::read_data(const ArrayItem& item, MutableBytes to) {
  if (encoded_ != nullptr) {
    encoded_->read(to);
  } else if (is_listed(item)) {
    in_->payload(to);
  } else {
    in_->read(to);
  }
}

void Decoder::end_data(const ArrayItem& item) {
  encoded_.reset();
  if (is_listed(item)) {
    end_listed_data(item, in_->hashes_payloads());
  }
}

void Decoder::skip_data(const ArrayItem& item) {
  if (item.items) {
    for (std::uint64_t i = 0; i < *item.items; ++i) {
      skip_value();
    }
    return;
  }
  if (!item.definite) {
    ArrayItem passed = item;
    skip_chunks(passed);
    return;
  }
  if (!is_listed(item)) {
    in_->skip(item.stored_bytes);
    return;
  }
  // When reading in order, every array is checked. When one value is looked up, the arrays around it are not.
  const bool hash = in_->hashing() && context_.verify == Verify::full;
  if (hash && item.encoding != nullptr) {
    begin_data(item);
    encoded_->skip();
    encoded_.reset();
  } else {
    begin_listed_data(item);
    in_->skip_payload(item.stored_bytes, hash);
  }
  end_listed_data(item, hash);
}

const ArrayEntry* Decoder::entry_at(std::uint64_t offset) const {
  if (context_.directory == nullptr) {
    return nullptr;
  }
  const auto& arrays = context_.directory->arrays;
  const auto entry = std::lower_bound(arrays.begin(), arrays.end(), offset,
                                      [](const ArrayEntry& e, std::uint64_t at) { return e.offset < at; });
  return entry == arrays.end() || entry->offset != offset ? nullptr : &*entry;
}

void Decoder::begin_listed_data(const ArrayItem& item) {
  const ArrayEntry* const entry = entry_at(item.data_offset);
  in_->begin_payload(entry == nullptr || entry->piece_checksums.empty());
}

void Decoder::end_listed_data(const ArrayItem& item, bool hashed) {
  Seen seen{item.data_offset, item.stored_bytes, hashed, {}, 0};
  if (hashed) {
    seen.checksum = in_->end_payload();
    seen.in_one = in_->payload_in_one();
  }
  if (hashed && context_.directory != nullptr) {
    const ArrayEntry* const entry = entry_at(seen.offset);
    if (entry == nullptr || entry->length != seen.length) {
      error(Errc::damaged, "the directory does not list the array");
    }
    entry->check(seen.checksum, seen.in_one, context_.file);
    seen.hashed = false;  // done
  }
  if (in_ == &main_) {
    seen_.push_back(std::move(seen));
  }
}

void Decoder::check_booleans(const DType& dtype, const std::byte* elements, std::uint64_t count) {
  if (has_booleans(dtype) && !booleans_are_valid(dtype, elements, count)) {
    error(Errc::malformed, "an array of bool holds a byte other than 0 and 1");
  }
}

Decoder::ArrayItem Decoder::skip_array() {
  kind();
  if (next_is_tag(frozen::tag_array_view) || next_is_reference()) {
    const std::shared_ptr<KnownArray> known = next_is_tag(frozen::tag_array_view) ? load_view() : load_reference();
    ArrayItem item;
    item.header = {known->view.dtype, known->view.shape, Order::row_major};
    item.bytes = known->view.byte_count();
    item.definite = false;
    item.view = true;
    item.mappable = known->mappable;
    return item;
  }
  ArrayItem item = read_array_header();
  item.mappable = is_listed(item) && is_as_in_memory(item);
  if (item.definite || item.items) {
    skip_data(item);
  } else {
    skip_chunks(item);
  }
  return item;
}

// --- Delivery --------------------------------------------------------------------------------------------------------

void Decoder::check_type(const ArrayHeader& stored, ArrayTarget& target) { check_array(stored, target, *this); }

void Decoder::array(ArrayTarget& target) {
  if (items_ != nullptr) {
    return items_->array(target);
  }
  if (!listed_) {
    pass_type_names();
  }
  if (kind() != Kind::array && kind() != Kind::bytes) {
    const std::string wanted =
        (target.dtype().kind() == DType::Kind::none ? std::string() : target.dtype().name()) + target.expected();
    mismatch(wanted.c_str());
  }
  if (listed_) {
    ArrayItem item = *std::exchange(listed_, std::nullopt);
    item_at_ = item.data_offset;
    deliver(item, target);
  } else if (next_is_reference()) {
    deliver_known(*load_reference(), target);
  } else if (next_is_tag(frozen::tag_array_view)) {
    deliver_known(*load_view(), target);
  } else {
    ArrayItem item = read_array_header();
    deliver(item, target);
  }
}

void Decoder::booleans(BooleanTarget& target) {
  if (items_ == nullptr && !listed_) {
    pass_type_names();
  }
  if (items_ != nullptr || kind() != Kind::array ||
      (!listed_ && (next_is_tag(frozen::tag_shared_reference) || next_is_tag(frozen::tag_array_view)))) {
    InVisitor::booleans(target);
    return;
  }
  ArrayItem item;
  if (listed_) {
    item = *std::exchange(listed_, std::nullopt);
    item_at_ = item.data_offset;
  } else {
    item = read_array_header();
  }
  BooleanArray elements(target);
  if (!item.definite || !item.shared.empty() ||
      item.big_endian) {  // read the whole array: others refer to it, or it comes in pieces
    deliver(item, elements);
    elements.finish();
    return;
  }
  check_type(item.header, elements);
  deliver_booleans(item, target);
}

/// Delivers piece by piece.
void Decoder::deliver_booleans(const ArrayItem& item, BooleanTarget& target) {
  const std::uint64_t count = item.header.shape.count();
  refuse_copy(item.bytes, own_memory);
  check_allocation(0, item.stored_bytes);
  check_limit(packed_size(count));
  target.begin(count, in_->surely_holds(item.stored_bytes));
  std::vector<std::byte> piece(static_cast<std::size_t>(std::min(count, boolean_piece)));
  begin_data(item);
  for (std::uint64_t first = 0; first < count; first += piece.size()) {
    piece.resize(static_cast<std::size_t>(std::min<std::uint64_t>(count - first, piece.size())));
    read_data(item, piece);
    check_booleans(item.header.dtype, piece.data(), piece.size());
    target.append(piece);
  }
  end_data(item);
}

void Decoder::deliver(ArrayItem& item, ArrayTarget& target) {
  if (!item.definite) {
    deliver_known(*load_indefinite(item), target);
    return;
  }
  check_type(item.header, target);
  const ArrayHeader wanted{target.dtype().kind() == DType::Kind::none ? item.header.dtype : target.dtype(),
                           item.header.shape, item.header.order};
  const bool same = item.header.dtype == wanted.dtype && !item.big_endian;
  if (same && target.can_share()) {
    const std::shared_ptr<KnownArray> known = load(item);
    if (!target.share(known->view, known->buffer)) {
      deliver_known(*known, target);
    }
    return;
  }
  refuse_copy(item.bytes, item.big_endian            ? "its bytes are stored in the other order"
                          : item.encoding != nullptr ? "it is stored encoded (" + item.encoding->name() + ")"
                          : item.header.dtype != wanted.dtype
                              ? "it is stored as " + item.header.dtype.name() + " and read as " + wanted.dtype.name()
                              : own_memory);
  check_allocation(0, item.stored_bytes);
  checked_bytes(wanted);
  if (same && (wanted.shape.rank() < 2 || target.order(wanted) == item.header.order)) {
    deliver_direct(item, wanted, target);
  } else {
    deliver_converted(item, wanted, target);
  }
}

/// For LoadOptions::map_all.
void Decoder::refuse_copy(std::uint64_t bytes, const std::string& why) {
  if (context_.map_all && bytes >= frozen::listed_array_bytes) {
    error(Errc::not_mappable,
          "the array would be copied, not mapped: " + (context_.mapping == nullptr ? "the input is not mapped" : why));
  }
}

void Decoder::check_limit(std::uint64_t bytes) {
  if (bytes > in_->options().limits.allocation) {
    error(Errc::limit_exceeded, "an array of " + std::to_string(bytes) + " bytes is beyond the allocation limit");
  }
}

/// The bytes an array takes in memory, checked against the limit.
std::uint64_t Decoder::checked_bytes(const ArrayHeader& wanted) {
  const auto bytes = checked_multiply(wanted.shape.count(), wanted.dtype.item_size());
  if (!bytes) {
    error(Errc::limit_exceeded, "an array " + wanted.dtype.name() + wanted.shape.text() + " is beyond all memory");
  }
  check_limit(*bytes);
  return *bytes;
}

void Decoder::deliver_direct(const ArrayItem& item, const ArrayHeader& wanted, ArrayTarget& target) {
  const std::uint64_t total = item.bytes;
  const bool trusted = in_->surely_holds(item.stored_bytes);
  std::byte* to = target.memory(wanted, 0, total, trusted);
  begin_data(item);
  for (std::uint64_t have = 0; have < total;) {
    const std::uint64_t end = ArrayItem::next_end(have, total, trusted);
    to = target.memory(wanted, end, total, trusted);
    read_data(item, {to + have, static_cast<std::size_t>(end - have)});
    have = end;
  }
  if (total == 0) {
    to = target.memory(wanted, 0, 0, true);
  }
  end_data(item);
  check_booleans(wanted.dtype, to, wanted.shape.count());
}

/// Chunk by chunk: reads, converts to the machine's byte order and to the wanted type, and stores.
void Decoder::deliver_converted(const ArrayItem& item, const ArrayHeader& wanted, ArrayTarget& target) {
  const DType& from = item.header.dtype;
  const std::uint64_t stored_size = from.item_size();
  const std::uint64_t size = wanted.dtype.item_size();
  const std::uint64_t count = wanted.shape.count();
  const std::uint64_t per_chunk = std::max<std::uint64_t>(1, chunk_bytes / std::max(stored_size, size));
  const bool turned = wanted.shape.rank() > 1 && target.order(wanted) != item.header.order;
  const bool trusted = in_->surely_holds(item.stored_bytes);
  if (turned && !trusted && item.bytes > ArrayItem::step_claimed) {
    // All destinations are needed at once, so make sure the data exists first.
    ArrayItem rest = item;
    deliver_known(*load(rest), target);
    return;
  }
  std::byte* to = target.memory(wanted, 0, count * size, trusted);
  ArrayView place;
  if (turned) {
    to = target.memory(wanted, count * size, count * size, true);
    place = ArrayView(wanted.dtype, to, wanted.shape, target.order(wanted));
  }
  std::vector<std::byte> raw(static_cast<std::size_t>(std::min(count, per_chunk) * stored_size));
  std::vector<std::byte> converted(turned ? static_cast<std::size_t>(std::min(count, per_chunk) * size) : 0);
  begin_data(item);
  std::uint64_t room = 0;
  for (std::uint64_t first = 0; first < count; first += per_chunk) {
    const std::uint64_t n = std::min(per_chunk, count - first);
    const MutableBytes piece(raw.data(), static_cast<std::size_t>(n * stored_size));
    read_data(item, piece);
    if (item.big_endian) {
      swap_elements(from, raw.data(), n);
    }
    check_booleans(from, raw.data(), n);
    if (turned) {
      if (!convert_elements(from, raw.data(), wanted.dtype, converted.data(), n)) {
        error(Errc::out_of_range, inexact_time);
      }
      scatter(converted.data(), item.header.order, first, n, place, to);
    } else {
      if (room < (first + n) * size) {
        // whole elements only, so that records start with their defaults
        room = std::max((first + n) * size, ArrayItem::next_end(first * size, count * size, trusted) / size * size);
        to = target.memory(wanted, room, count * size, trusted);
      }
      if (!convert_elements(from, raw.data(), wanted.dtype, to + first * size, n)) {
        error(Errc::out_of_range, inexact_time);
      }
    }
  }
  if (count == 0 || (!turned && room < count * size)) {
    target.memory(wanted, count * size, count * size, true);
  }
  end_data(item);
}

/// A view may repeat elements of its buffer, and an array without elements may have any number of rows.
void Decoder::check_repeats(const KnownArray& known, std::uint64_t bytes) {
  if (bytes > free_copy && bytes / most_copies > known.buffer->size()) {
    error(Errc::limit_exceeded, "a view that repeats its elements would take " + std::to_string(bytes) + " bytes");
  }
}

/// The same check for reading item by item.
void Decoder::check_rows(const KnownArray& known) {
  const Shape& shape = known.view.shape;
  if (shape.count() > 0) {
    check_repeats(known, checked_bytes({known.view.dtype, shape, Order::row_major}));
    return;
  }
  std::uint64_t rows = 1;
  for (std::size_t i = 0; i < shape.rank() && shape[i] > 0; ++i) {
    if (shape[i] > most_empty_rows / rows) {
      error(Errc::limit_exceeded, "an array without elements of shape " + shape.text() + " has too many rows");
    }
    rows *= shape[i];
  }
}

void Decoder::deliver_known(const KnownArray& known, ArrayTarget& target) {
  const ArrayHeader stored{known.view.dtype, known.view.shape, stored_order(known.view)};
  check_type(stored, target);
  const ArrayHeader wanted{target.dtype().kind() == DType::Kind::none ? stored.dtype : target.dtype(), stored.shape,
                           stored.order};
  const bool same = stored.dtype == wanted.dtype;
  if (same && target.can_share() && target.share(known.view, known.buffer)) {
    return;
  }
  const std::uint64_t count = wanted.shape.count();
  const std::uint64_t total = checked_bytes(wanted);
  refuse_copy(total,
              same ? own_memory : "it is stored as " + stored.dtype.name() + " and read as " + wanted.dtype.name());
  check_repeats(known, total);
  target.memory(wanted, 0, total, true);
  std::byte* to = target.memory(wanted, total, total, true);
  const Order order = target.order(wanted);
  if (same) {
    gather(known.view, order, 0, count, to);
    return;
  }
  const std::uint64_t per_chunk = std::max<std::uint64_t>(1, chunk_bytes / stored.dtype.item_size());
  std::vector<std::byte> raw(static_cast<std::size_t>(std::min(count, per_chunk) * stored.dtype.item_size()));
  for (std::uint64_t first = 0; first < count; first += per_chunk) {
    const std::uint64_t n = std::min(per_chunk, count - first);
    gather(known.view, order, first, n, raw.data());
    if (!convert_elements(stored.dtype, raw.data(), wanted.dtype, to + first * wanted.dtype.item_size(), n)) {
      error(Errc::out_of_range, inexact_time);
    }
  }
}

}  // namespace stele

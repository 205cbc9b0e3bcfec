// Writing arrays: dense ones in place, others gathered; views of one buffer; arrays that grow.

#include <algorithm>

#include "archive/write/encoder.hpp"
#include "archive/write/gathered.hpp"
#include "archive/write/shared_buffers.hpp"
#include "archive/write/state.hpp"
#include "base/bits.hpp"
#include "base/checksum.hpp"
#include "format/array/encoded.hpp"
#include "format/array/typed.hpp"
#include "format/frozen.hpp"
#include "format/path/path.hpp"
#include "io/read.hpp"

namespace stele {

using cbor::Major;

namespace {

constexpr std::size_t chunk_bytes = std::size_t{1} << 20;  // of an array in pieces
constexpr std::uint64_t later_piece_bytes = std::uint64_t{4} << 20;
constexpr std::uint64_t fewest_packed = 16;  // fewer bools take less space as bytes

}  // namespace

// --- Arrays ----------------------------------------------------------------------------------------------------------

void Encoder::array_header(const DType& dtype, const Shape& shape, Order order, std::uint64_t bytes, bool shareable,
                           bool wide, const Encoding* encoding) {
  scratch_.clear();
  cbor::Builder header(scratch_);
  if (shareable) {
    header.tag(frozen::tag_shareable);
  }
  if (shape.rank() != 1) {
    header.tag(order == Order::row_major ? frozen::tag_row_major : frozen::tag_column_major);
    header.array(2);
    if (wide) {
      header.array(shape.rank());
      header.wide(Major::natural, shape[0]);
      for (std::size_t axis = 1; axis < shape.rank(); ++axis) {
        header.natural(shape[axis]);
      }
    } else {
      put_shape(header, shape);
    }
  }
  if (encoding != nullptr) {
    header.tag(frozen::tag_encoded_array);
    header.array(4);
    put_dtype(header, dtype);
    header.natural(shape.count());
    put_encoding(header, *encoding, components_of(dtype));
  } else if (const auto tag = typed_array_tag(dtype.kind())) {
    header.tag(*tag);
  } else {
    header.tag(frozen::tag_dtype_array);
    header.array(2);
    put_dtype(header, dtype);
  }
  wide ? header.wide(Major::bytes, bytes) : header.head(Major::bytes, bytes);
}

void Encoder::array(const ArrayView& value) {
  item();
  if (at_key()) {
    key_other();
  }
  if (value.dtype.item_size() == 0) {
    fail(Errc::unsupported, "an array of elements without bytes", {path(), out_.position()});
  }
  if (value.buffer == nullptr || value.byte_count() == 0) {
    array_body(value, false);
    return;
  }
  if (buffers_ == nullptr) {
    buffers_ = std::make_unique<SharedBuffers>();
  }
  using Plan = SharedBuffers::Plan;
  const Plan plan = buffers_->plan(value, types_, [&](OutVisitor& scanner) {
    if (value_.walk != nullptr) {
      value_.walk(scanner, value_.value);
    }
  });
  switch (plan.form) {
    case Plan::Form::whole: {
      const std::uint64_t index = shared_count_;
      buffers_->add(value, index, array_body(value, true));
      break;
    }
    case Plan::Form::reference:
      reference(plan.index);
      break;
    case Plan::Form::view_of_old:
      array_view(value, plan.base, plan.index, false);
      break;
    case Plan::Form::view_of_new: {
      const std::uint64_t index = shared_count_;
      buffers_->add(plan.base, index, array_view(value, plan.base, 0, true));
      break;
    }
  }
}

void Encoder::later(LaterArray& value) {
  const ArrayHeader& header = value.header();
  const std::uint64_t total = value.bytes();
  const std::uint64_t item = header.dtype.item_size();
  if (total <= later_piece_bytes || item > later_piece_bytes) {
    const AnyArray whole = value.read();
    return array(ValueAccess::view_to_write(whole));
  }
  // Pieces end where blocks of an encoding do: these have a multiple of 64 elements, and a power of 2 in bytes at most.
  const std::unique_ptr<Source> source = value.open();
  std::vector<std::byte> piece(static_cast<std::size_t>(later_piece_bytes / item * item));
  read_exactly(*source, piece);
  const auto view_of = [&](std::uint64_t bytes) { return ArrayView(header.dtype, piece.data(), bytes / item); };
  const Choice choice = choose_encoding_by(view_of(piece.size()), Order::row_major);
  if (choice.takes_all) {
    const AnyArray whole = value.read();
    return array(ValueAccess::view_to_write(whole));
  }
  this->item();
  if (at_key()) {
    key_other();
  }
  const Encoding* const encoding = choice.encoding ? &*choice.encoding : nullptr;
  const ArrayView described(header.dtype, nullptr, header.shape, header.order);
  const std::uint64_t stored = encoding != nullptr ? encoding->stored_size(total / encoding->item_size) : total;
  array_header(header.dtype, header.shape, header.order, stored, false, false, encoding);
  ArrayEntry entry = begin_listed(described, header.order, stored, encoding, false, {});
  const std::uint64_t block = encoding != nullptr ? encoding->block_size() : item;
  ArrayHash hash;
  hash.reset();
  out_.begin_payload();
  std::uint64_t have = piece.size();  // in `piece`
  for (std::uint64_t left = total; left > 0;) {
    const std::uint64_t bytes = have == left ? left : have / block * block;
    const Bytes elements = Bytes(piece).first(static_cast<std::size_t>(bytes));
    if (encoding != nullptr) {
      hash.update(elements);
      encoded_piece(*encoding, view_of(bytes), Order::row_major);
    } else {
      out_.payload_piece(elements);
    }
    left -= bytes;
    std::copy(piece.begin() + static_cast<std::ptrdiff_t>(bytes), piece.begin() + static_cast<std::ptrdiff_t>(have),
              piece.begin());
    const std::uint64_t rest = have - bytes;
    have = std::min<std::uint64_t>(left, piece.size());
    read_exactly(*source,
                 MutableBytes(piece).subspan(static_cast<std::size_t>(rest), static_cast<std::size_t>(have - rest)));
  }
  entry.set_checksum(encoding != nullptr ? hash.digest() : out_.end_payload());
  directory_.arrays.push_back(std::move(entry));
}

std::uint64_t Encoder::array_view(const ArrayView& view, const ArrayView& base, std::uint64_t index, bool base_is_new) {
  out_.head(Major::tag, frozen::tag_array_view);
  out_.head(Major::array, 4);
  std::uint64_t checksum = 0;
  if (base_is_new) {
    checksum = array_body(base, true, "base");
  } else {
    reference(index);
  }
  const auto item = static_cast<std::int64_t>(view.dtype.item_size());
  out_.head(Major::natural, static_cast<std::uint64_t>((view.data - extent_of(base).first) / item));
  out_.head(Major::array, view.shape.rank());
  for (const std::uint64_t extent : view.shape) {
    out_.head(Major::natural, extent);
  }
  out_.head(Major::array, view.shape.rank());
  for (std::size_t axis = 0; axis < view.shape.rank(); ++axis) {
    const std::int64_t stride = view.shape[axis] < 2 ? 0 : view.strides[axis] / item;
    out_.head(stride < 0 ? Major::negative : Major::natural, static_cast<std::uint64_t>(stride < 0 ? ~stride : stride));
  }
  return checksum;
}

std::uint64_t Encoder::array_body(const ArrayView& value, bool shareable, std::string_view path_suffix) {
  const Order order = stored_order(value);
  const std::optional<Encoding> encoding = choose_encoding_of(value, order);
  const std::uint64_t bytes =
      encoding ? encoding->stored_size(value.byte_count() / encoding->item_size) : value.byte_count();
  array_header(value.dtype, value.shape, order, bytes, shareable, false, encoding ? &*encoding : nullptr);
  if (bytes < frozen::listed_array_bytes) {
    if (shareable) {
      define_shared();
    }
    out_.structure(scratch_);
    for_each_piece(value, order, scratch_, [&](Bytes piece) { out_.structure(piece); });
    return shareable && in_parts_ ? elements_checksum(value) : 0;
  }
  ArrayEntry entry = begin_listed(value, order, bytes, encoding ? &*encoding : nullptr, shareable, path_suffix);
  if (encoding) {
    entry.set_checksum(encoded_payload(*encoding, value, order));
  } else if (value.is_dense(order)) {
    entry.set_checksum(out_.payload(Bytes(value.data, static_cast<std::size_t>(bytes))));
  } else {
    out_.begin_payload();
    for_each_piece(value, order, scratch_, [&](Bytes piece) { out_.payload_piece(piece); });
    entry.set_checksum(out_.end_payload());
  }
  directory_.arrays.push_back(std::move(entry));
  return directory_.arrays.back().checksum;
}

ArrayEntry Encoder::begin_listed(const ArrayView& value, Order order, std::uint64_t bytes, const Encoding* encoding,
                                 bool shareable, std::string_view path_suffix) {
  std::vector<std::byte> padding;
  cbor::Builder pad(padding);
  put_padding(pad, padding_before(out_.position(), scratch_.size()));
  out_.structure(padding);
  ArrayEntry entry;
  if (encoding != nullptr) {
    entry.header = out_.position();
    entry.encoding = encoding->name();
  }
  if (shareable) {
    define_shared();
  }
  out_.structure(scratch_);
  entry.path = path();
  if (!path_suffix.empty()) {
    append_step(entry.path, path_suffix);
  }
  entry.dtype = value.dtype;
  entry.shape = value.shape;
  entry.order = order;
  entry.offset = out_.position();
  entry.length = bytes;
  out_.announce(encoding == nullptr ? std::string_view(entry.path) : std::string_view(), bytes);
  return entry;
}

void Encoder::bits(Bytes packed, std::uint64_t count) {
  if (count < fewest_packed) {
    OutVisitor::bits(packed, count);
    return;
  }
  item();
  if (at_key()) {
    key_other();
  }
  const Encoding encoding = bits_encoding();
  const ArrayView value(DType::Kind::boolean, nullptr, count);
  array_header(value.dtype, value.shape, Order::row_major, packed.size(), false, false, &encoding);
  if (packed.size() < frozen::listed_array_bytes) {
    out_.structure(scratch_);
    out_.structure(packed);
    return;
  }
  ArrayEntry entry = begin_listed(value, Order::row_major, packed.size(), &encoding, false, {});
  out_.payload(packed);
  ArrayHash hash;  // of the plain elements, as for every encoded array
  hash.reset();
  for_each_unpacked(packed, count, [&](Bytes piece) { hash.update(piece); });
  entry.set_checksum(hash.digest());
  directory_.arrays.push_back(std::move(entry));
}

// --- Growing arrays --------------------------------------------------------------------------------------------------

void Encoder::begin_growing(const DType& dtype, const Shape& row) {
  item();
  growing_ = std::make_unique<Growing>();
  growing_->dtype = dtype;
  growing_->row = row;
  growing_->row_bytes = row.count() * dtype.item_size();
  growing_->patchable = sink_.patchable();
  if (growing_->row_bytes == 0) {
    fail(Errc::invalid_argument, "a growing array whose rows have no bytes", {path(), out_.position()});
  }
}

/// The array's extents with `rows` rows.
Shape Encoder::grown_shape(std::uint64_t rows) const {
  Shape shape{rows};
  for (const std::uint64_t extent : growing_->row) {
    shape.push_back(extent);
  }
  return shape;
}

void Encoder::growing_rows(const ArrayView& rows) {
  Growing& growing = *growing_;
  if (!(rows.dtype == growing.dtype) || rows.shape.rank() != growing.row.rank() + 1 ||
      !std::equal(growing.row.begin(), growing.row.end(), rows.shape.begin() + 1)) {
    fail(Errc::invalid_argument,
         "rows of " + rows.dtype.name() + rows.shape.text() + " for a growing array of rows " + growing.dtype.name() +
             growing.row.text(),
         {path(), out_.position()});
  }
  std::vector<std::byte> gathered;
  for_each_piece(rows, Order::row_major, gathered, [&](Bytes piece) {
    growing.bytes += piece.size();
    growing.patchable ? put_rows(piece) : put_chunks(piece);
  });
}

/// The elements of an array whose header is filled in at its end.
void Encoder::put_rows(Bytes piece) {
  Growing& growing = *growing_;
  if (!growing.started && growing.bytes < frozen::listed_array_bytes) {
    growing.small.insert(growing.small.end(), piece.begin(), piece.end());
    return;
  }
  if (!growing.started) {  // a listed array: its header has a fixed size
    array_header(growing.dtype, grown_shape(0), Order::row_major, 0, false, true);
    std::vector<std::byte> padding;
    cbor::Builder pad(padding);
    put_padding(pad, padding_before(out_.position(), scratch_.size()));
    out_.structure(padding);
    growing.header_size = scratch_.size();
    growing.header_at = out_.reserve(growing.header_size);
    growing.data_at = out_.position();
    growing.started = true;
    out_.begin_payload();
    out_.payload_piece(growing.small);
  }
  out_.payload_piece(piece);
}

/// The elements of an array whose header cannot be changed: chunks of one size, so that none is small.
void Encoder::put_chunks(Bytes piece) {
  std::vector<std::byte>& pending = growing_->small;
  while (!piece.empty()) {
    if (pending.empty() && piece.size() >= chunk_bytes) {
      put_chunk(piece.first(chunk_bytes));
      piece = piece.subspan(chunk_bytes);
      continue;
    }
    const std::size_t count = std::min(piece.size(), chunk_bytes - pending.size());
    pending.insert(pending.end(), piece.begin(), piece.begin() + static_cast<std::ptrdiff_t>(count));
    piece = piece.subspan(count);
    if (pending.size() == chunk_bytes) {
      put_chunk(pending);
      pending.clear();
    }
  }
}

void Encoder::put_chunk(Bytes chunk) {
  Growing& growing = *growing_;
  if (!growing.started) {
    growing.pieces.path = path();
    growing.pieces.header = out_.position();
    if (growing.row.rank() > 0) {
      out_.head(Major::tag, frozen::tag_growing_rows);
      out_.head(Major::array, 2);
      out_.head(Major::array, growing.row.rank());
      for (const std::uint64_t extent : growing.row) {
        out_.head(Major::natural, extent);
      }
    }
    array_header(growing.dtype, {0}, Order::row_major, 0, false, false);
    scratch_.pop_back();  // removes the head of the empty byte string
    out_.structure(scratch_);
    out_.byte(cbor::first_byte(Major::bytes, cbor::info_indefinite));
    growing.pieces.begin = out_.position();
    growing.started = true;
  }
  out_.head(Major::bytes, chunk.size());
  out_.structure(chunk);
  growing.pieces.sizes.push_back(chunk.size());
}

void Encoder::end_growing() {
  Growing& growing = *growing_;
  const Shape shape = grown_shape(growing.bytes / growing.row_bytes);
  if (!growing.started) {
    array_body(ArrayView(growing.dtype, growing.small.data(), shape, Order::row_major), false);
  } else if (growing.patchable) {
    ArrayEntry entry;
    entry.path = path();
    entry.dtype = growing.dtype;
    entry.shape = shape;
    entry.offset = growing.data_at;
    entry.length = growing.bytes;
    entry.set_checksum(out_.end_payload());
    directory_.arrays.push_back(std::move(entry));
    array_header(growing.dtype, shape, Order::row_major, growing.bytes, false, true);
    out_.fill(growing.header_at, scratch_);
  } else {
    if (!growing.small.empty()) {
      put_chunk(growing.small);
    }
    out_.byte(cbor::break_byte);
    directory_.pieces.push_back(std::move(growing.pieces));
  }
  growing_.reset();
}

}  // namespace stele

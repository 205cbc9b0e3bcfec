#include "interop/pickle/write/arrays.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/bytes.hpp"
#include "format/array/typed.hpp"
#include "interop/array.hpp"
#include "stele/error.hpp"

namespace stele {
namespace {

constexpr std::uint64_t alignment = 64;  // of the elements in joblib's files
constexpr std::uint64_t piece_bytes = std::uint64_t{1} << 20;
constexpr std::size_t most_dtypes = 16;

// Numbers in the state of a numpy.dtype (numpy/core/include/numpy/ndarraytypes.h).
constexpr std::uint64_t state_version = 3;
constexpr std::uint64_t flags_of_text = 8, flags_of_records = 16, flags_of_objects = 63;

/// NumPy's alignment of an element, as it is in the state of arrays in records.
std::uint64_t alignment_of(const DType& dtype) {
  switch (dtype.kind()) {
    case DType::Kind::bytes:
    case DType::Kind::record:
      return 1;
    case DType::Kind::utf32:
    case DType::Kind::complex64:
      return 4;
    case DType::Kind::complex128:
      return 8;
    default:
      return dtype.item_size();
  }
}

/// Which flags a record takes over from its fields. Records are nested at most 32 deep.
std::uint64_t flags_of(const DType& dtype) {
  std::uint64_t flags = dtype.kind() == DType::Kind::utf32 ? flags_of_text : 0;
  if (dtype.is_record()) {
    flags = flags_of_records;
    for (const DType::Field& field : dtype.fields()) {
      flags |= flags_of(field.type);
    }
  }
  return flags;
}

/// "f8" of "<f8".
std::string code_of(const DType& dtype) {
  const std::string text = dtype.numpy();
  if (text.empty() || std::string_view("<|").find(text[0]) == std::string_view::npos) {
    fail(Errc::unsupported, "NumPy has no element type " + dtype.name());
  }
  return text.substr(1);
}

bool is_swapped(const std::vector<NpySwap>& swaps, std::uint64_t offset) {
  return std::any_of(swaps.begin(), swaps.end(), [&](const NpySwap& swap) { return swap.offset == offset; });
}

/// The elements in that order.
void pass(const ArrayView& view, Order order, const std::function<void(Bytes)>& take) {
  const std::uint64_t size = view.dtype.item_size();
  const std::uint64_t count = view.shape.count();
  if (size == 0 || count == 0) {
    return;
  }
  if (view.is_dense(order)) {
    return take({view.data, static_cast<std::size_t>(view.byte_count())});
  }
  const std::uint64_t per_piece = std::min(count, std::max<std::uint64_t>(1, piece_bytes / size));
  std::vector<std::byte> piece(static_cast<std::size_t>(per_piece * size));
  for (std::uint64_t first = 0; first < count; first += per_piece) {
    const std::uint64_t n = std::min(per_piece, count - first);
    gather(view, order, first, n, piece.data());
    take(Bytes(piece).first(static_cast<std::size_t>(n * size)));
  }
}

}  // namespace

// --- Element types ---------------------------------------------------------------------------------------------------

void PickleArrays::dtype_call(std::string_view code) {
  out_.global("numpy", "dtype");
  out_.text(code);
  out_.boolean(false);  // align
  out_.boolean(true);   // copy
  out_.op(opcode::tuple3);
  out_.op(opcode::reduce);
}

/// The state of a type that its code describes but for the byte order; the end of the tuple follows.
void PickleArrays::plain_state(char byte_order) {
  static constexpr std::string_view orders = "<>|";
  out_.name(orders.substr(orders.find(byte_order), 1));
  out_.op(opcode::none);
  out_.op(opcode::none);
  out_.op(opcode::none);
}

void PickleArrays::sized_state(std::uint64_t item_size, std::uint64_t item_alignment, std::uint64_t flags) {
  out_.natural(item_size);
  out_.natural(item_alignment);
  out_.natural(flags);
  out_.op(opcode::tuple);
  out_.op(opcode::build);
}

/// The same for a type whose code says its size.
void PickleArrays::unsized_state(std::uint64_t flags) {
  out_.integer(Number{Number::Type::negative, 0});  // -1
  out_.integer(Number{Number::Type::negative, 0});
  out_.natural(flags);
  out_.op(opcode::tuple);
  out_.op(opcode::build);
}

void PickleArrays::dtype(const DType& dtype) {
  const auto known = std::find_if(dtypes_.begin(), dtypes_.end(), [&](const auto& d) { return d.first == dtype; });
  if (known != dtypes_.end()) {
    return out_.get(known->second);
  }
  this->dtype(dtype, {}, 0);
  if (dtypes_.size() < most_dtypes) {
    dtypes_.emplace_back(dtype, out_.memoize());
  }
}

void PickleArrays::dtype(const DType& dtype, const Swaps& swaps, std::uint64_t offset) {
  if (dtype.is_record()) {
    return record(dtype, swaps, offset);
  }
  const std::string code = code_of(dtype);
  const char byte_order = is_swapped(swaps, offset) ? '>' : dtype.numpy()[0];
  if (dtype.is_time()) {
    // The state has metadata, None or {}: one fails in NumPy 1, and NumPy 2 warns of the other when it saves the array.
    return dtype_call(byte_order + code);
  }
  dtype_call(code);
  out_.op(opcode::mark);
  out_.natural(state_version);
  plain_state(byte_order);
  if (dtype.kind() == DType::Kind::bytes || dtype.kind() == DType::Kind::utf32) {
    return sized_state(dtype.item_size(), alignment_of(dtype), flags_of(dtype));
  }
  unsized_state(0);
}

void PickleArrays::record(const DType& dtype, const Swaps& swaps, std::uint64_t offset) {
  dtype_call("V" + std::to_string(dtype.item_size()));
  out_.op(opcode::mark);
  out_.natural(state_version);
  out_.name("|");
  out_.op(opcode::none);
  out_.op(opcode::mark);
  for (const DType::Field& field : dtype.fields()) {
    out_.text(field.name);
  }
  out_.op(opcode::tuple);
  out_.op(opcode::empty_dict);
  out_.op(opcode::mark);
  for (const DType::Field& field : dtype.fields()) {
    out_.text(field.name);
    if (field.count == 1) {
      this->dtype(field.type, swaps, offset + field.offset);
    } else {
      member_array(field, swaps, offset + field.offset);
    }
    out_.natural(field.offset);
    out_.op(opcode::tuple2);
  }
  out_.op(opcode::setitems);
  sized_state(dtype.item_size(), 1, flags_of(dtype));
}

void PickleArrays::member_array(const DType::Field& field, const Swaps& swaps, std::uint64_t offset) {
  const std::uint64_t size = std::uint64_t{field.count} * field.type.item_size();
  dtype_call("V" + std::to_string(size));
  out_.op(opcode::mark);
  out_.natural(state_version);
  out_.name("|");
  dtype(field.type, swaps, offset);
  out_.natural(field.count);
  out_.op(opcode::tuple1);
  out_.op(opcode::tuple2);
  out_.op(opcode::none);
  out_.op(opcode::none);
  sized_state(size, alignment_of(field.type), flags_of(field.type));
}

void PickleArrays::dtype(std::string_view text) {
  if (text.starts_with('[')) {
    const NpyHeader header =
        parse_npy_header("{'descr': " + std::string(text) + ", 'fortran_order': False, 'shape': ()}", 3);
    if (header.has_objects) {
      fail(Errc::unsupported, "a dtype of records with objects");
    }
    return dtype(header.array.dtype, header.swaps, 0);
  }
  bool is_swapped = false;
  DType known;
  try {
    known = DType::from_numpy(text, is_swapped);
  } catch (const Error& error) {
    if (error.code() != Errc::unsupported) {
      throw;
    }
    return other_dtype(text);
  }
  dtype(known, is_swapped && known.item_size() > 1 ? Swaps{{known, 0, 1}} : Swaps(), 0);
}

/// A type that no array of stele has: objects, bytes without a meaning, long double.
void PickleArrays::other_dtype(std::string_view text) {
  const bool has_order = !text.empty() && std::string_view("<>|").find(text[0]) != std::string_view::npos;
  const std::string code(text.substr(has_order ? 1 : 0));
  std::uint32_t size = 0;
  const auto [end, error] =
      std::from_chars(code.data() + std::min<std::size_t>(1, code.size()), code.data() + code.size(), size);
  const bool is_object = code == "O" || code == "O8";
  if (!is_object && (code.empty() || std::string_view("fcV").find(code[0]) == std::string_view::npos ||
                     error != std::errc() || end != code.data() + code.size())) {
    fail(Errc::invalid_argument, "a text that is no element type in NumPy's notation");
  }
  dtype_call(is_object ? "O8" : code);
  out_.op(opcode::mark);
  out_.natural(state_version);
  plain_state(has_order ? text[0] : '|');
  if (code[0] == 'V') {
    return sized_state(size, 1, 0);
  }
  unsized_state(is_object ? flags_of_objects : 0);
}

// --- Arrays ----------------------------------------------------------------------------------------------------------

void PickleArrays::shape(const Shape& shape) {
  out_.op(opcode::mark);
  for (const std::uint64_t extent : shape) {
    if (extent > static_cast<std::uint64_t>(INT64_MAX)) {
      fail(Errc::unsupported, "NumPy has no arrays of the shape " + shape.text());
    }
    out_.natural(extent);
  }
  out_.op(opcode::tuple);
}

void PickleArrays::elements(const ArrayView& view, Order order) {
  out_.bytes(view.byte_count(), [&](const std::function<void(Bytes)>& take) { pass(view, order, take); });
}

void PickleArrays::elements(LaterArray& later) {
  out_.bytes(later.bytes(), [&](const std::function<void(Bytes)>& take) { later.pass(take); });
}

void PickleArrays::empty_array() {
  // NumPy 1 lacks numpy._core, and NumPy 2 keeps this name for pickles.
  out_.global("numpy.core.multiarray", "_reconstruct");
  out_.global("numpy", "ndarray");
  out_.natural(0);
  out_.op(opcode::tuple1);
  out_.name("b");
  out_.op(opcode::tuple3);
  out_.op(opcode::reduce);
}

/// What the state of every array begins with: a version and the shape.
void PickleArrays::begin_state(const Shape& extents) {
  out_.op(opcode::mark);
  out_.natural(1);
  shape(extents);
}

void PickleArrays::array(const ArrayView& view) {
  const Order order = stored_order(view);
  array({view.dtype, view.shape, order}, [&](const std::function<void(Bytes)>& take) { pass(view, order, take); });
}

void PickleArrays::array(LaterArray& later) {
  array(later.header(), [&](const std::function<void(Bytes)>& take) { later.pass(take); });
}

void PickleArrays::array(const ArrayHeader& header, const PickleStream::Pieces& pieces) {
  if (joblib_ && header.dtype.item_size() > 0) {  // joblib divides by the size of an element
    return mapped(header, pieces);
  }
  empty_array();
  begin_state(header.shape);
  dtype(header.dtype);
  out_.boolean(header.order == Order::column_major);
  out_.bytes(header.shape.count() * header.dtype.item_size(), pieces);
  out_.op(opcode::tuple);
  out_.op(opcode::build);
}

void PickleArrays::mapped(const ArrayHeader& header, const PickleStream::Pieces& pieces) {
  out_.global("joblib.numpy_pickle", "NumpyArrayWrapper");
  out_.op(opcode::empty_tuple);
  out_.op(opcode::newobj);
  out_.op(opcode::empty_dict);
  out_.op(opcode::mark);
  out_.name("subclass");
  out_.global("numpy", "ndarray");
  out_.name("shape");
  shape(header.shape);
  out_.name("order");
  out_.name(header.order == Order::row_major ? "C" : "F");
  out_.name("dtype");
  dtype(header.dtype);
  out_.name("allow_mmap");
  out_.boolean(header.shape.count() > 0);
  out_.name("numpy_array_alignment_bytes");
  out_.natural(alignment);
  out_.op(opcode::setitems);
  out_.op(opcode::build);

  // joblib takes the array in place of the wrapper after this opcode: a byte says how many there are before the first
  // element, at least one.
  std::array<std::byte, 1 + alignment> filler{};
  const std::uint64_t fill = alignment - (out_.position() + 1) % alignment;
  filler.fill(std::byte{0xff});
  filler[0] = static_cast<std::byte>(fill);
  out_.raw(Bytes(filler).first(static_cast<std::size_t>(1 + fill)));
  if (out_.counts_only()) {
    return out_.skip(header.shape.count() * header.dtype.item_size());
  }
  pieces([&](Bytes piece) { out_.raw(piece); });
}

void PickleArrays::scalar(const ArrayView& view) {
  out_.global("numpy.core.multiarray", "scalar");
  dtype(view.dtype);
  elements(view, Order::row_major);
  out_.op(opcode::tuple2);
  out_.op(opcode::reduce);
}

void PickleArrays::complex(const ArrayView& view) {
  out_.builtin("complex");
  for (const std::size_t part : {std::size_t{0}, std::size_t{8}}) {
    out_.real({Number::Type::float64, load_le<std::uint64_t>(view.data + part)});
  }
  out_.op(opcode::tuple2);
  out_.op(opcode::reduce);
}

void PickleArrays::begin_objects(const Shape& extents, Order order) {
  begin_state(extents);
  other_dtype("|O");
  out_.boolean(order == Order::column_major);
}

void PickleArrays::end_objects() {
  out_.op(opcode::tuple);
  out_.op(opcode::build);
}

}  // namespace stele

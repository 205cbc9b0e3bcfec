#include "interop/array.hpp"

#include <algorithm>
#include <optional>

#include "archive/convert.hpp"
#include "archive/value/any_array.hpp"
#include "base/bytes.hpp"
#include "interop/input.hpp"
#include "stele/error.hpp"

namespace stele {

std::uint64_t array_bytes(const ArrayHeader& header) {
  // Extents beside a zero count too, as strides are made of them.
  std::optional<std::uint64_t> bytes = std::max<std::uint64_t>(1, header.dtype.item_size());
  for (const std::uint64_t extent : header.shape) {
    bytes = bytes ? checked_multiply(*bytes, std::max<std::uint64_t>(1, extent)) : bytes;
  }
  if (!bytes || *bytes > static_cast<std::uint64_t>(INT64_MAX)) {
    fail(Errc::limit_exceeded, "an array of the shape " + header.shape.text() + " cannot be held in memory");
  }
  return header.shape.count() * header.dtype.item_size();
}

AnyArray read_elements(Source& source, const ArrayHeader& header) {
  const std::uint64_t total = array_bytes(header);
  AnyTarget target;
  std::uint64_t have = 0;
  do {
    const std::uint64_t end = std::min(total, std::max(ArrayTarget::claimed_bytes, 2 * have));
    std::byte* const to = target.memory(header, end, total, false);
    read_exactly(source, {to + have, static_cast<std::size_t>(end - have)});
    have = end;
  } while (have < total);
  AnyArray array(target.view(), target.buffer());
  if (has_booleans(header.dtype) && !booleans_are_valid(header.dtype, array.view().data, header.shape.count())) {
    fail(Errc::malformed, "an array of bools with a byte that is neither 0 nor 1");
  }
  return array;
}

AnyArray dense(const AnyArray& array) {
  const ArrayView& view = array.view();
  return view.is_dense(Order::row_major) || view.is_dense(Order::column_major) ? array : AnyArray::copy_of(view);
}

Order order_of(const ArrayView& view) noexcept {
  return view.is_dense(Order::row_major) ? Order::row_major : Order::column_major;
}

}  // namespace stele

#include "services/store/exchange/array.hpp"

#include <algorithm>
#include <optional>

#include "archive/convert.hpp"
#include "base/bytes.hpp"
#include "stele/error.hpp"

namespace stele {

std::uint64_t array_bytes(const DType& dtype, const Shape& shape) {
  // Extents beside a zero count too, as strides are made of them.
  std::optional<std::uint64_t> bytes = std::max<std::uint64_t>(1, dtype.item_size());
  bool empty = false;
  for (const std::uint64_t extent : shape) {
    bytes = bytes ? checked_multiply(*bytes, std::max<std::uint64_t>(1, extent)) : bytes;
    empty = empty || extent == 0;
  }
  if (!bytes || *bytes > static_cast<std::uint64_t>(INT64_MAX)) {
    fail(Errc::limit_exceeded, "an array of the shape " + shape.text() + " cannot be held in memory");
  }
  return empty ? 0 : shape.count() * dtype.item_size();
}

AnyArray array_of(const DType& dtype, const Shape& shape, Order order, std::shared_ptr<Buffer> buffer) {
  if (has_booleans(dtype) && !booleans_are_valid(dtype, buffer->data(), shape.count())) {
    fail(Errc::malformed, "an array of bools with a byte that is neither 0 nor 1");
  }
  ArrayView view(dtype, buffer->data(), shape, order);
  view.buffer = buffer.get();
  return {view, std::move(buffer)};
}

AnyArray dense(const AnyArray& array) {
  const ArrayView& view = array.view();
  return view.is_dense(Order::row_major) || view.is_dense(Order::column_major) ? array : AnyArray::copy_of(view);
}

Order order_of(const ArrayView& view) noexcept {
  return view.is_dense(Order::row_major) ? Order::row_major : Order::column_major;
}

}  // namespace stele

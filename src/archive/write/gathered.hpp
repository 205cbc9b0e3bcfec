#pragma once
// Iterates over an array's elements as runs of bytes.

#include <algorithm>
#include <vector>

#include "stele/array.hpp"
#include "stele/io.hpp"

namespace stele {

/// Calls `put` with the elements of `value` in `order`: in place if they are dense, otherwise gathered piece by piece.
template <class F>
void for_each_piece(const ArrayView& value, Order order, std::vector<std::byte>& scratch, F&& put) {
  constexpr std::size_t gather_bytes = std::size_t{256} << 10;
  const std::uint64_t bytes = value.byte_count();
  if (value.is_dense(order)) {
    put(Bytes(value.data, static_cast<std::size_t>(bytes)));
    return;
  }
  const std::uint64_t item = value.dtype.item_size();
  const std::uint64_t count = value.shape.count();
  const std::uint64_t per_piece = std::max<std::uint64_t>(1, gather_bytes / item);
  scratch.resize(static_cast<std::size_t>(std::min(count, per_piece) * item));
  for (std::uint64_t first = 0; first < count; first += per_piece) {
    const std::uint64_t n = std::min(per_piece, count - first);
    gather(value, order, first, n, scratch.data());
    put(Bytes(scratch.data(), static_cast<std::size_t>(n * item)));
  }
}

}  // namespace stele

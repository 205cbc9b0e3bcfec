#pragma once
// Arrays whose form and bytes come from outside.

#include <cstdint>
#include <memory>

#include "stele/value.hpp"

namespace stele {

/// The bytes of an array's elements. Throws: Error(limit_exceeded) for what no memory could hold.
std::uint64_t array_bytes(const DType& dtype, const Shape& shape);
/// The array whose elements lie densely in a buffer of array_bytes(). Throws: Error(malformed) for a bool that is
/// neither 0 nor 1.
AnyArray array_of(const DType& dtype, const Shape& shape, Order order, std::shared_ptr<Buffer> buffer);
/// The array itself if its elements lie densely in some order, else a copy.
AnyArray dense(const AnyArray& array);
/// The order in which the elements of a dense array lie.
Order order_of(const ArrayView& view) noexcept;

}  // namespace stele

#pragma once
// Reads arrays whose shape, dtype and bytes come from another program's file.

#include <cstdint>
#include <functional>

#include "stele/io.hpp"
#include "stele/value.hpp"

namespace stele {

/// The bytes of an array's elements. Throws: Error(limit_exceeded) for what no memory could hold.
std::uint64_t array_bytes(const ArrayHeader& header);
/// Reads array_bytes() bytes, the elements as they lie densely. Memory is taken as they come, whatever the shape
/// claims. Throws: Error(truncated), Error(limit_exceeded), Error(malformed) for a bool that is neither 0 nor 1.
AnyArray read_elements(Source& source, const ArrayHeader& header);
/// The same at `offset`, which the source has reached; a large array on up to `threads` threads (0: as many as the
/// machine has, at most 16) where the source has random access and is long enough. `arrived` is told of all bytes in
/// order, one call at a time.
AnyArray read_elements_at(Source& source, std::uint64_t offset, const ArrayHeader& header, unsigned threads,
                          const std::function<void(Bytes)>& arrived = {});
/// Smaller arrays are read on one thread, as more would cost more than they save.
inline constexpr std::uint64_t parallel_array_bytes = std::uint64_t{8} << 20;

/// The array itself if its elements lie densely in some order, else a copy.
AnyArray dense(const AnyArray& array);
/// The order in which the elements of a dense array lie.
Order order_of(const ArrayView& view) noexcept;

}  // namespace stele

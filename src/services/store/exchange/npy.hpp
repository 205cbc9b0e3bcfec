#pragma once
// NumPy's file format .npy: the header of an array's elements
// (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html).

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "stele/array.hpp"
#include "stele/io.hpp"

namespace stele {

inline constexpr std::size_t npy_start = 12;  // the magic, the version and the size, at most
inline constexpr std::uint64_t npy_header_most = std::uint64_t{1} << 20;

/// Where a header lies, by the first bytes of a file.
struct NpyPlace {
  std::size_t at = 0;       // of the text
  std::uint64_t bytes = 0;  // of the text
  unsigned version = 0;     // 1 to 3
};
/// Throws: Error(malformed), Error(truncated), Error(unsupported), Error(limit_exceeded).
NpyPlace find_npy_header(Bytes first);

/// Elements whose bytes are in the other order.
struct NpySwap {
  DType dtype;
  std::uint64_t offset = 0;  // in an item
  std::uint64_t count = 1;
};

struct NpyHeader {
  DType dtype;
  Shape shape;
  Order order = Order::row_major;
  std::vector<NpySwap> swaps;
};
/// Throws: Error(malformed), Error(unsupported) for dtypes that stele lacks, Error(limit_exceeded).
NpyHeader parse_npy_header(std::string_view text, unsigned version);
/// Brings elements into the byte order of a DType.
void swap_npy(const NpyHeader& header, std::byte* elements, std::uint64_t count);

/// Magic, version and header of a dense array, a multiple of 64 bytes; its elements follow as they lie. Empty for a
/// dtype that NumPy lacks.
std::string npy_header(const ArrayView& view);

}  // namespace stele

#pragma once
// NumPy's file format .npy: a header, and an array's elements as they lie
// (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html). A .npz file is a zip file of them.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "stele/io.hpp"
#include "stele/value.hpp"

namespace stele {

/// Elements whose bytes are in the other order.
struct NpySwap {
  DType dtype;
  std::uint64_t offset = 0;  // in an item
  std::uint64_t count = 1;
};

struct NpyHeader {
  ArrayHeader array;
  std::uint64_t offset = 0;    // of the elements, from the start of the file
  std::vector<NpySwap> swaps;  // empty where all elements are little-endian
};

/// Reads a header; the elements follow. Takes records whose fields lie one after another, with gaps.
/// Throws: Error(malformed), Error(truncated), Error(unsupported) for other versions than 1 to 3 and for dtypes that
/// stele lacks, Error(limit_exceeded) for a header of more than 1 MiB, and what DType::record() and Shape throw.
NpyHeader read_npy_header(Source& file);
/// What a header's text says: a dict of exactly descr, fortran_order and shape. The offset is not set.
NpyHeader parse_npy_header(std::string_view text, unsigned version);
/// Reads the array of a whole file. Throws: as read_npy_header() and read_elements(); Error(malformed) where bytes
/// follow.
AnyArray read_npy(Source& file);

/// Brings elements into the byte order of the header's dtype.
void swap_npy(const NpyHeader& header, std::byte* elements);
/// A text in quotes, as Python writes it.
std::string python_quoted(std::string_view text);

/// Magic, version and header of a dense array, a multiple of 64 bytes; its elements follow as they lie. Nothing for a
/// dtype that NumPy lacks.
std::optional<std::string> npy_header(const ArrayView& view);
/// The file of an array, of a known size; null for a dtype that NumPy lacks. Keeps the array.
std::unique_ptr<Source> npy_source(const AnyArray& array);

/// The name of the array that a member of a .npz file holds, without ".npy"; nothing for another member.
std::optional<std::string_view> npz_name(std::string_view member) noexcept;

}  // namespace stele

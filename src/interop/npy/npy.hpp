#pragma once
// NumPy's file format .npy: a header, and an array's elements as they lie
// (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html). A .npz file is a zip file of them: npz.hpp.

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "interop/neighbour.hpp"
#include "stele/io.hpp"
#include "stele/value.hpp"

namespace stele {

class LaterArray;

constexpr std::string_view npy_magic = "\x93NUMPY";
// The text of a header begins after the magic, two bytes of the version and its size.
constexpr std::size_t npy_size_at = 8;
constexpr std::size_t npy_short_start = 10;  // in version 1, where the size has two bytes
constexpr std::size_t npy_long_start = 12;   // in versions 2 and 3, where it has four

/// Elements whose bytes are in the other order.
struct NpySwap {
  DType dtype;
  std::uint64_t offset = 0;  // in an item
  std::uint64_t count = 1;
};

struct NpyHeader {
  ArrayHeader array;           // with has_objects only the shape and the order count
  std::uint64_t offset = 0;    // of the elements, from the start of the file
  std::vector<NpySwap> swaps;  // empty where all elements are little-endian
  bool has_objects = false;    // the elements are, or have, Python objects: a pickle follows
};

/// Reads a header; the elements follow. Takes records whose fields lie one after another, with gaps.
/// Throws: Error(malformed), Error(truncated), Error(unsupported) for other versions than 1 to 3 and for dtypes that
/// stele lacks, Error(limit_exceeded) for a header of more than 1 MiB, and what DType::record() and Shape throw.
NpyHeader read_npy_header(Source& file);
/// What a header's text says: a dict of exactly descr, fortran_order and shape. The offset is not set.
NpyHeader parse_npy_header(std::string_view text, unsigned version);

/// Reads the array of a whole file. Throws: as read_npy_header() and read_elements(); Error(malformed) where bytes
/// follow; Error(unsupported) for Python objects.
AnyArray read_npy(Source& file);
/// The same, as a view of the mapping where there is one: not of elements that are big-endian or not aligned, which are
/// copied. Throws also: Error(not_mappable) for a copy where changes should reach the file, or that the options refuse.
Value read_npy(const Neighbour& file);
/// The same for the `size` bytes at `begin` of the file, which the source has reached.
Value read_npy(const Neighbour& file, std::uint64_t begin, std::uint64_t size);
/// What np.save() made of Python objects: the pickle of an array, after the header. Throws: as read_pickle().
Value read_npy_objects(Source& pickle, const NpyHeader& header, const LoadOptions& options);

/// Whether an array may be left in the file to be read later: its elements need no change and no check, and are many.
bool may_come_later(const NpyHeader& header);

/// Brings elements into the byte order of the header's dtype.
void swap_npy(const NpyHeader& header, std::byte* elements);
/// A text in quotes, as Python writes it.
std::string python_quoted(std::string_view text);

/// Magic, version and header of a dense array, a multiple of 64 bytes; its elements follow as they lie. Nothing for a
/// dtype that NumPy lacks.
std::optional<std::string> npy_header(const ArrayHeader& array);
/// A file in memory: a header and the elements after it.
struct NpyFile {
  std::string header;
  AnyArray array;  // dense

  std::uint64_t bytes() const { return header.size() + array.view().byte_count(); }
  /// Valid as long as this.
  std::array<Bytes, 2> parts() const& {
    return {std::as_bytes(std::span(header)), {array.view().data, static_cast<std::size_t>(array.view().byte_count())}};
  }
};
/// The file of an array; nothing for a dtype that NumPy lacks. Shares the array if its elements lie densely.
std::optional<NpyFile> npy_file(const AnyArray& array);
/// Writes an array; does not close the Sink. Throws: Error(unsupported) for a dtype that NumPy lacks, Error(io).
void write_npy(Sink& to, const AnyArray& array);
/// The same of an array that has not been read, piece by piece.
void write_npy(Sink& to, LaterArray& array);

}  // namespace stele

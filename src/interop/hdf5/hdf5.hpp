#pragma once
// HDF5 files (https://support.hdfgroup.org/documentation/hdf5/latest/_f_m_t3.html), read by libhdf5 where this build
// has it. Groups become maps, in the order of their names, datasets arrays:
//
// - Integers and floating-point numbers of both byte orders, float16, enumerations as their integers, and what h5py
//   writes for NumPy's bool and complex.
// - Fixed texts: arrays of bytes of that length. A text alone: text. Texts of any length: a sequence.
// - A number alone: a number; nothing: null.
// - Attributes of the root that are a text or a number: metadata. All others are lost.
//
// Refused, with the path: links that lead elsewhere, groups that are there twice, other types, elements in other files.
// Filters that libhdf5 would load as plugins are not loaded.

#include <string_view>

#include "interop/neighbour.hpp"
#include "stele/metadata.hpp"
#include "stele/value.hpp"

namespace stele {

inline constexpr std::string_view hdf5_magic = "\x89HDF\r\n\x1a\n";

struct Hdf5Content {
  Value value;
  Metadata metadata;
};

/// Reads a file. Streams and compressed files are read into memory first. Uncompressed, contiguous arrays stay in the
/// mapping. libhdf5 runs in a forked process, because it crashes on damaged files and is not thread-safe. Options that
/// count: limits. Throws: Error(malformed) for what libhdf5 cannot read, Error(unsupported), Error(limit_exceeded),
/// Error(not_mappable) as check_copy().
Hdf5Content read_hdf5(const Neighbour& file);

}  // namespace stele

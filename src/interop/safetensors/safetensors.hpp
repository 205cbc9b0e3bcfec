#pragma once
// Files of named arrays as machine-learning frameworks keep them (https://huggingface.co/docs/safetensors): the length
// of a header of JSON, the header, and the arrays' elements without a gap.
//
// A file is a map from the names to arrays, in the order in which they lie in the file. Element types that stele lacks
// become typed values, which are written again as what they were:
//   "safetensors:F8_E8M0", "safetensors:F8_E4M3FNUZ", "safetensors:F8_E5M2FNUZ": the array of the bytes, as uint8;
//   "safetensors:F4", "safetensors:F6_E2M3", "safetensors:F6_E3M2": a record of `shape` (uint64) and the packed bytes
//   `data` (uint8).
//
// What the reference implementation (safetensors 0.8) reads is read, except: a name that comes twice, in the header or
// in the metadata, of which the reference takes the last one; a header that does not begin with '{'; tensors and dtypes
// that are not described in the documented way, as a list or an object; more than 32 dimensions; extents whose product
// without zeros is 2^63 bytes or more; a BOOL that is neither 0 nor 1. Unknown fields of a tensor are skipped.

#include <string>

#include "interop/neighbour.hpp"
#include "stele/metadata.hpp"

namespace stele {

struct Tensors {
  /// A map.
  Value value;
  /// Texts.
  Metadata metadata;
};

/// Whether a file that begins so may be one: a length that a header can have, and the header's first byte.
bool may_be_safetensors(Bytes first) noexcept;

/// Reads a whole file; the metadata is `__metadata__`. Mapped arrays are views of the mapping. A source with random
/// access is read on several threads. Memory is taken as bytes come, whatever the header claims.
/// Throws: Error(truncated), Error(malformed), Error(duplicate_field), Error(limit_exceeded), Error(unsupported) for a
/// dtype that is unknown and in a build without JSON, and what array_at() throws.
Tensors read_safetensors(const Neighbour& file);

/// Reads a model whose arrays are in several files: `path` leads to a text of JSON, usually named
/// "model.safetensors.index.json", whose "weight_map" has the file of each array. The files lie in the same folder.
/// They are mapped as `options.map` says. Arrays that the index does not name are left out: the index says what the
/// model has. The order is that of the files' names, then that in the file. The metadata is the "metadata" of the index
/// and of the files; where two have different values under a name, those of files are under "FILE/NAME". Throws: as
/// read_safetensors(); Error(not_found) for a file, and for an array that its file lacks; Error(malformed) for a file
/// outside the folder; Error(unsupported) for metadata that is a list, an object or null; Error(io).
Tensors read_safetensors_index(const std::string& path, const LoadOptions& options);

/// Writes a file: maps and records of arrays, in each other; the names are joined with '.', and no other trace of maps
/// and records is kept. The order is that of the reference implementation: by dtype, widest first, then by name. The
/// first array begins at a multiple of 64 bytes, every array at a multiple of its element's size. Arrays of other
/// orders and strides are written row-major, in pieces. The Sink is not closed.
/// All is checked before anything is written. Throws: Error(unsupported) for what the format lacks, such as numbers,
/// texts, lists, other dtypes, references to shared values, maps without entries, keys and metadata that are not texts;
/// Error(duplicate_field) for names that are equal when they are joined; Error(invalid_argument) for a typed value
/// above without its form; Error(limit_exceeded) for a header of more than 100 MB; Error(io).
void write_safetensors(Sink& to, const Value& value, const Metadata& metadata = {});

}  // namespace stele

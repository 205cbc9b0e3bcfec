#pragma once
// Values as pickles and as joblib's files, which are pickles with the bytes of the arrays in between. What values
// become in Python:
//
// - null, boolean, integer, real, text, bytes: None, bool, int, float, str, bytes.
// - A sequence: list. An unordered one: set, or list if an item cannot be hashed or comes twice.
// - A map, a record: dict; the version of a record is its first entry, "@version".
// - An array: numpy.ndarray; complex for one complex128 without axes; for any other array without axes that is a key, a
//   scalar of NumPy's.
// - A typed value "py:…": what its name says, see interop/pickle/pickle.hpp. Another one: dict of "type", the name, and
//   "value".
// - Shared values and references: one object at all its places.

#include <cstdint>

#include "stele/io.hpp"
#include "stele/value.hpp"

namespace stele {

struct PickleWriteOptions {
  /// The protocol of pickles: 2 to 5. Python 3.4 reads up to 4, Python 3.8 all.
  unsigned protocol = 4;
  /// Write arrays as joblib does, so that it can map them; their elements begin at multiples of 64 bytes.
  bool joblib = false;
  /// The position in the file of the first byte that is written.
  std::uint64_t position = 0;
};

/// Whether write_pickle() can write the value.
/// Throws: Error(unsupported) with the path of what Python cannot hold: element types that NumPy lacks, keys that
/// cannot be hashed, cycles of tuples alone, what does not fit the protocol; Error(duplicate_field) for a key or a name
/// that comes twice; Error(invalid_argument) for another protocol, and for a typed value "py:…" that holds something
/// else than its name says; Error(not_found) for a reference without its shared value.
void check_pickle(const Value& value, const PickleWriteOptions& options = {});

/// Writes a pickle; does not close the Sink. The value is checked before anything is written.
/// Throws: as check_pickle(), and Error(io).
void write_pickle(Sink& to, const Value& value, const PickleWriteOptions& options = {});

}  // namespace stele

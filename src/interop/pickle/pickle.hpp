#pragma once
// Pickles and joblib's files as Values. Nothing that a file names is imported or called: containers, numbers, text and
// NumPy's arrays become Values of their own, everything else a generic object that states what would be called.
//
// What Python's objects become:
//
// - None, bool, int, float, str, list, dict: null, boolean, integer, real, text, sequence, map.
// - bytes, and Python 2's str: bytes; text where a Python 2 str is UTF-8.
// - numpy.ndarray, complex: an array; a complex number has no axes. A tensor of PyTorch's whose storage is known too.
// - py:int: an int of more than 64 bits, in hexadecimal. py:str: a str with surrogates, as bytes.
// - py:tuple, py:set, py:frozenset: a sequence. py:bytearray: bytes.
// - py:numpy.generic: a scalar of NumPy's, as an array without axes. py:numpy.dtype: a dtype in NumPy's notation.
// - py:numpy.object_array: a record of shape, order and items.
// - py:global: a class or function by name. py:persistent, py:extension: an object that only the writer knows.
// - py:NAME: a generic object, a record of those fields that there are: "callable", "new", "args", "kwargs", "state" or
//   "states", "items" and "entries".
//
// NAME is "module.qualname", or "module:Outer.Inner"; "call" where what would be called is itself an object.

#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "interop/neighbour.hpp"
#include "stele/io.hpp"
#include "stele/value.hpp"

namespace stele {

struct PickleOptions {
  /// The out-of-band buffers of protocol 5, in order: dense arrays of any dtype. They must outlive the reader.
  std::span<const AnyArray> buffers = {};
  /// The object that a persistent id stands for; by default the id as "py:persistent". An id that reaches this is text,
  /// a number, or a tuple of such and of globals.
  std::function<Value(const Value& id)> persistent = {};
  /// The bytes that the objects of persistent ids have in all, for limits.
  std::uint64_t persistent_bytes = 0;
  /// In how many other files this one is. Those that are too deep inside stay bytes.
  unsigned inside = 0;
};

/// Whether a file that begins so may be a pickle, or a file of joblib before 0.10 ("ZF"). Of protocols 0 and 1, which
/// have no magic number, it looks at the first opcodes.
bool may_be_pickle(Bytes first) noexcept;

/// Reads a file of one pickle, of Python's pickle or of joblib. Companion files (joblib before 0.10) are looked for
/// beside Neighbour::path. Options that count: limits.depth (nested objects), limits.allocation.
/// Throws: Error(malformed), Error(truncated), Error(limit_exceeded), Error(unsupported) for an out-of-band buffer that
/// was not given, what array_at() throws; Error(malformed) where bytes follow.
Value read_pickle(const Neighbour& file, const PickleOptions& options = {});

/// Reads pickles that lie one after the other, as several joblib.dump() to one open file leave them. The source is read
/// ahead.
class PickleReader {
 public:
  /// `file`, and what it refers to, must outlive the reader. Its source begins at the start of the file.
  explicit PickleReader(const Neighbour& file, PickleOptions options = {});
  ~PickleReader();
  PickleReader(const PickleReader&) = delete;
  PickleReader& operator=(const PickleReader&) = delete;

  bool at_end();
  /// Throws: as read_pickle().
  Value next();
  /// The offset of the first byte after the last pickle.
  std::uint64_t position() const noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace stele

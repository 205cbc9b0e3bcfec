#pragma once
// Arrays and element types as NumPy's pickles and joblib's files have them.

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "archive/value/later.hpp"
#include "interop/npy/npy.hpp"
#include "interop/pickle/write/stream.hpp"
#include "stele/array.hpp"

namespace stele {

/// Throw: Error(unsupported) for element types that NumPy lacks.
class PickleArrays {
 public:
  /// `joblib`: arrays are written as joblib does. The stream must outlive this.
  PickleArrays(PickleStream& out, bool joblib) : out_(out), joblib_(joblib) {}

  /// A numpy.ndarray.
  void array(const ArrayView& view);
  void array(LaterArray& later);
  /// The only element of an array without dimensions: a scalar of NumPy.
  void scalar(const ArrayView& view);
  /// The only element of such an array of complex128: a complex of Python.
  void complex(const ArrayView& view);
  /// The elements in that order: bytes.
  void elements(const ArrayView& view, Order order);
  void elements(LaterArray& later);

  /// A numpy.dtype.
  void dtype(const DType& dtype);
  /// The same of a text in NumPy's notation: "<f8", or the list of fields in the header of a .npy file.
  void dtype(std::string_view text);

  /// Leaves an empty numpy.ndarray on the stack, which array_state() and what follows it make an array.
  void empty_array();
  /// The beginning of the state of an array of objects: a list of them, in row-major order, and end_objects() follow.
  void begin_objects(const Shape& shape, Order order);
  void end_objects();

 private:
  using Swaps = std::vector<NpySwap>;

  void array(const ArrayHeader& header, const PickleStream::Pieces& pieces);
  void mapped(const ArrayHeader& header, const PickleStream::Pieces& pieces);
  void begin_state(const Shape& shape);
  void shape(const Shape& shape);
  void dtype_call(std::string_view code);
  void plain_state(char byte_order);
  void unsized_state(std::uint64_t flags);
  void other_dtype(std::string_view text);
  void sized_state(std::uint64_t item_size, std::uint64_t alignment, std::uint64_t flags);
  void dtype(const DType& dtype, const Swaps& swaps, std::uint64_t offset);
  void record(const DType& dtype, const Swaps& swaps, std::uint64_t offset);
  void member_array(const DType::Field& field, const Swaps& swaps, std::uint64_t offset);

  PickleStream& out_;
  const bool joblib_;
  std::vector<std::pair<DType, std::uint32_t>> dtypes_;  // in the memo; the first of them, so that a search is short
};

}  // namespace stele

#pragma once
// NumPy's arrays and scalars from events.

#include <unordered_map>
#include <vector>

#include "numpy.hpp"
#include "stele/visitor.hpp"

namespace stele::python {

class ArrayReader {
 public:
  explicit ArrayReader(InVisitor& in) : in_(in) {}

  /// The array that follows; a number for one of complex128 without axes.
  nb::object array();
  /// A number of NumPy's, which is stored as an array without axes.
  nb::object scalar();

  bool has_huge = false;  // something that is longer than its bytes in the file

 private:
  nb::object dtype_for(const DType& dtype);

  struct Seen {
    const Buffer* buffer;
    ArrayView view;
    nb::object array;
  };

  InVisitor& in_;
  std::unordered_map<const std::byte*, std::vector<Seen>> seen_;  // over buffers that others have, by their address
  DType record_;                                                  // met last
  nb::object record_dtype_;                                       // for it
};

}  // namespace stele::python

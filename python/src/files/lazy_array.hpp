#pragma once
// Arrays in open files.

#include "numpy.hpp"
#include "stele/lazy_array.hpp"

namespace stele::python {

/// What stele.LazyArray reads through.
class ArrayInFile {
 public:
  explicit ArrayInFile(AnyLazyArray array) : array_(std::move(array)) {}

  nb::object dtype() const { return numpy_dtype(array_.dtype()); }
  std::string dtype_name() const { return array_.dtype().name(); }
  std::uint64_t item_size() const { return array_.dtype().item_size(); }
  nb::tuple shape() const { return extents_of(array_.shape()); }
  const char* order() const { return array_.order() == Order::row_major ? "C" : "F"; }
  const std::string& encoding() const { return array_.encoding(); }

  /// Whether all of it can be read into an array of another dtype.
  bool fits(nb::handle dtype) const;
  /// A new array of a box: (first, count, step) for each of the first axes.
  nb::object read(nb::handle box) const;
  /// The same, to a dense writable array of its shape.
  void read_to(nb::handle box, nb::handle out) const;
  /// The rows of these numbers, an array of uint64.
  nb::object gather(nb::handle rows) const;

 private:
  AnyLazyArray array_;
};

}  // namespace stele::python

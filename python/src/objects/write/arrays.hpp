#pragma once
// What walks remember of NumPy's arrays: their element types, and the memory that they share.

#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "numpy.hpp"

namespace stele::python {

class ArrayMemory {
 public:
  /// dtype_of() the array's.
  const std::optional<DType>& type_of(PyArrayObject* array);
  /// The buffer of the memory that an array lies in; null where nobody else can have it: `references` are those to
  /// `holder` that are not part of the graph.
  std::shared_ptr<Buffer> buffer_of(PyArrayObject* array, PyObject* holder, int references);

 private:
  std::vector<nb::object> keep_;  // owns what was met
  std::unordered_map<PyObject*, std::shared_ptr<Buffer>> buffers_;
  std::unordered_map<PyArray_Descr*, std::optional<DType>> types_;
  const std::pair<PyArray_Descr* const, std::optional<DType>>* last_type_ = nullptr;  // the one looked up last
};

}  // namespace stele::python

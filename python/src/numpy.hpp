#pragma once
// NumPy's C interface, shared by the files of the module; module.cpp imports it.

#include "python.hpp"

#define PY_ARRAY_UNIQUE_SYMBOL stele_numpy
#ifndef STELE_IMPORTS_NUMPY
#define NO_IMPORT_ARRAY
#endif
#include <numpy/arrayobject.h>
#include <numpy/arrayscalars.h>

#include <memory>
#include <optional>
#include <span>
#include <string>

#include "stele/array.hpp"
#include "stele/dtype.hpp"
#include "stele/value.hpp"

namespace stele::python {


/// The element type of a dtype, if its arrays can be stored as they lie in memory: nothing for objects, big-endian and
/// extended numbers, and records of such or with titles.
std::optional<DType> dtype_of(PyArray_Descr* dtype);
/// The dtype of an element type. Throws: Error(unsupported) for one that NumPy lacks while ml_dtypes is not installed.
nb::object numpy_dtype(const DType& dtype);
/// A dtype as docs/format.md has it: text, or a list of fields.
nb::object describe_dtype(nb::handle dtype);
nb::object dtype_from_description(nb::handle description);

/// What describes an array whose dtype_of() is `dtype`; valid as long as the array.
ArrayView view_of(PyArrayObject* array, DType dtype);
/// A description of any object that NumPy can make an array of, and what keeps it alive.
struct Viewed {
  nb::object array;
  ArrayView view;
};
/// Throws: Error(unsupported) for arrays of objects and the like.
Viewed viewed(nb::handle object);

inline PyArrayObject* as_array(nb::handle object) noexcept { return reinterpret_cast<PyArrayObject*>(object.ptr()); }

/// An array over a buffer, which it keeps alive; writable if the buffer is. `dtype` is that of the view.
nb::object array_over(const ArrayView& view, const std::shared_ptr<Buffer>& buffer, nb::object dtype);
inline nb::object array_over(const ArrayView& view, const std::shared_ptr<Buffer>& buffer) {
  return array_over(view, buffer, numpy_dtype(view.dtype));
}
inline nb::object array_over(const AnyArray& array) { return array_over(array.view(), array.buffer()); }

/// A new array without values.
nb::object empty_array(const DType& dtype, const Shape& shape);
MutableBytes bytes_of(nb::handle array);
/// The elements of a dense array of that type.
template <class T>
std::span<T> elements(nb::handle array) {
  const MutableBytes bytes = bytes_of(array);
  return {reinterpret_cast<T*>(bytes.data()), bytes.size() / sizeof(T)};
}
/// A dense array of what NumPy safely makes numbers of this NPY_… type of.
nb::object dense(nb::handle numbers, int type);
nb::tuple extents_of(const Shape& shape);

}  // namespace stele::python

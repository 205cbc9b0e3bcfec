#include "objects/write/arrays.hpp"

namespace stele::python {

const std::optional<DType>& ArrayMemory::type_of(PyArrayObject* array) {
  PyArray_Descr* const dtype = PyArray_DESCR(array);
  if (last_type_ == nullptr || last_type_->first != dtype) {
    const auto [place, is_new] = types_.try_emplace(dtype);
    if (is_new) {
      place->second = dtype_of(dtype);
      keep_.push_back(nb::borrow(reinterpret_cast<PyObject*>(dtype)));
    }
    last_type_ = &*place;
  }
  return last_type_->second;
}

std::shared_ptr<Buffer> ArrayMemory::buffer_of(PyArrayObject* array, PyObject* holder, int references) {
  PyArrayObject* owner = array;
  while (PyArray_BASE(owner) != nullptr && PyArray_Check(PyArray_BASE(owner))) {
    owner = as_array(PyArray_BASE(owner));
  }
  auto* key = reinterpret_cast<PyObject*>(owner);
  if (owner == array && Py_REFCNT(holder) <= references) {
    return nullptr;
  }
  const auto found = buffers_.find(key);
  if (found != buffers_.end()) {
    return found->second;
  }
  // The bytes between the lowest and the highest address of its elements.
  npy_intp low = 0;
  npy_intp high = PyArray_ITEMSIZE(owner);
  for (int axis = 0; axis < PyArray_NDIM(owner); ++axis) {
    const npy_intp extent = PyArray_DIM(owner, axis);
    if (extent == 0) {
      return nullptr;
    }
    const npy_intp reach = (extent - 1) * PyArray_STRIDE(owner, axis);
    (reach < 0 ? low : high) += reach;
  }
  keep_.push_back(nb::borrow(key));
  auto* first = reinterpret_cast<std::byte*>(PyArray_BYTES(owner)) + low;
  std::shared_ptr<Buffer> buffer = Buffer::wrap(first, static_cast<std::size_t>(high - low), false, nullptr);
  buffers_.emplace(key, buffer);
  return buffer;
}

}  // namespace stele::python

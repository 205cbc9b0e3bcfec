#include "objects/read/arrays.hpp"

#include <algorithm>
#include <cstring>

#include "archive/value/any_array.hpp"
#include "stele/error.hpp"

namespace stele::python {

/// Records of one type are often met, and take NumPy long to make. Each array has a dtype of its own, as it can change.
nb::object ArrayReader::dtype_for(const DType& dtype) {
  if (!dtype.is_record()) {
    return numpy_dtype(dtype);
  }
  if (!record_dtype_.is_valid() || record_ != dtype) {
    record_dtype_ = numpy_dtype(dtype);
    record_ = dtype;
  }
  return own(reinterpret_cast<PyObject*>(PyArray_DescrNew(reinterpret_cast<PyArray_Descr*>(record_dtype_.ptr()))));
}

nb::object ArrayReader::array() {
  AnyTarget target;
  {
    const nb::gil_scoped_release released;
    in_.array(target);
  }
  if (target.view().shape.rank() == 0 && target.view().dtype.kind() == DType::Kind::complex128) {
    double parts[2];
    std::memcpy(parts, target.view().data, sizeof parts);
    return own(PyComplex_FromDoubles(parts[0], parts[1]));
  }
  // A view may repeat its elements: it is then longer than what the file has for it.
  const std::uint64_t bytes = target.view().byte_count();
  has_huge = has_huge || (bytes > (std::uint64_t{1} << 30) && bytes > target.buffer()->size());
  // Two names of one array lead to one object again.
  if (target.buffer().use_count() > 1) {
    for (const Seen& seen : seen_[target.view().data]) {
      const ArrayView& a = seen.view;
      const ArrayView& b = target.view();
      if (seen.buffer == target.buffer().get() && a.dtype == b.dtype && a.shape == b.shape &&
          std::equal(a.strides, a.strides + a.shape.rank(), b.strides)) {
        return seen.array;
      }
    }
  }
  nb::object made = array_over(target.view(), target.buffer(), dtype_for(target.view().dtype));
  if (target.buffer().use_count() > 2) {  // ours and the array's
    seen_[target.view().data].push_back({target.buffer().get(), target.view(), made});
  }
  return made;
}

nb::object ArrayReader::scalar() {
  AnyTarget target;
  in_.array(target);
  if (target.view().shape.rank() != 0) {
    in_.error(Errc::malformed, "a scalar of NumPy's with axes");
  }
  const nb::object dtype = numpy_dtype(target.view().dtype);
  return own(PyArray_Scalar(const_cast<std::byte*>(target.view().data), reinterpret_cast<PyArray_Descr*>(dtype.ptr()),
                            nullptr));
}

}  // namespace stele::python

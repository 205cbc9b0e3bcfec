#include "files/lazy_array.hpp"

#include <vector>

#include "archive/convert.hpp"
#include "bindings.hpp"
#include "stele/error.hpp"
#include "watch.hpp"

namespace stele::python {
namespace {

std::optional<DType> type_of(nb::handle dtype) {
  return PyArray_DescrCheck(dtype.ptr()) ? dtype_of(reinterpret_cast<PyArray_Descr*>(dtype.ptr())) : std::nullopt;
}

std::vector<Range> ranges_of(nb::handle box) {
  std::vector<Range> ranges;
  for (const nb::handle one : box) {
    ranges.push_back(
        {nb::cast<std::uint64_t>(one[0]), nb::cast<std::uint64_t>(one[1]), nb::cast<std::int64_t>(one[2])});
  }
  return ranges;
}

}  // namespace

bool ArrayInFile::fits(nb::handle dtype) const {
  const std::optional<DType> wanted = type_of(dtype);
  return wanted && widens(array_.dtype(), *wanted);
}

nb::object ArrayInFile::read(nb::handle box) const {
  const std::vector<Range> ranges = ranges_of(box);
  const Shape shape = array_.extents(ranges);
  array_.check(shape, array_.dtype());
  nb::object made = empty_array(array_.dtype(), shape);
  const MutableBytes to = bytes_of(made);
  const nb::gil_scoped_release released;
  array_.read(ranges, array_.dtype(), to);
  return made;
}

void ArrayInFile::read_to(nb::handle box, nb::handle out) const {
  const std::vector<Range> ranges = ranges_of(box);
  const std::optional<DType> dtype = dtype_of(PyArray_DESCR(as_array(out)));
  if (!dtype) {
    raise(PyExc_TypeError, "cannot read into an array of this dtype");
  }
  const ArrayView view = view_of(as_array(out), *dtype);
  if (!(view.shape == array_.extents(ranges))) {
    raise(PyExc_ValueError,
          "cannot read an array of shape " + array_.extents(ranges).text() + " into one of " + view.shape.text());
  }
  const MutableBytes to = bytes_of(out);
  const nb::gil_scoped_release released;
  array_.read(ranges, *dtype, to);
}

nb::object ArrayInFile::gather(nb::handle rows) const {
  const std::span<const std::uint64_t> wanted = elements<std::uint64_t>(rows);
  Shape shape = array_.shape();
  shape[0] = wanted.size();
  array_.check(shape, array_.dtype());
  nb::object made = empty_array(array_.dtype(), shape);
  const MutableBytes to = bytes_of(made);
  const nb::gil_scoped_release released;
  array_.gather(wanted, array_.dtype(), to);
  return made;
}

void bind_lazy_array(nb::module_& module) {
  module.def("widens", [](nb::handle from, nb::handle to) {
    const std::optional<DType> stored = type_of(from);
    const std::optional<DType> wanted = type_of(to);
    return stored && wanted && widens(*stored, *wanted);
  });
  nb::class_<ArrayInFile>(module, "ArrayInFile")
      .def_prop_ro("dtype", &ArrayInFile::dtype)
      .def_prop_ro("dtype_name", &ArrayInFile::dtype_name)
      .def_prop_ro("item_size", &ArrayInFile::item_size)
      .def_prop_ro("shape", &ArrayInFile::shape)
      .def_prop_ro("order", &ArrayInFile::order)
      .def_prop_ro("encoding", &ArrayInFile::encoding)
      .def("fits", &ArrayInFile::fits)
      .def("read", &ArrayInFile::read, nb::call_guard<Interruptible>())
      .def("read_to", &ArrayInFile::read_to, nb::call_guard<Interruptible>())
      .def("gather", &ArrayInFile::gather, nb::call_guard<Interruptible>());
}

}  // namespace stele::python

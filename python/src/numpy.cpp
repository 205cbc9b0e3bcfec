#include "numpy.hpp"

#include "stele/error.hpp"

namespace stele::python {
namespace {

using Kind = DType::Kind;

Kind kind_of_extension(PyArray_Descr* dtype) {
  const nb::handle type(reinterpret_cast<PyObject*>(dtype->typeobj));
  if (nb::cast<std::string>(nb::str(nb::getattr(type, "__module__"))) != "ml_dtypes") {
    return Kind::none;
  }
  const auto name = nb::cast<std::string>(nb::str(nb::getattr(type, "__name__")));
  return name == "bfloat16"        ? Kind::bfloat16
         : name == "float8_e4m3fn" ? Kind::float8_e4m3fn
         : name == "float8_e5m2"   ? Kind::float8_e5m2
                                   : Kind::none;
}

std::optional<DType> record_of(PyArray_Descr* dtype) {
  const nb::handle given(reinterpret_cast<PyObject*>(dtype));
  const nb::object fields = nb::getattr(given, "fields");
  if (PyDataType_ELSIZE(dtype) > INT32_MAX) {
    return std::nullopt;
  }
  std::vector<DType::Field> found;
  for (const nb::handle name : nb::getattr(given, "names")) {
    const nb::object entry = fields[name];
    std::string_view label;
    if (nb::len(entry) != 2 || !utf8(name.ptr(), label)) {  // a third item is a title
      return std::nullopt;
    }
    DType::Field field;
    field.name = label;
    field.offset = nb::cast<std::uint32_t>(entry[1]);
    auto* element = reinterpret_cast<PyArray_Descr*>(nb::object(entry[0]).ptr());
    if (PyDataType_HASSUBARRAY(element)) {
      const nb::object shape = nb::getattr(nb::handle(reinterpret_cast<PyObject*>(element)), "shape");
      if (nb::len(shape) != 1) {
        return std::nullopt;
      }
      field.count = nb::cast<std::uint32_t>(shape[0]);
      if (field.count < 2) {  // one element is not an array there
        return std::nullopt;
      }
      element = PyDataType_SUBARRAY(element)->base;
    }
    const std::optional<DType> type = dtype_of(element);
    if (!type) {
      return std::nullopt;
    }
    field.type = *type;
    found.push_back(std::move(field));
  }
  if (found.empty()) {
    return std::nullopt;
  }
  return DType::record(std::move(found), static_cast<std::uint32_t>(PyDataType_ELSIZE(dtype)));
}

nb::object record_dtype(const DType& dtype) {
  nb::list names;
  nb::list formats;
  nb::list offsets;
  for (const DType::Field& field : dtype.fields()) {
    names.append(text(field.name));
    const nb::object type = numpy_dtype(field.type);
    formats.append(field.count == 1 ? type : nb::make_tuple(type, nb::make_tuple(field.count)));
    offsets.append(field.offset);
  }
  nb::dict all;
  all["names"] = names;
  all["formats"] = formats;
  all["offsets"] = offsets;
  all["itemsize"] = dtype.item_size();
  return imported("numpy", "dtype")(all);
}

nb::object make_dtype(const DType& dtype) {
  if (dtype.is_record()) {
    return record_dtype(dtype);
  }
  const std::string name = dtype.numpy();
  const Kind kind = dtype.kind();
  if (kind == Kind::bfloat16 || kind == Kind::float8_e4m3fn || kind == Kind::float8_e5m2) {
    try {
      return imported("numpy", "dtype")(imported("ml_dtypes", name.c_str()));
    } catch (nb::python_error& error) {
      if (!error.matches(PyExc_ImportError)) {
        throw;
      }
      fail(Errc::unsupported, "arrays of " + name + " need the package ml_dtypes");
    }
  }
  return imported("numpy", "dtype")(text(name));
}

}  // namespace

std::optional<DType> dtype_of(PyArray_Descr* dtype) {
  switch (dtype->type_num) {
    case NPY_BOOL:
      return Kind::boolean;
    case NPY_OBJECT:
    case NPY_LONGDOUBLE:
    case NPY_CLONGDOUBLE:
      return std::nullopt;
    case NPY_VOID:
      return PyDataType_HASFIELDS(dtype) ? record_of(dtype) : std::nullopt;
    case NPY_DATETIME:
    case NPY_TIMEDELTA:
    case NPY_UNICODE:
    case NPY_STRING:
      break;
    default:
      if (dtype->type_num >= NPY_NTYPES_LEGACY || dtype->type_num < 0) {
        const Kind kind = kind_of_extension(dtype);
        return kind == Kind::none ? std::nullopt : std::optional<DType>(kind);
      }
  }
  if (!PyArray_ISNBO(dtype->byteorder) || PyDataType_ELSIZE(dtype) == 0) {
    return std::nullopt;
  }
  static PyObject* const spelled = nb::str("str").release().ptr();
  const nb::object name = own(PyObject_GetAttr(reinterpret_cast<PyObject*>(dtype), spelled));
  std::string_view given;
  bool big_endian = false;
  if (!utf8(name.ptr(), given)) {
    return std::nullopt;
  }
  try {
    const DType found = DType::from_numpy(given, big_endian);
    return big_endian ? std::nullopt : std::optional(found);
  } catch (const Error&) {
    return std::nullopt;
  }
}

nb::object numpy_dtype(const DType& dtype) {
  static constexpr std::pair<Kind, int> numbers[] = {
      {Kind::boolean, NPY_BOOL},        {Kind::int8, NPY_INT8},
      {Kind::int16, NPY_INT16},         {Kind::int32, NPY_INT32},
      {Kind::int64, NPY_INT64},         {Kind::uint8, NPY_UINT8},
      {Kind::uint16, NPY_UINT16},       {Kind::uint32, NPY_UINT32},
      {Kind::uint64, NPY_UINT64},       {Kind::float16, NPY_FLOAT16},
      {Kind::float32, NPY_FLOAT32},     {Kind::float64, NPY_FLOAT64},
      {Kind::complex64, NPY_COMPLEX64}, {Kind::complex128, NPY_COMPLEX128}};
  for (const auto& [kind, number] : numbers) {
    if (kind == dtype.kind()) {
      return nb::steal<nb::object>(reinterpret_cast<PyObject*>(PyArray_DescrFromType(number)));
    }
  }
  return make_dtype(dtype);
}

nb::object describe_dtype(nb::handle dtype) { return imported("stele._forms", "describe_dtype")(dtype); }
nb::object dtype_from_description(nb::handle description) {
  return imported("stele._forms", "dtype_from_description")(description);
}

ArrayView view_of(PyArrayObject* array, DType dtype) {
  ArrayView view;
  view.dtype = std::move(dtype);
  const int rank = PyArray_NDIM(array);
  for (int axis = 0; axis < rank; ++axis) {
    view.shape.push_back(static_cast<std::uint64_t>(PyArray_DIM(array, axis)));
    view.strides[axis] = PyArray_STRIDE(array, axis);
  }
  view.data = reinterpret_cast<const std::byte*>(PyArray_BYTES(array));
  return view;
}

Viewed viewed(nb::handle object) {
  nb::object array = own(PyArray_FROM_O(object.ptr()));
  const std::optional<DType> dtype = dtype_of(PyArray_DESCR(as_array(array)));
  if (!dtype) {
    fail(Errc::unsupported, "an array of " + nb::cast<std::string>(nb::str(nb::object(array.attr("dtype")))) +
                                " has no form of its own in an archive");
  }
  const ArrayView view = view_of(as_array(array), *dtype);
  return {std::move(array), view};
}

nb::object array_over(const ArrayView& view, const std::shared_ptr<Buffer>& buffer, nb::object dtype) {
  npy_intp extents[max_rank];
  npy_intp strides[max_rank];
  const std::size_t rank = view.shape.rank();
  for (std::size_t axis = 0; axis < rank; ++axis) {
    extents[axis] = static_cast<npy_intp>(view.shape[axis]);
    strides[axis] = static_cast<npy_intp>(view.strides[axis]);
  }
  const bool writable = buffer == nullptr || buffer->writable();
  // Without elements there may be no address, which NumPy takes for a wish for memory of its own.
  void* data = const_cast<std::byte*>(view.data);
  const bool none = data == nullptr;
  nb::object array = own(PyArray_NewFromDescr(&PyArray_Type, reinterpret_cast<PyArray_Descr*>(dtype.release().ptr()),
                                              static_cast<int>(rank), extents, none ? nullptr : strides, data,
                                              writable ? NPY_ARRAY_WRITEABLE : 0, nullptr));
  if (!none && buffer != nullptr) {
    const nb::object owner = nb::capsule(new std::shared_ptr<Buffer>(buffer), [](void* held) noexcept {
      delete static_cast<std::shared_ptr<Buffer>*>(held);
    });
    check(PyArray_SetBaseObject(as_array(array), nb::object(owner).release().ptr()));
  }
  PyArray_UpdateFlags(as_array(array), NPY_ARRAY_C_CONTIGUOUS | NPY_ARRAY_F_CONTIGUOUS | NPY_ARRAY_ALIGNED);
  return array;
}

nb::object empty_array(const DType& dtype, const Shape& shape) {
  nb::object made = numpy_dtype(dtype);
  npy_intp extents[max_rank];
  for (std::size_t axis = 0; axis < shape.rank(); ++axis) {
    extents[axis] = static_cast<npy_intp>(shape[axis]);
  }
  return own(PyArray_NewFromDescr(&PyArray_Type, reinterpret_cast<PyArray_Descr*>(made.release().ptr()),
                                  static_cast<int>(shape.rank()), extents, nullptr, nullptr, 0, nullptr));
}

MutableBytes bytes_of(nb::handle array) {
  return {reinterpret_cast<std::byte*>(PyArray_BYTES(as_array(array))),
          static_cast<std::size_t>(PyArray_NBYTES(as_array(array)))};
}

nb::object dense(nb::handle numbers, int type) {
  return own(PyArray_FROM_OTF(numbers.ptr(), type, NPY_ARRAY_IN_ARRAY));
}

nb::tuple extents_of(const Shape& shape) {
  nb::list extents;
  for (const std::uint64_t extent : shape) {
    extents.append(extent);
  }
  return nb::tuple(extents);
}

}  // namespace stele::python

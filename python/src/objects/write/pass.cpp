#include "objects/write/pass.hpp"

#include "stele/error.hpp"

namespace stele::python {
namespace {

/// Arrays of this size are written without the GIL.
constexpr std::uint64_t released_bytes = std::uint64_t{64} << 10;

class Shared final : public SharedOut {
 public:
  Shared(PyObject* object, const std::shared_ptr<void>& owner) : SharedOut(object, typeid(PyObject)), owner_(owner) {}
  std::size_t bytes() const override { return 1; }
  std::weak_ptr<const void> owner() const override { return owner_; }
  std::string type_name() const override { return {}; }
  Later later() const override { fail(Errc::unsupported, "a Python object is not written later"); }

 private:
  const std::shared_ptr<void>& owner_;
};

}  // namespace

void Pass::value(PyObject* object, int references) {
  PyTypeObject* const type = Py_TYPE(object);
  if (type == &PyUnicode_Type) {
    return text_value(object, references);
  }
  if (type == &PyFloat_Type) {
    return out_.real(PyFloat_AsDouble(object));
  }
  if (type == &PyLong_Type) {
    return integer(object);
  }
  if (object == Py_None) {
    return out_.null();
  }
  if (type == &PyBool_Type) {
    return out_.boolean(object == Py_True);
  }
  if (type == &PyBytes_Type) {
    return bytes_value(object, references);
  }
  if (type == &PyList_Type) {
    if (begin_shared(object, references)) {
      list(object);
    }
    return;
  }
  if (type == &PyDict_Type) {
    if (begin_shared(object, references)) {
      dict(object);
    }
    return;
  }
  if (type == &PyTuple_Type) {
    if (begin_shared(object, references)) {
      out_.begin_typed("py:tuple");
      tuple(object);
    }
    return;
  }
  if (PyArray_CheckExact(object)) {
    return array(object, references);
  }
  if (PyType_IsSubtype(type, reinterpret_cast<PyTypeObject*>(&PyGenericArrType_Type))) {
    return scalar(object);
  }
  if (type == &PySet_Type || type == &PyFrozenSet_Type) {
    if (begin_shared(object, references)) {
      out_.begin_typed(type == &PySet_Type ? "py:set" : "py:frozenset");
      set(object);
    }
    return;
  }
  if (type == &PyByteArray_Type) {
    if (begin_shared(object, references)) {
      out_.begin_typed("py:bytearray");
      out_.bytes({reinterpret_cast<const std::byte*>(PyByteArray_AsString(object)),
                  static_cast<std::size_t>(PyByteArray_Size(object))});
    }
    return;
  }
  if (type == &PyComplex_Type) {
    const double parts[2] = {PyComplex_RealAsDouble(object), PyComplex_ImagAsDouble(object)};
    return out_.array(ArrayView(DType::Kind::complex128, parts, Shape(), Order::row_major));
  }
  if (object == Py_Ellipsis || object == Py_NotImplemented) {
    out_.begin_typed("py:global");
    return out_.text(object == Py_Ellipsis ? "builtins.Ellipsis" : "builtins.NotImplemented");
  }
  other(object, references);
}

bool Pass::begin_shared(PyObject* object, int references) {
  // Immortal objects have a count beyond int.
  if (!all_.all_shared && (references == unshared || Py_REFCNT(object) <= references)) {
    return true;
  }
  return out_.begin_shared(Shared(object, all_.life));
}

void Pass::integer(PyObject* object) {
  int overflow = 0;
  const long long value = PyLong_AsLongLongAndOverflow(object, &overflow);
  if (overflow == 0) {
    return value < 0 ? out_.integer(value) : out_.natural(static_cast<std::uint64_t>(value));
  }
  if (overflow > 0) {
    const unsigned long long natural = PyLong_AsUnsignedLongLong(object);
    if (natural != ~0ULL || PyErr_Occurred() == nullptr) {
      return out_.natural(natural);
    }
    PyErr_Clear();
  }
  const nb::object digits = own(PyNumber_ToBase(object, 16));
  std::string_view spelled;
  utf8(digits.ptr(), spelled);
  out_.begin_typed("py:int");
  out_.text(spelled);
}

void Pass::text_value(PyObject* object, int references) {
  std::string_view view;
  if (!utf8(object, view)) {  // surrogates
    const nb::object encoded = own(PyUnicode_AsEncodedString(object, "utf-8", "surrogatepass"));
    out_.begin_typed("py:str");
    return out_.bytes({reinterpret_cast<const std::byte*>(PyBytes_AsString(encoded.ptr())),
                       static_cast<std::size_t>(PyBytes_Size(encoded.ptr()))});
  }
  if (static_cast<Py_ssize_t>(view.size()) < shared_text_bytes || begin_shared(object, references)) {
    out_.text(view);
  }
}

void Pass::bytes_value(PyObject* object, int references) {
  const Py_ssize_t size = PyBytes_Size(object);
  if (size < shared_text_bytes || begin_shared(object, references)) {
    out_.bytes({reinterpret_cast<const std::byte*>(PyBytes_AsString(object)), static_cast<std::size_t>(size)});
  }
}

void Pass::array(PyObject* object, int references) {
  PyArrayObject* const given = as_array(object);
  const std::optional<DType>& dtype = all_.arrays.type_of(given);
  // Without axes, an array of complex128 is a number.
  if (!dtype || (PyArray_NDIM(given) == 0 && dtype->kind() == DType::Kind::complex128)) {
    return other(object, references);
  }
  ArrayView view = view_of(given, *dtype);
  std::shared_ptr<Buffer> buffer;
  if (!all_.all_shared) {
    buffer = all_.arrays.buffer_of(given, object, references);
    view.buffer = buffer.get();
  }
  if (view.byte_count() < released_bytes) {
    return out_.array(view);
  }
  const nb::gil_scoped_release released;
  out_.array(view);
}

void Pass::scalar(PyObject* object) {
  const nb::object array = own(PyArray_FromScalar(object, nullptr));
  const std::optional<DType>& dtype = all_.arrays.type_of(as_array(array));
  if (!dtype) {
    return other(object, 1);
  }
  out_.begin_typed("py:numpy.generic");
  out_.array(view_of(as_array(array), *dtype));
}

}  // namespace stele::python

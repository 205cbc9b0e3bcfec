#include "errors.hpp"

#include <exception>
#include <typeinfo>

#include "stele/error.hpp"

namespace stele::python {
namespace {

/// Text of messages and paths, which may have bytes of a damaged file.
nb::object readable(std::string_view value) {
  return own(PyUnicode_DecodeUTF8(value.data(), static_cast<Py_ssize_t>(value.size()), "backslashreplace"));
}

void set_error(const Error& error) {
  const nb::object offset = error.offset() ? nb::object(nb::int_(*error.offset())) : nb::none();
  const nb::object made = imported("stele._errors", "make")(
      nb::str(std::string(to_string(error.code())).c_str()), readable(error.what()),
      readable(error.message()), readable(error.path()), offset, readable(error.file()));
  PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(made.ptr())), made.ptr());
}

}  // namespace

void raise(PyObject* type, const std::string& message) {
  PyErr_SetString(type, message.c_str());
  throw nb::python_error();
}

void translate_errors() {
  nb::register_exception_translator([](const std::exception_ptr& thrown, void*) {
    try {
      std::rethrow_exception(thrown);
    } catch (const Error& error) {
      try {
        set_error(error);
      } catch (nb::python_error& other) {
        other.restore();
      }
    } catch (const std::bad_cast&) {
      PyErr_SetString(PyExc_TypeError, "an argument has another type than it must have");
    }
  });
}

}  // namespace stele::python

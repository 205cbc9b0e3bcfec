#pragma once
// What every file of the module includes: nanobind, and helpers over Python's C interface.

#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace stele::python {

namespace nb = nanobind;

/// Takes over a new reference. Throws the Python error that is set where it is null.
inline nb::object own(PyObject* object) {
  if (object == nullptr) {
    throw nb::python_error();
  }
  return nb::steal<nb::object>(object);
}
/// Throws the Python error that is set if a call failed.
inline void check(int result) {
  if (result < 0) {
    throw nb::python_error();
  }
}

/// Calls `work` without the GIL.
template <class F>
auto without_gil(F&& work) {
  const nb::gil_scoped_release released;
  return work();
}
/// For functions whose arguments and results are no objects of Python's.
using WithoutGil = nb::call_guard<nb::gil_scoped_release>;

/// An attribute of a module, imported now.
inline nb::object imported(const char* module, const char* name) { return nb::module_::import_(module).attr(name); }

/// The UTF-8 of a str, valid as long as the str. False, without a Python error, for one with surrogates.
inline bool utf8(PyObject* text, std::string_view& out) noexcept {
  Py_ssize_t size = 0;
  const char* data = PyUnicode_AsUTF8AndSize(text, &size);
  if (data == nullptr) {
    PyErr_Clear();
    return false;
  }
  out = {data, static_cast<std::size_t>(size)};
  return true;
}
inline nb::object text(std::string_view value) {
  return own(PyUnicode_FromStringAndSize(value.data(), static_cast<Py_ssize_t>(value.size())));
}

/// A str; bytes where it is no UTF-8.
inline nb::object text_or_bytes(std::string_view value) {
  PyObject* const made = PyUnicode_FromStringAndSize(value.data(), static_cast<Py_ssize_t>(value.size()));
  if (made != nullptr) {
    return nb::steal(made);
  }
  PyErr_Clear();
  return nb::bytes(value.data(), value.size());
}
/// The name of an object's class.
inline std::string class_of(nb::handle object) {
  return nb::cast<std::string>(nb::str(object.type().attr("__name__")));
}

inline nb::list texts_of(const std::vector<std::string>& values) {
  nb::list made;
  for (const std::string& value : values) {
    made.append(text(value));
  }
  return made;
}

[[noreturn]] void raise(PyObject* type, const std::string& message);

}  // namespace stele::python

// The module stele._core.

#define STELE_IMPORTS_NUMPY
#include "numpy.hpp"

#include <exception>
#include <typeinfo>

#include "bindings.hpp"
#include "stele/error.hpp"
#include "stele/version.hpp"
#include "watch.hpp"

namespace stele::python {
namespace {

/// Text of messages and paths, which may have bytes of a damaged file.
nb::object readable(std::string_view value) {
  return own(PyUnicode_DecodeUTF8(value.data(), static_cast<Py_ssize_t>(value.size()), "backslashreplace"));
}

void set_error(const Error& error) {
  const nb::object offset = error.offset() ? nb::object(nb::int_(*error.offset())) : nb::none();
  const nb::object made = imported("stele._errors", "make")(nb::str(std::string(to_string(error.code())).c_str()),
                                                            readable(error.what()), readable(error.message()),
                                                            readable(error.path()), offset, readable(error.file()));
  PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(made.ptr())), made.ptr());
}

/// Errors of the library are raised from now on as what stele/_errors.py makes of them.
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

void import_numpy() {
  if (_import_array() < 0) {
    throw nb::python_error();
  }
}

}  // namespace

void raise(PyObject* type, const std::string& message) {
  PyErr_SetString(type, message.c_str());
  throw nb::python_error();
}

}  // namespace stele::python

NB_MODULE(_core, module) {
  using namespace stele::python;
  import_numpy();
  translate_errors();
  let_others_run_while_waiting();
  module.attr("version") = stele::version_string;
  bind_archive(module);
  bind_open_file(module);
  bind_lazy_array(module);
  bind_writer(module);
  bind_streams(module);
  bind_whole_files(module);
  bind_storage(module);
  bind_cache(module);
  bind_checkpoints(module);
  bind_counts(module);
  bind_filters(module);
  bind_features(module);
  bind_text(module);
#if STELE_WITH_STORE
  bind_store(module);
#endif
#if STELE_WITH_REMOTE
  bind_remote(module);
#endif
}

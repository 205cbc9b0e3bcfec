#pragma once
// What loading and saving turn off while they make many objects.

#include "python.hpp"

namespace stele::python {

/// Python's garbage collector does not run meanwhile: it would look at all that was made so far again and again. The
/// parts of objects that are saved are such, too: they live until the end.
class NoCollection {
 public:
#if PY_VERSION_HEX >= 0x030A0000
  NoCollection() : enabled_(PyGC_Disable() != 0) {}
  ~NoCollection() {
    if (enabled_) {
      PyGC_Enable();
    }
  }
#else  // Python 3.9 has the module alone
  NoCollection() : enabled_(call("isenabled")) { call("disable"); }
  ~NoCollection() {
    if (enabled_) {
      call("enable");
    }
  }
#endif
  NoCollection(const NoCollection&) = delete;
  NoCollection& operator=(const NoCollection&) = delete;

 private:
#if PY_VERSION_HEX < 0x030A0000
  /// An exception that is on its way stays as it is.
  static bool call(const char* name) noexcept {
    PyObject *type, *value, *trace;
    PyErr_Fetch(&type, &value, &trace);
    PyObject* const module = PyImport_ImportModule("gc");
    PyObject* const result = module != nullptr ? PyObject_CallMethod(module, name, nullptr) : nullptr;
    const bool is_true = result == Py_True;
    Py_XDECREF(result);
    Py_XDECREF(module);
    PyErr_Restore(type, value, trace);
    return is_true;
  }
#endif
  const bool enabled_;
};

}  // namespace stele::python

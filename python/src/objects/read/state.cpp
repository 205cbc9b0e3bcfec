#include "objects/read/state.hpp"

namespace stele::python {

States::Way States::way_of(PyTypeObject* type) {
  const auto [place, is_new] = ways_.try_emplace(type, Way::form);
  if (is_new) {
    const auto name = nb::cast<std::string>(forms_.attr("way_of_state")(nb::handle(reinterpret_cast<PyObject*>(type))));
    place->second = name == "attributes" ? Way::attributes : name == "method" ? Way::method : Way::form;
  }
  return place->second;
}

bool States::repeats(PyTypeObject* type) {
  const auto [place, is_new] = repeats_.try_emplace(type);
  if (is_new) {
    place->second = nb::cast<bool>(forms_.attr("repeats_state")(nb::handle(reinterpret_cast<PyObject*>(type))));
  }
  return place->second;
}

nb::object States::set(const nb::object& object, const nb::object& state) {
  const Way way = way_of(Py_TYPE(object.ptr()));
  if (way == Way::method) {
    own(PyObject_CallMethodObjArgs(object.ptr(), method_.ptr(), state.ptr(), nullptr));
    return nb::none();
  }
  if (!PyDict_CheckExact(state.ptr()) || way != Way::attributes) {
    return forms_.attr("set_state")(object, state);
  }
  const nb::object attributes = object.attr("__dict__");
  Py_ssize_t at = 0;
  PyObject* key = nullptr;
  PyObject* item = nullptr;
  while (PyDict_Next(state.ptr(), &at, &key, &item) != 0) {
    Py_INCREF(key);
    if (PyUnicode_CheckExact(key)) {
      PyUnicode_InternInPlace(&key);
    }
    const nb::object held = nb::steal<nb::object>(key);
    check(PyDict_SetItem(attributes.ptr(), key, item));
  }
  return nb::none();
}

}  // namespace stele::python

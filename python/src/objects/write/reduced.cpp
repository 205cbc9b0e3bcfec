#include "objects/write/reduced.hpp"

#include "numpy.hpp"

namespace stele::python {
namespace {

nb::object part(const nb::object& parts, Py_ssize_t index) {
  PyObject* const found = index < PyTuple_Size(parts.ptr()) ? PyTuple_GetItem(parts.ptr(), index) : Py_None;
  return found == Py_None ? nb::object() : nb::borrow<nb::object>(found);
}

/// What stele/_forms.py made of an object.
Reduced from_parts(nb::object parts) {
  Reduced made;
  made.name = part(parts, 0);
  made.callable = part(parts, 1);
  made.is_new = PyTuple_GetItem(parts.ptr(), 2) == Py_True;
  made.args = part(parts, 3);
  made.kwargs = part(parts, 4);
  made.state = part(parts, 5);
  made.items = part(parts, 6);
  made.entries = part(parts, 7);
  made.repeats = part(parts, 8).is_valid();
  made.keep = std::move(parts);
  return made;
}

}  // namespace

const Reduced& Reducer::of(PyObject* object) {
  if (const auto found = reduced_.find(object); found != reduced_.end()) {
    return found->second;
  }
  keep_.push_back(nb::borrow(object));
  Reduced made;
  if (!of_type(Py_TYPE(object)).has_form) {
    nb::object given = own(PyObject_CallMethodObjArgs(object, reduce_ex_.ptr(), protocol_.ptr(), nullptr));
    made = is_plain(given) ? taken_apart(std::move(given))
                           : from_parts(modules_.forms.attr("parts_of")(nb::handle(object), given));
  } else {
    made = from_parts(modules_.reduce(nb::handle(object)));
  }
  return reduced_.emplace(object, std::move(made)).first->second;
}

const Reducer::OfType& Reducer::of_type(PyTypeObject* type) {
  if (last_of_type_ != nullptr && last_of_type_->first == type) {
    return last_of_type_->second;
  }
  const auto [place, is_new] = of_types_.try_emplace(type);
  if (is_new) {
    const nb::handle object(reinterpret_cast<PyObject*>(type));
    keep_.push_back(nb::borrow(object));
    place->second.has_form = nb::cast<bool>(modules_.forms.attr("has_form")(object));
    place->second.ordinary = !object.is(modules_.memmap) && !object.is(modules_.function) &&
                             !object.is(modules_.typed) && PyType_IsSubtype(type, &PyType_Type) == 0 &&
                             PyType_IsSubtype(type, &PyCFunction_Type) == 0 &&
                             PyType_IsSubtype(type, &PyArrayDescr_Type) == 0;
  }
  last_of_type_ = &*place;
  return place->second;
}

/// Whether __reduce_ex__ returned what taken_apart() handles: the rest is rare, or an error.
bool Reducer::is_plain(const nb::object& given) const {
  if (!PyTuple_CheckExact(given.ptr())) {
    return false;
  }
  const Py_ssize_t size = PyTuple_Size(given.ptr());
  if (size < 2 || size > 5) {
    return false;
  }
  PyObject* const function = PyTuple_GetItem(given.ptr(), 0);
  PyObject* const args = PyTuple_GetItem(given.ptr(), 1);
  if (!PyTuple_CheckExact(args)) {
    return false;
  }
  return function == modules_.new_object.ptr() ? PyTuple_Size(args) > 0 && PyType_Check(PyTuple_GetItem(args, 0)) != 0
                                               : PyType_Check(function) != 0;
}

Reduced Reducer::taken_apart(nb::object given) {
  Reduced made;
  nb::object called = part(given, 0);
  made.args = part(given, 1);
  if (called.is(modules_.new_object)) {
    made.is_new = true;
    called = part(made.args, 0);
    made.args = own(PyTuple_GetSlice(made.args.ptr(), 1, PyTuple_Size(made.args.ptr())));
  }
  nb::object& name = names_[called.ptr()];
  if (!name.is_valid()) {
    keep_.push_back(called);
    name = modules_.forms.attr("name_of")(called);
  }
  made.name = name;
  made.state = part(given, 2);
  for (const int index : {3, 4}) {
    if (const nb::object iterator = part(given, index); iterator.is_valid()) {
      nb::object list = own(PySequence_List(iterator.ptr()));
      if (PyList_Size(list.ptr()) > 0) {
        (index == 3 ? made.items : made.entries) = std::move(list);
      }
    }
  }
  made.keep = std::move(given);
  return made;
}

}  // namespace stele::python

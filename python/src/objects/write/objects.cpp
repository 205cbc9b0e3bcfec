// Objects without an event of their own: by what they are made of.

#include "objects/write/pass.hpp"

namespace stele::python {

void Pass::other(PyObject* object, int references) {
  if (all_.reducer.is_ordinary(Py_TYPE(object))) {
    return taken(object, references);
  }
  if (nb::handle(object).type().is(modules().memmap) && all_.arrays.type_of(as_array(object))) {
    return array(object, references);
  }
  if (PyType_Check(object) || nb::handle(object).type().is(modules().function) || PyCFunction_Check(object)) {
    const nb::object method_of =
        PyCFunction_Check(object) ? nb::getattr(nb::handle(object), "__self__", nb::none()) : nb::none();
    if (method_of.is_none() || PyModule_Check(method_of.ptr())) {
      const nb::object name = modules().forms.attr("name_of")(nb::handle(object));
      std::string_view spelled;
      utf8(name.ptr(), spelled);
      out_.begin_typed("py:global");
      return out_.text(spelled);
    }
  }
  if (nb::handle(object).type().is(modules().typed)) {
    const nb::object name = nb::getattr(nb::handle(object), "name");
    const nb::object content = nb::getattr(nb::handle(object), "value");
    all_.keep.push_back(content);
    std::string_view spelled;
    utf8(name.ptr(), spelled);
    out_.begin_typed(spelled);
    return value(content.ptr(), unshared);
  }
  if (PyArray_DescrCheck(object)) {
    const nb::object description = describe_dtype(object);
    if (!description.is_none()) {
      if (begin_shared(object, unshared)) {
        all_.keep.push_back(description);
        out_.begin_typed("py:numpy.dtype");
        value(description.ptr(), unshared);
      }
      return;
    }
  }
  taken(object, references);
}

/// Writes an object by its parts.
void Pass::taken(PyObject* object, int references) {
  if (begin_shared(object, references)) {
    generic(all_.reducer.of(object));
  }
}

/// The record that docs/format.md describes.
void Pass::generic(const Reduced& made) {
  std::string_view name;
  if (made.name.is_valid()) {
    utf8(made.name.ptr(), name);
  } else {
    name = "call";
  }
  if (name == "global") {
    out_.begin_typed("py:global");
    return value(PyTuple_GetItem(made.args.ptr(), 0), unshared);
  }
  if (name == "numpy.object_array") {  // its fields are its own
    out_.begin_typed("py:numpy.object_array");
    static constexpr std::string_view names[] = {"shape", "order", "items"};
    out_.begin_record({names});
    for (int i = 0; i < 3; ++i) {
      PyObject* const item = PyTuple_GetItem(made.args.ptr(), i);
      if (i == 2) {
        list(item);
      } else {
        value(item, unshared);
      }
    }
    return out_.end();
  }
  spelled_ = "py:";
  spelled_ += name;
  out_.begin_typed(spelled_);
  const bool has_entries = made.entries.is_valid() && !(made.repeats && all_.all_shared);
  const bool has_args = made.args.is_valid() && PyTuple_Size(made.args.ptr()) > 0;
  out_.begin_record({all_.layout({!made.name.is_valid(), made.is_new, has_args, made.kwargs.is_valid(),
                                  made.state.is_valid(), made.items.is_valid(), has_entries})});
  if (!made.name.is_valid()) {
    value(made.callable.ptr(), unshared);
  }
  if (made.is_new) {
    out_.boolean(true);
  }
  if (has_args) {
    tuple(made.args.ptr());
  }
  if (made.kwargs.is_valid()) {
    dict(made.kwargs.ptr());
  }
  if (made.state.is_valid()) {
    value(made.state.ptr(), 3);  // the object's, the tuple's and ours
  }
  if (made.items.is_valid()) {
    list(made.items.ptr());
  }
  if (has_entries) {
    pairs(made.entries.ptr());
  }
  out_.end();
}

}  // namespace stele::python

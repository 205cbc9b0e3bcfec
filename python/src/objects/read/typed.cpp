// Values of registered types: what Python has beside the types that every language has.

#include "objects/read/reading.hpp"
#include "stele/error.hpp"

namespace stele::python {
namespace {

nb::object object_array(Reading& walk, const Slot& slot) {
  const nb::object& forms = modules().forms;
  walk.in.begin_record();
  nb::object shape;
  nb::object order = nb::str("C");
  nb::object made;
  for (std::string_view name; walk.in.next_field(name);) {
    if (name == "shape") {
      shape = walk.value();
    } else if (name == "order") {
      order = walk.value();
    } else if (name == "items" && shape.is_valid()) {
      // A shape costs a file nothing: where it is large, the items come first.
      nb::object items = nb::cast<bool>(forms.attr("is_large")(shape)) ? walk.value() : nb::none();
      made = walk.define(slot, forms.attr("new_object_array")(shape, order, items));
      if (items.is_none()) {
        items = walk.value();
      }
      forms.attr("fill_object_array")(made, items, order);
    } else {
      walk.in.error(Errc::malformed, "an array of objects with another field than shape, order and items");
    }
  }
  if (!made.is_valid()) {
    walk.in.error(Errc::malformed, "an array of objects without items");
  }
  return made;
}

}  // namespace

nb::object read_typed(Reading& walk, const std::string& full, const Slot& slot) {
  if (!full.starts_with("py:")) {
    const nb::object content = walk.value();
    return walk.define(slot, imported("stele._inert", "Typed")(valid_text(walk.in, full), content));
  }
  const std::string_view name = std::string_view(full).substr(3);
  if (name.find('.') != std::string_view::npos && !name.starts_with("numpy.")) {
    return read_object(walk, name, slot);
  }
  if (name == "tuple") {
    return walk.in.kind() == Kind::sequence ? walk.containers.tuple(slot)
                                            : walk.define(slot, own(PySequence_Tuple(walk.value().ptr())));
  }
  if (name == "set") {
    return walk.containers.set(slot);
  }
  if (name == "frozenset") {
    return walk.define(slot, own(PyFrozenSet_New(walk.value().ptr())));
  }
  if (name == "bytearray") {
    return walk.define(slot, own(PyByteArray_FromObject(walk.value().ptr())));
  }
  if (name == "int") {
    const nb::object digits = walk.value();
    return own(PyObject_CallFunction(reinterpret_cast<PyObject*>(&PyLong_Type), "Oi", digits.ptr(), 16));
  }
  if (name == "str") {
    const nb::object content = walk.value();
    char* data = nullptr;
    Py_ssize_t size = 0;
    check(PyBytes_AsStringAndSize(content.ptr(), &data, &size));
    return walk.define(slot, own(PyUnicode_DecodeUTF8(data, size, "surrogatepass")));
  }
  if (name == "numpy.generic") {
    if (walk.in.kind() != Kind::array) {
      walk.in.error(Errc::malformed, "a scalar of NumPy's that is no array");
    }
    return walk.define(slot, walk.arrays.scalar());
  }
  if (name == "numpy.dtype") {
    return walk.define(slot, dtype_from_description(walk.value()));
  }
  if (name == "numpy.object_array") {
    return object_array(walk, slot);
  }
  if (name == "global") {
    const nb::object content = walk.value();
    std::string_view spelled;
    if (!PyUnicode_Check(content.ptr()) || !utf8(content.ptr(), spelled)) {
      walk.in.error(Errc::malformed, "a class or function without a name");
    }
    nb::object found = walk.names.resolve(spelled);
    return walk.define(slot, found.is_none() ? walk.names.inert(spelled) : found);
  }
  if (name == "persistent" || name == "extension") {
    nb::object made = walk.define(slot, walk.names.inert(name));
    made.attr("stele_args") = nb::make_tuple(walk.value());
    walk.names.untrusted(name);
    return made;
  }
  return read_object(walk, name, slot);
}

}  // namespace stele::python

#include "services/store/keys.hpp"

#include "numpy.hpp"

namespace stele::python {
namespace {

std::optional<StoreKey> bound_of(nb::handle key) {
  return key.is_none() ? std::nullopt : std::optional(required_key(key));
}

}  // namespace

std::optional<StoreKey> key_of(nb::handle key) {
  PyObject* const object = key.ptr();
  if (PyUnicode_Check(object)) {
    std::string_view view;
    return utf8(object, view) ? std::optional(StoreKey(view)) : std::nullopt;
  }
  if (PyBytes_Check(object)) {
    return StoreKey(std::as_bytes(std::span(PyBytes_AsString(object), static_cast<std::size_t>(PyBytes_Size(object)))));
  }
  if (PyBool_Check(object) || PyIndex_Check(object) == 0 || PyArray_Check(object)) {
    raise(PyExc_TypeError, "a key is an int, str or bytes, not " + class_of(key));
  }
  const nb::object index = own(PyNumber_Index(object));
  int overflow = 0;
  const long long number = PyLong_AsLongLongAndOverflow(index.ptr(), &overflow);
  if (overflow == 0) {
    return StoreKey(number);
  }
  const unsigned long long natural = overflow > 0 ? PyLong_AsUnsignedLongLong(index.ptr()) : ~0ULL;
  if (natural == ~0ULL && (overflow < 0 || PyErr_Occurred() != nullptr)) {
    PyErr_Clear();
    return std::nullopt;
  }
  return StoreKey(natural);
}

StoreKey required_key(nb::handle key) {
  std::optional<StoreKey> made = key_of(key);
  if (!made) {
    raise(PyLong_Check(key.ptr()) ? PyExc_OverflowError : PyExc_ValueError,
          "a key is an int of 64 bits, a str of valid Unicode, or bytes; this is none: " +
              nb::cast<std::string>(nb::repr(key)));
  }
  return std::move(*made);
}

nb::object key_object(const StoreKey& key) {
  switch (key.kind()) {
    case StoreKey::Kind::text:
      return text(key.text());
    case StoreKey::Kind::bytes: {
      const Bytes bytes = key.bytes();
      return nb::bytes(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    }
    default:
      return key < StoreKey(0) ? nb::object(nb::int_(key.integer())) : nb::object(nb::int_(key.natural()));
  }
}

StoreKeyRange range_of(nb::handle from, nb::handle to, nb::handle prefix, bool reverse) {
  StoreKeyRange range{bound_of(from), bound_of(to), bound_of(prefix), reverse};
  if (range.prefix && range.prefix->kind() == StoreKey::Kind::integer) {
    raise(PyExc_TypeError, "a prefix is a str or bytes");
  }
  return range;
}

}  // namespace stele::python

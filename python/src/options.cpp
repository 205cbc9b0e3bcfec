#include "options.hpp"

#include <algorithm>

#include "stele/error.hpp"
#include "stele/interop.hpp"

namespace stele::python {
namespace {

std::string text_of(nb::handle value, const char* what) {
  std::string_view view;
  if (!PyUnicode_Check(value.ptr()) || !utf8(value.ptr(), view)) {
    raise(PyExc_TypeError, std::string(what) + " is a str");
  }
  return std::string(view);
}

std::uint64_t natural_of(nb::handle value, const std::string& what) {
  const nb::object index = own(PyNumber_Index(value.ptr()));
  const unsigned long long number = PyLong_AsUnsignedLongLong(index.ptr());
  if (number == ~0ULL && PyErr_Occurred() != nullptr) {
    PyErr_Clear();
    raise(PyExc_ValueError, what + " is not negative and below 2**64");
  }
  return number;
}

Limits limits_from(nb::handle given) {
  Limits limits;
  if (!PyDict_Check(given.ptr())) {
    raise(PyExc_TypeError, "limits is a dict with depth, allocation, expansion or window");
  }
  for (const auto& [key, value] : nb::borrow<nb::dict>(given)) {
    const std::string name = text_of(key, "the name of a limit");
    const std::uint64_t number = natural_of(value, "the limit " + name);
    if (name == "depth") {
      limits.depth = number;
    } else if (name == "allocation") {
      limits.allocation = number;
    } else if (name == "expansion") {
      limits.expansion = number;
    } else if (name == "window") {
      limits.window = number;
    } else {
      raise(PyExc_ValueError, "no limit has the name " + name + ": depth, allocation, expansion, window");
    }
  }
  return limits;
}

template <class E, std::size_t N>
E choice(nb::handle value, const char* what, const std::pair<const char*, E> (&choices)[N]) {
  const std::string name = text_of(value, what);
  std::string known;
  for (const auto& [label, meaning] : choices) {
    if (name == label) {
      return meaning;
    }
    known += (known.empty() ? "" : ", ") + std::string(label);
  }
  raise(PyExc_ValueError, std::string(what) + " is one of " + known + ", not " + name);
}

}  // namespace

std::function<void(const std::string& message)> warning(nb::handle callable) {
  PyObject* const kept = nb::borrow<nb::object>(callable).release().ptr();
  return [kept](const std::string& message) {
    const nb::gil_scoped_acquire held;
    if (PyObject* const result = PyObject_CallFunction(kept, "s", message.c_str())) {
      Py_DECREF(result);
    } else {
      PyErr_WriteUnraisable(kept);
    }
  };
}

Metadata metadata_from(nb::handle given) {
  Metadata metadata;
  if (!PyDict_Check(given.ptr())) {
    raise(PyExc_TypeError, "metadata is a dict of str, int, float and bool by name");
  }
  for (const auto& [key, value] : nb::borrow<nb::dict>(given)) {
    const std::string name = text_of(key, "a name in metadata");
    if (PyBool_Check(value.ptr())) {
      metadata[name] = value.ptr() == Py_True;
    } else if (PyLong_Check(value.ptr())) {
      int overflow = 0;
      const long long number = PyLong_AsLongLongAndOverflow(value.ptr(), &overflow);
      if (overflow < 0) {
        raise(PyExc_OverflowError, "metadata " + name + " is below -2**63");
      }
      metadata[name] = overflow > 0 ? MetadataValue(natural_of(value, "metadata " + name)) : MetadataValue(number);
    } else if (PyFloat_Check(value.ptr())) {
      metadata[name] = PyFloat_AsDouble(value.ptr());
    } else {
      metadata[name] = text_of(value, "a value in metadata that is no number");
    }
  }
  return metadata;
}

nb::dict metadata_to(const Metadata& metadata) {
  nb::dict made;
  for (const auto& [name, value] : metadata) {
    made[text(name)] = value.is_text()      ? text(value.text())
                       : value.is_boolean() ? nb::object(nb::bool_(value.boolean()))
                       : value.is_real()    ? nb::object(nb::float_(value.real()))
                       : value.is_natural() ? nb::object(nb::int_(value.natural()))
                                            : nb::object(nb::int_(value.integer()));
  }
  return made;
}

SaveOptions save_options(const nb::dict& given) {
  SaveOptions options;
  options.formats = &neighbours();
  for (const auto& [key, value] : given) {
    const std::string name = text_of(key, "the name of an argument");
    if (value.is_none()) {
      continue;
    }
    if (name == "codec") {
      options.codec = text_of(value, "codec");
    } else if (name == "level") {
      const long level = PyLong_Check(value.ptr()) ? PyLong_AsLong(value.ptr()) : -1;
      if (!PyLong_Check(value.ptr()) || PyBool_Check(value.ptr())) {
        raise(PyExc_TypeError, "level is an int");
      }
      PyErr_Clear();
      options.level = static_cast<int>(std::clamp(level, -1000L, 1000L));
    } else if (name == "filter") {
      options.filter = text_of(value, "filter");
    } else if (name == "threads") {
      options.threads = static_cast<unsigned>(natural_of(value, "threads"));
    } else if (name == "metadata") {
      options.metadata = metadata_from(value);
    } else if (name == "sync") {
      constexpr std::pair<const char*, Sync> choices[] = {
          {"none", Sync::none}, {"file", Sync::file}, {"file_folder", Sync::file_folder}};
      options.sync = choice(value, "sync", choices);
    } else if (name == "in_place") {
      options.in_place = nb::cast<bool>(value);
    } else if (name == "canonical") {
      options.canonical = nb::cast<bool>(value);
    } else if (name == "limits") {
      options.limits = limits_from(value);
    } else {
      raise(PyExc_TypeError, "an unexpected keyword argument '" + name + "'");
    }
  }
  return options;
}

LoadOptions load_options(const nb::dict& given) {
  LoadOptions options;
  options.formats = &neighbours();
  for (const auto& [key, value] : given) {
    const std::string name = text_of(key, "the name of an argument");
    if (value.is_none()) {
      continue;
    }
    if (name == "mmap_mode") {
      constexpr std::pair<const char*, MapMode> choices[] = {
          {"r", MapMode::read_only}, {"r+", MapMode::read_write}, {"c", MapMode::copy_on_write}};
      options.map = choice(value, "mmap_mode", choices);
    } else if (name == "verify") {
      constexpr std::pair<const char*, Verify> choices[] = {{"automatic", Verify::automatic},
                                                            {"none", Verify::none},
                                                            {"directory", Verify::directory},
                                                            {"full", Verify::full}};
      options.verify = choice(value, "verify", choices);
    } else if (name == "threads") {
      options.threads = static_cast<unsigned>(natural_of(value, "threads"));
    } else if (name == "limits") {
      options.limits = limits_from(value);
    } else if (name == "offset") {
      options.offset = natural_of(value, "offset");
    } else {
      raise(PyExc_TypeError, "an unexpected keyword argument '" + name + "'");
    }
  }
  return options;
}

}  // namespace stele::python

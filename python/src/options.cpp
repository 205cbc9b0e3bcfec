#include "options.hpp"

#include <algorithm>
#include <bit>

#include "stele/error.hpp"
#include "stele/interop.hpp"

namespace stele::python {
std::string text_of(nb::handle value, const char* what) {
  std::string_view view;
  if (!PyUnicode_Check(value.ptr()) || !utf8(value.ptr(), view)) {
    raise(PyExc_TypeError, std::string(what) + " is a str");
  }
  return std::string(view);
}

nb::handle Arguments::find(const char* name) {
  known_.push_back(name);
  const nb::handle value = PyDict_GetItemString(given_.ptr(), name);
  return value.is_valid() && !value.is_none() ? value : nb::handle();
}

std::uint64_t natural_of(nb::handle value, const std::string& what, std::uint64_t most) {
  const nb::object index = own(PyNumber_Index(value.ptr()));
  const unsigned long long number = PyLong_AsUnsignedLongLong(index.ptr());
  const bool fails = number == ~0ULL && PyErr_Occurred() != nullptr;
  if (fails || number > most) {
    PyErr_Clear();
    raise(PyExc_ValueError, what + " is not negative and below 2**" + std::to_string(std::bit_width(most)));
  }
  return number;
}

void Arguments::assign(std::optional<int>& level, nb::handle value, const char* name) {
  if (!PyLong_Check(value.ptr()) || PyBool_Check(value.ptr())) {
    raise(PyExc_TypeError, std::string(name) + " is an int");
  }
  const long given = PyLong_AsLong(value.ptr());
  PyErr_Clear();
  level = static_cast<int>(std::clamp(given, -1000L, 1000L));
}

void Arguments::assign(Limits& to, nb::handle value, const char* /*name*/) {
  if (!PyDict_Check(value.ptr())) {
    raise(PyExc_TypeError, "limits is a dict with depth, allocation, expansion or window");
  }
  Arguments limits(nb::borrow<nb::dict>(value));
  limits.take("depth", to.depth);
  limits.take("allocation", to.allocation);
  limits.take("expansion", to.expansion);
  limits.take("window", to.window);
  if (const std::string name = limits.unknown(); !name.empty()) {
    raise(PyExc_ValueError, "no limit has the name " + name + ": depth, allocation, expansion, window");
  }
}

void Arguments::assign(MapMode& to, nb::handle value, const char* name) {
  to = choice<MapMode>(value, name,
                       {{"r", MapMode::read_only}, {"r+", MapMode::read_write}, {"c", MapMode::copy_on_write}});
}

void Arguments::assign(Sync& to, nb::handle value, const char* name) {
  to = choice<Sync>(value, name, {{"none", Sync::none}, {"file", Sync::file}, {"file_folder", Sync::file_folder}});
}

void Arguments::assign(Verify& to, nb::handle value, const char* name) {
  to = choice<Verify>(value, name,
                      {{"automatic", Verify::automatic},
                       {"none", Verify::none},
                       {"directory", Verify::directory},
                       {"full", Verify::full}});
}

void Arguments::assign(Metadata& to, nb::handle value, const char* /*name*/) { to = metadata_from(value); }

void Arguments::assign(Warn& to, nb::handle callable, const char* /*name*/) {
  PyObject* const kept = nb::borrow<nb::object>(callable).release().ptr();
  to = [kept](const std::string& message) {
    const nb::gil_scoped_acquire held;
    if (PyObject* const result = PyObject_CallFunction(kept, "s", message.c_str())) {
      Py_DECREF(result);
    } else {
      PyErr_WriteUnraisable(kept);
    }
  };
}

std::string Arguments::unknown() const {
  for (const auto& [key, value] : given_) {
    std::string name = text_of(key, "the name of an argument");
    if (std::find(known_.begin(), known_.end(), name) == known_.end()) {
      return name;
    }
  }
  return {};
}

void Arguments::end() const {
  if (const std::string name = unknown(); !name.empty()) {
    raise(PyExc_TypeError, "an unexpected keyword argument '" + name + "'");
  }
}

Metadata metadata_from(nb::handle given) {
  Metadata metadata;
  if (given.is_none()) {
    return metadata;
  }
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
      metadata[name] = overflow > 0 ? MetadataValue(natural_of(value, "metadata " + name, ~std::uint64_t{0}))
                                    : MetadataValue(number);
    } else if (PyFloat_Check(value.ptr())) {
      metadata[name] = PyFloat_AsDouble(value.ptr());
    } else {
      metadata[name] = text_of(value, "a value in metadata that is not a number");
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
  Arguments all(given);
  all.take_coding(options);
  all.take("metadata", options.metadata);
  all.take("sync", options.sync);
  all.take("in_place", options.in_place);
  all.take("canonical", options.canonical);
  all.take("limits", options.limits);
  all.end();
  return options;
}

LoadOptions load_options(const nb::dict& given) {
  LoadOptions options;
  options.formats = &neighbours();
  Arguments all(given);
  all.take("mmap_mode", options.map);
  all.take("verify", options.verify);
  all.take("threads", options.threads);
  all.take("limits", options.limits);
  all.take("offset", options.offset);
  all.end();
  return options;
}

}  // namespace stele::python

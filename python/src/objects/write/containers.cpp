#include <utility>

#include "objects/write/pass.hpp"
#include "stele/walk/keyed.hpp"

namespace stele::python {
namespace {

/// The text or number of an object that is one, for a run.
bool plain(PyObject* object, PlainItem& item) {
  PyTypeObject* const type = Py_TYPE(object);
  if (type == &PyUnicode_Type) {
    std::string_view view;
    if (!utf8(object, view) || static_cast<Py_ssize_t>(view.size()) >= shared_text_bytes) {
      return false;
    }
    item = {view.data(), view.size(), {}};
    return true;
  }
  if (type == &PyFloat_Type) {
    item = {nullptr, __builtin_bit_cast(std::uint64_t, PyFloat_AsDouble(object)), Number::Type::float64};
    return true;
  }
  if (type == &PyLong_Type) {
    int overflow = 0;
    const long long value = PyLong_AsLongLongAndOverflow(object, &overflow);
    if (overflow != 0) {
      return false;
    }
    item = value < 0 ? PlainItem{nullptr, ~static_cast<std::uint64_t>(value), Number::Type::negative}
                     : PlainItem{nullptr, static_cast<std::uint64_t>(value), Number::Type::natural};
    return true;
  }
  return false;
}

/// Collects a run of plain items and passes it on. Empty whenever another container is written.
class Run {
 public:
  Run(OutVisitor& out, Writing& all) : out_(out), items_(all.run) {}
  bool add(PyObject* object) {
    if (count_ == items_.size()) {
      flush();
    }
    if (!plain(object, items_[count_])) {
      return false;
    }
    ++count_;
    return true;
  }
  void flush() {
    if (count_ > 0) {
      out_.plain_items({items_.data(), std::exchange(count_, 0)});
    }
  }

 private:
  OutVisitor& out_;
  std::array<PlainItem, 256>& items_;
  std::size_t count_ = 0;
};

[[noreturn]] void changed(const char* what) {
  raise(PyExc_RuntimeError, std::string(what) + " changed size while it was written");
}

}  // namespace

void Pass::list(PyObject* object) {
#ifdef Py_GIL_DISABLED
  return tuple(own(PyList_AsTuple(object)).ptr());
#else
  const Py_ssize_t count = PyList_Size(object);
  out_.begin_sequence(static_cast<std::uint64_t>(count));
  Run run(out_, all_);
  for (Py_ssize_t i = 0; i < count; ++i) {
    PyObject* const item = i < PyList_Size(object) ? PyList_GetItem(object, i) : nullptr;
    if (item == nullptr) {
      changed("a list");
    }
    if (!run.add(item)) {
      run.flush();
      const nb::object held = nb::borrow(item);
      value(item, 2);
    }
  }
  run.flush();
  if (PyList_Size(object) != count) {
    changed("a list");
  }
  out_.end();
#endif
}

void Pass::tuple(PyObject* object) {
  const Py_ssize_t count = PyTuple_Size(object);
  out_.begin_sequence(static_cast<std::uint64_t>(count));
  Run run(out_, all_);
  for (Py_ssize_t i = 0; i < count; ++i) {
    PyObject* const item = PyTuple_GetItem(object, i);
    if (!run.add(item)) {
      run.flush();
      value(item, 1);
    }
  }
  run.flush();
  out_.end();
}

void Pass::dict(PyObject* object) {
  const Py_ssize_t count = PyDict_Size(object);
#ifndef Py_GIL_DISABLED
  if (!out_.canonical() && !all_.all_shared) {
    if (const RepeatedKeys::Keys* const keys = all_.keys.of(object, count)) {
      return record(object, *keys);
    }
  }
#endif
  out_.begin_map(static_cast<std::uint64_t>(count), Ordering::unordered);
  if (out_.canonical()) {
    const nb::object items = own(PyDict_Items(object));
    walk::CanonicalOrder order;
    for (Py_ssize_t i = 0; i < count; ++i) {
      PyObject* const entry = PyList_GetItem(items.ptr(), i);
      Pass(all_, order.key()).value(PyTuple_GetItem(entry, 0), 2);
      order.add(entry);
    }
    for (const void* entry : order.sorted()) {
      auto* const pair = const_cast<PyObject*>(static_cast<const PyObject*>(entry));
      value(PyTuple_GetItem(pair, 0), 2);
      value(PyTuple_GetItem(pair, 1), 2);
    }
    return out_.end();
  }
#ifdef Py_GIL_DISABLED
  const nb::object copy = own(PyDict_Copy(object));
  object = copy.ptr();
  constexpr int held = 3;
#else
  constexpr int held = 2;
#endif
  Run run(out_, all_);
  Py_ssize_t at = 0;
  PyObject* key = nullptr;
  PyObject* item = nullptr;
  Py_ssize_t seen = 0;
  while (PyDict_Next(object, &at, &key, &item) != 0) {
    ++seen;
    if (run.add(key)) {
      if (run.add(item)) {
        continue;
      }
      run.flush();
      const nb::object held_item = nb::borrow(item);
      value(item, held);
    } else {
      run.flush();
      const nb::object held_key = nb::borrow(key);
      const nb::object held_item = nb::borrow(item);
      value(key, held);
      value(item, held);
    }
    if (PyDict_Size(object) != count) {
      changed("a dict");
    }
  }
  run.flush();
  if (seen != count) {
    changed("a dict");
  }
  out_.end();
}

/// A dict whose keys another one had too: a record, whose names are stored once where there are several.
void Pass::record(PyObject* object, const RepeatedKeys::Keys& keys) {
  out_.begin_record({keys.names, 0, &keys});
  const auto count = static_cast<Py_ssize_t>(keys.keys.size());
  Py_ssize_t at = 0;
  PyObject* key = nullptr;
  PyObject* item = nullptr;
  Py_ssize_t seen = 0;
  while (PyDict_Next(object, &at, &key, &item) != 0) {
    if (seen == count || key != keys.keys[static_cast<std::size_t>(seen++)].ptr()) {
      changed("a dict");
    }
    const nb::object held = nb::borrow(item);
    value(item, 2);
    if (PyDict_Size(object) != count) {
      changed("a dict");
    }
  }
  if (seen != count) {
    changed("a dict");
  }
  out_.end();
}

void Pass::set(PyObject* object) {
  const nb::object items = own(PySequence_List(object));
  const Py_ssize_t count = PyList_Size(items.ptr());
  out_.begin_sequence(static_cast<std::uint64_t>(count), Ordering::unordered);
  if (out_.canonical()) {
    walk::CanonicalOrder order;
    for (Py_ssize_t i = 0; i < count; ++i) {
      PyObject* const item = PyList_GetItem(items.ptr(), i);
      Pass(all_, order.key()).value(item, 2);
      order.add(item);
    }
    for (const void* item : order.sorted()) {
      value(const_cast<PyObject*>(static_cast<const PyObject*>(item)), 2);
    }
  } else {
    Run run(out_, all_);
    for (Py_ssize_t i = 0; i < count; ++i) {
      PyObject* const item = PyList_GetItem(items.ptr(), i);
      if (!run.add(item)) {
        run.flush();
        value(item, 2);
      }
    }
    run.flush();
  }
  out_.end();
}

void Pass::pairs(PyObject* entries) {
  const Py_ssize_t count = PyList_Size(entries);
  check(static_cast<int>(std::min<Py_ssize_t>(count, 0)));
  out_.begin_map(static_cast<std::uint64_t>(count));
  for (Py_ssize_t i = 0; i < count; ++i) {
    PyObject* const pair = PyList_GetItem(entries, i);
    if (PyTuple_Check(pair) == 0 || PyTuple_Size(pair) != 2) {
      raise(PyExc_TypeError, "the entries of an object that __reduce_ex__ returns are not pairs");
    }
    value(PyTuple_GetItem(pair, 0), 1);
    value(PyTuple_GetItem(pair, 1), 1);
  }
  out_.end();
}

}  // namespace stele::python

#pragma once
// Python objects of what InVisitor::peek_plain_values() finds, made in one go.

#include <array>
#include <string_view>
#include <vector>

#include "python.hpp"
#include "stele/visitor.hpp"

namespace stele::python {

/// The type names that PlainMaker knows, in the order of PlainPart::name.
inline constexpr std::array<std::string_view, 3> plain_names = {"py:tuple", "py:set", "py:frozenset"};

/// A text; an Error at the place of `in` where it is no UTF-8.
nb::object valid_text(InVisitor& in, std::string_view utf8_text);

// Functions that return a new reference, or null with a Python error.

PyObject* new_text(std::string_view utf8_text) noexcept;
PyObject* new_number(Number::Type type, std::uint64_t bits) noexcept;
/// With room for `entries`.
PyObject* new_dict(Py_ssize_t entries) noexcept;

/// Sets an item of a list or tuple that nobody else has, and that has none there.
inline void set_list_item(PyObject* list, Py_ssize_t at, PyObject* item) noexcept {
#ifdef Py_LIMITED_API
  PyList_SetItem(list, at, item);
#else
  PyList_SET_ITEM(list, at, item);
#endif
}
/// An empty list that others may see while it grows, with room for `items`; and what appends to it, taking over `item`.
inline PyObject* new_growing_list([[maybe_unused]] Py_ssize_t items) noexcept {
#if defined(Py_LIMITED_API) || defined(Py_GIL_DISABLED)
  return PyList_New(0);
#else
  PyObject* const made = PyList_New(items);
  if (made != nullptr) {
    Py_SET_SIZE(reinterpret_cast<PyVarObject*>(made), 0);
  }
  return made;
#endif
}
inline int append(PyObject* list, PyObject* item) noexcept {
#if !defined(Py_LIMITED_API) && !defined(Py_GIL_DISABLED)
  const Py_ssize_t size = PyList_GET_SIZE(list);
  if (size < reinterpret_cast<PyListObject*>(list)->allocated) {
    Py_SET_SIZE(reinterpret_cast<PyVarObject*>(list), size + 1);
    PyList_SET_ITEM(list, size, item);
    return 0;
  }
#endif
  const int result = PyList_Append(list, item);
  Py_DECREF(item);
  return result;
}
inline void set_tuple_item(PyObject* tuple, Py_ssize_t at, PyObject* item) noexcept {
#ifdef Py_LIMITED_API
  PyTuple_SetItem(tuple, at, item);
#else
  PyTuple_SET_ITEM(tuple, at, item);
#endif
}

class PlainMaker {
 public:
  /// The value whose parts begin at `at`, which is moved behind them; null, with a Python error, if it cannot be made.
  PyObject* value(const PlainPart*& at) noexcept;
  /// The same of a key. `again`: it may come again in other maps.
  PyObject* key(const PlainPart*& at, bool again) noexcept;
  /// A text that is met often, as the keys of dicts are.
  PyObject* key_text(std::string_view key) noexcept;
  /// Drops the Python error: the value is then read part by part, which says where it fails. Returns false.
  static bool failed() noexcept {
    PyErr_Clear();
    return false;
  }

 private:
  struct Known {
    static constexpr std::size_t longest = 31;
    nb::object text;
    unsigned char size = 0;
    char bytes[longest];
  };

  PyObject* sequence(const PlainPart& part, const PlainPart*& at) noexcept;
  PyObject* set(const PlainPart& part, const PlainPart*& at, bool frozen) noexcept;
  PyObject* dict(const PlainPart& part, const PlainPart*& at) noexcept;

  std::vector<Known> known_;  // texts met lately, by hash; empty until some were met
  unsigned met_ = 0;          // before
};

}  // namespace stele::python

#pragma once
// How objects take their state.

#include <unordered_map>

#include "objects/modules.hpp"

namespace stele::python {

/// Knows it of each type, once it was asked.
class States {
 public:
  /// Gives an object its state. Returns another object where that takes its place, else None.
  nb::object set(const nb::object& object, const nb::object& state);
  /// Whether the entries of objects of a type are for those who look for parts by name.
  bool repeats(PyTypeObject* type);

 private:
  enum class Way : std::uint8_t { attributes, method, form };
  Way way_of(PyTypeObject* type);

  const nb::object& forms_ = modules().forms;
  const nb::object method_ = nb::str("__setstate__");
  std::unordered_map<PyTypeObject*, Way> ways_;
  std::unordered_map<PyTypeObject*, bool> repeats_;
};

}  // namespace stele::python

#pragma once
// Objects that a graph refers to several times.

#include <cstdint>
#include <optional>
#include <unordered_map>

#include "python.hpp"

namespace stele::python {

/// The place where an object is registered as soon as it exists, if others refer to it.
using Slot = std::optional<std::uint64_t>;

/// The registered objects of a graph, by their index: a strong reference each.
class Known {
 public:
  /// Null where none was registered.
  PyObject* find(std::uint64_t index) const {
    const auto found = objects_.find(index);
    return found == objects_.end() ? nullptr : found->second.ptr();
  }
  bool begin(std::uint64_t index) { return objects_.try_emplace(index).second; }
  void define(std::uint64_t index, nb::handle object) { objects_[index] = nb::borrow(object); }

 private:
  std::unordered_map<std::uint64_t, nb::object> objects_;
};

}  // namespace stele::python

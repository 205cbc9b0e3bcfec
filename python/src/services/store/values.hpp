#pragma once
// Values of a store as Python's objects.

#include <optional>
#include <vector>

#include "services/store/handle.hpp"

namespace stele::python {

nb::object value_object(const StoreValue& value, const Trust& trust);

/// The values of many keys; nothing where there is none.
std::vector<std::optional<StoreValue>> views(const StoreHandle& self, const std::vector<StoreKey>& keys);

}  // namespace stele::python

#pragma once
// Objects that are read at once, or of a Value where they are stored in parts.

#include "objects/graph.hpp"
#include "objects/no_collection.hpp"
#include "stele/value.hpp"

namespace stele::python {

/// The object of a Value.
nb::object object_of(const Value& value, const Trust& trust, const LoadOptions& options = {});

/// The object that `read_into` reads into a GraphIn, with the GIL; where it is stored in parts, that of the Value that
/// `as_value` returns, without the GIL.
template <class Into, class Whole>
nb::object read_object(const Trust& trust, Into&& read_into, Whole&& as_value, const LoadOptions& options = {}) {
  const NoCollection guard;
  try {
    GraphIn graph(trust);
    read_into(graph);
    return graph.result;
  } catch (const StoredInParts&) {
  }
  Value whole;
  {
    const nb::gil_scoped_release released;
    whole = as_value();
  }
  return object_of(whole, trust, options);
}

/// A dict of the members of a plain struct, by their names.
template <class T>
nb::dict fields_of(const T& value) {
  return nb::borrow<nb::dict>(object_of(to_value(value), Trust{nb::none()}));
}

}  // namespace stele::python

#pragma once
// Keys of a store from Python's objects, and back.

#include <optional>

#include "python.hpp"
#include "stele/store.hpp"

namespace stele::python {

/// Nothing for an int beyond 64 bits and a str with surrogates, which no store has.
/// Throws: TypeError for an invalid key.
std::optional<StoreKey> key_of(nb::handle key);
/// Throws: ValueError for what no store can have.
StoreKey required_key(nb::handle key);
nb::object key_object(const StoreKey& key);

/// The keys between two, or with a prefix; None: all.
StoreKeyRange range_of(nb::handle from, nb::handle to, nb::handle prefix, bool reverse);

}  // namespace stele::python

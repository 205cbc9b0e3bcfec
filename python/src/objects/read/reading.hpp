#pragma once
// One walk that makes Python's objects of what a file has, and what its parts ask of it.

#include <string>
#include <string_view>

#include "objects/read/arrays.hpp"
#include "objects/read/containers.hpp"
#include "objects/read/names.hpp"
#include "objects/read/shared.hpp"
#include "objects/read/state.hpp"

namespace stele::python {

class Reading {
 public:
  Reading(InVisitor& in, const Trust& trust) : in(in), names(in, trust), arrays(in), containers(in, *this) {}

  /// The whole graph. Throws: UntrustedError, Error.
  nb::object read();

  /// The value that follows.
  nb::object value();
  /// The same after its marks of sharing were read.
  nb::object shared_value(Kind kind, const SharedIn& shared);
  /// Registers an object, if others refer to it. Returns it.
  nb::object define(const Slot& slot, nb::object object) {
    if (slot) {
      known_.define(*slot, object);
    }
    return object;
  }

  InVisitor& in;
  Names names;
  ArrayReader arrays;
  States states;
  Containers containers;

 private:
  nb::object checked();
  nb::object content(Kind kind, const Slot& slot);

  Known known_;
  std::string scratch_;
};

/// The value of a registered type, py:… or another's, whose name was read.
nb::object read_typed(Reading& walk, const std::string& name, const Slot& slot);
/// An object that a class or function is called for, by its record.
nb::object read_object(Reading& walk, std::string_view name, const Slot& slot);

}  // namespace stele::python

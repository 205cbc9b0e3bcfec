#pragma once
// What a pickle refers to: the classes and functions that Python would import, and those that are no data.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "interop/neighbour.hpp"
#include "stele/error.hpp"
#include "stele/value.hpp"

namespace stele {

/// A class or function by name.
struct Reference {
  enum class Risk : std::uint8_t {
    data,       // a type or reconstructor of Python or NumPy that only makes data
    code,       // a class or function of some package, which runs when the file is loaded in Python
    dangerous,  // reaches the system, files, the network or the interpreter
  };
  std::string name;  // "module.qualname", "module:Outer.Inner", or "extension 5"
  Risk risk = Risk::code;
  std::uint64_t offset = 0;  // where it is first named, of the plain bytes; 0 in a Value
  std::uint64_t count = 0;   // how often it is named
};
std::string_view to_string(Reference::Risk risk) noexcept;

/// The risk of a name. A name with a dangerous part is dangerous, whatever the others are.
Reference::Risk risk_of(std::string_view name);

struct PickleReferences {
  /// The most dangerous first, then by name.
  std::vector<Reference> found;
  /// Why reading ended early, if it did.
  std::optional<Error> error;
};

/// The references of all pickles in a file, also of those inside arrays of objects and in companion files. Arrays are
/// skipped and no tree is built. Of a file that is no pickle to the end it gives what was found up to there.
PickleReferences pickle_references(const Neighbour& file);

/// The references of the pickled objects in a Value, as read_pickle() makes them. The order is that of
/// PickleReferences.
std::vector<Reference> references_of(const Value& value);

}  // namespace stele

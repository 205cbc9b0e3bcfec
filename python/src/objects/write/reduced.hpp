#pragma once
// What objects are made of, as pickle.Pickler asks them.

#include <unordered_map>
#include <vector>

#include "objects/modules.hpp"

namespace stele::python {

/// What stands in a reduce tuple, as pickle.Pickler takes it.
struct Reduced {
  nb::object keep;       // owns the parts
  nb::object name;       // of what is called; null: `callable`
  nb::object callable;   // what is called, where it has no name
  bool is_new = false;   // made by __new__
  nb::object args;       // a tuple
  nb::object kwargs;     // a dict, or null
  nb::object state;      // or null
  nb::object items;      // a list, or null
  nb::object entries;    // a list of pairs, or null
  bool repeats = false;  // the entries are parts of the state
};

class Reducer {
 public:
  /// Asks the object once. It and its parts live as long as this.
  const Reduced& of(PyObject* object);
  /// Whether objects of a type are not classes, functions, dtypes, mapped arrays …, which are written in another way.
  bool is_ordinary(PyTypeObject* type) { return of_type(type).ordinary; }

 private:
  /// What is known of a type whose objects have no event of their own.
  struct OfType {
    bool has_form = false;  // stele/_forms.py or copyreg say how they are taken apart
    bool ordinary = false;
  };
  const OfType& of_type(PyTypeObject* type);
  bool is_plain(const nb::object& given) const;
  Reduced taken_apart(nb::object given);

  const Modules& modules_ = modules();
  const nb::object reduce_ex_ = nb::str("__reduce_ex__");
  const nb::object protocol_ = nb::int_(5);
  std::vector<nb::object> keep_;  // owns what was met and would die before the end
  std::unordered_map<PyObject*, Reduced> reduced_;
  std::unordered_map<PyTypeObject*, OfType> of_types_;
  const std::pair<PyTypeObject* const, OfType>* last_of_type_ = nullptr;  // the one looked up last
  std::unordered_map<PyObject*, nb::object> names_;                       // of classes
};

}  // namespace stele::python

#pragma once
// One walk through Python's objects, which makes events of them.

#include <limits>
#include <string>

#include "objects/write/writing.hpp"

namespace stele::python {

class Pass {
 public:
  Pass(Writing& all, OutVisitor& out) : all_(all), out_(out) {}

  /// `references`: those to the object that are not part of the graph.
  void value(PyObject* object, int references);

 private:
  /// For objects that are written anew wherever they are, whatever refers to them.
  static constexpr int unshared = std::numeric_limits<int>::max();

  /// True: the value follows.
  bool begin_shared(PyObject* object, int references);
  void integer(PyObject* object);
  void text_value(PyObject* object, int references);
  void bytes_value(PyObject* object, int references);
  void array(PyObject* object, int references);
  void scalar(PyObject* object);

  // containers.cpp
  void list(PyObject* object);
  void tuple(PyObject* object);
  void dict(PyObject* object);
  void record(PyObject* object, const RepeatedKeys::Keys& keys);
  void set(PyObject* object);
  void pairs(PyObject* entries);

  // objects.cpp: what has no event of its own
  void other(PyObject* object, int references);
  void taken(PyObject* object, int references);
  void generic(const Reduced& made);

  Writing& all_;
  OutVisitor& out_;
  std::string spelled_;
};

}  // namespace stele::python

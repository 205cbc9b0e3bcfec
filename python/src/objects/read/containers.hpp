#pragma once
// Lists, tuples, sets and dicts from events; plain values in them are made many at a time.

#include <array>
#include <string>

#include "objects/read/plain.hpp"
#include "objects/read/shared.hpp"
#include "stele/visitor.hpp"

namespace stele::python {

class Reading;

class Containers {
 public:
  /// Of a walk, which reads what is not plain. Both must outlive it.
  Containers(InVisitor& in, Reading& walk) : in_(in), walk_(walk) {}

  nb::object list(const Slot& slot);
  nb::object tuple(const Slot& slot);
  nb::object set(const Slot& slot);
  nb::object map(const Slot& slot);
  nb::object record(const Slot& slot);

 private:
  template <class F>
  void plain_run(unsigned& pause, unsigned& wait, F&& put);
  template <class F>
  void items(F&& put);
  template <class F>
  void fill(Py_ssize_t size, F&& set);
  template <class F>
  void entries(bool few, F&& put);
  void put(int result);
  nb::object key_text(std::string_view key);

  InVisitor& in_;
  Reading& walk_;
  std::string scratch_;
  PlainMaker maker_;
  std::array<PlainPart, 512> parts_;  // of the innermost container, until its next item is read
};

}  // namespace stele::python

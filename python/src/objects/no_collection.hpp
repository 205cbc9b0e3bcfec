#pragma once
// What loading and saving turn off while they make many objects.

#include "python.hpp"

namespace stele::python {

/// Python's garbage collector does not run meanwhile: it would look at all that was made so far again and again. The
/// parts of objects that are saved are such, too: they live until the end.
class NoCollection {
 public:
  NoCollection() : enabled_(PyGC_Disable() != 0) {}
  ~NoCollection() {
    if (enabled_) {
      PyGC_Enable();
    }
  }
  NoCollection(const NoCollection&) = delete;
  NoCollection& operator=(const NoCollection&) = delete;

 private:
  const bool enabled_;
};

}  // namespace stele::python

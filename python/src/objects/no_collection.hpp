#pragma once
// What loading and saving turn off while they make many objects.

#include "python.hpp"

namespace stele::python {

/// Python's garbage collector does not run meanwhile: it would look at all that was made so far again and again. The
/// parts of objects that are saved are such, too: they live until the end. Python 3.9 cannot be told from here.
class NoCollection {
#if PY_VERSION_HEX >= 0x030A0000
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
#else
 public:
  ~NoCollection() {}  // so that nobody takes it for unused
#endif
};

}  // namespace stele::python

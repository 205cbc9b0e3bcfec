#pragma once
// What Python's modules have that every walk needs, looked up once.

#include <atomic>
#include <memory>

#include "python.hpp"

namespace stele::python {

struct Modules {
  nb::object forms = nb::module_::import_("stele._forms");
  nb::object reduce = forms.attr("reduce");
  nb::object inert = imported("stele._inert", "Inert");
  nb::object typed = imported("stele._inert", "Typed");
  nb::object function = imported("types", "FunctionType");
  nb::object new_object = imported("copyreg", "__newobj__");
  nb::object memmap = imported("numpy", "memmap");
};

/// Lives as long as the process. An import may let other threads run, so no lock is held meanwhile.
inline const Modules& modules() {
  static std::atomic<const Modules*> kept = nullptr;
  const Modules* found = kept.load();
  if (found == nullptr) {
    auto made = std::make_unique<const Modules>();
    if (kept.compare_exchange_strong(found, made.get())) {
      found = made.release();
    }
  }
  return *found;
}

}  // namespace stele::python

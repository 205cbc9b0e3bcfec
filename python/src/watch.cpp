#include "watch.hpp"

namespace stele::python {

void Watch::add(std::uint64_t bytes) {
  const std::uint64_t before = bytes_.fetch_add(bytes, std::memory_order_relaxed);
  if (before / step != (before + bytes) / step) {
    tell(before + bytes);
  }
}

void Watch::finish() {
  if (!callback_.is_none()) {
    tell(bytes_);
  }
}

void Watch::tell(std::uint64_t bytes) {
  const nb::gil_scoped_acquire gil;
  check(PyErr_CheckSignals());
  if (!callback_.is_none()) {
    callback_(bytes);
  }
}

}  // namespace stele::python

#pragma once
// Open files of which parts are read, files that are written piece by piece, and files of many objects.

#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>

#include <atomic>

#include "python.hpp"

namespace stele::python {

void bind_open_file(nb::module_& module);
void bind_lazy_array(nb::module_& module);
void bind_writer(nb::module_& module);
void bind_streams(nb::module_& module);
void bind_whole_files(nb::module_& module);

inline void bind_files(nb::module_& module) {
  bind_open_file(module);
  bind_lazy_array(module);
  bind_writer(module);
  bind_streams(module);
  bind_whole_files(module);
}

/// One call at a time of an object that several threads might use.
class OneAtATime {
 public:
  OneAtATime(std::atomic_flag& busy, const char* what) : busy_(busy) {
    if (busy_.test_and_set(std::memory_order_acquire)) {
      raise(PyExc_RuntimeError, std::string(what) + " is in use by another thread, or by itself");
    }
  }
  ~OneAtATime() { busy_.clear(std::memory_order_release); }
  OneAtATime(const OneAtATime&) = delete;
  OneAtATime& operator=(const OneAtATime&) = delete;

 private:
  std::atomic_flag& busy_;
};

}  // namespace stele::python

#pragma once
// What objects share that one thread at a time may use.

#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>

#include <atomic>

#include "python.hpp"

namespace stele::python {

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

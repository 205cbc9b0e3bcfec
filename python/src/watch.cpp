#include "watch.hpp"

#include <unistd.h>

#include <utility>

namespace stele::python {
namespace {

thread_local Watch* watching = nullptr;

}  // namespace

void run_signal_handlers() {
  if (watching != nullptr) {
    watching->tell();
  }
  if (::gettid() != ::getpid()) {  // Python handles signals in the main thread alone
    return;
  }
  const nb::gil_scoped_acquire gil;
  check(PyErr_CheckSignals());
}

void let_others_run_while_waiting() {
#ifdef Py_LIMITED_API  // it cannot be asked
  set_wait_hooks({.begin =
                      [] {
                        const PyGILState_STATE held = PyGILState_Ensure();
                        return WaitHooks::State{PyEval_SaveThread(), static_cast<int>(held)};
                      },
                  .end =
                      [](WaitHooks::State state) {
                        PyEval_RestoreThread(static_cast<PyThreadState*>(state.thread));
                        PyGILState_Release(static_cast<PyGILState_STATE>(state.held));
                      }});
#else
  set_wait_hooks({.begin = [] { return WaitHooks::State{PyGILState_Check() != 0 ? PyEval_SaveThread() : nullptr, 0}; },
                  .end =
                      [](WaitHooks::State state) {
                        if (state.thread != nullptr) {
                          PyEval_RestoreThread(static_cast<PyThreadState*>(state.thread));
                        }
                      }});
#endif
}

std::function<bool(std::uint64_t done, std::uint64_t total)> progress_of(nb::handle callable) {
  return [callable](std::uint64_t done, std::uint64_t total) {
    const nb::gil_scoped_acquire gil;
    check(PyErr_CheckSignals());
    return callable.is_none() || !callable(done, total).is(nb::bool_(false));
  };
}

Watch::Watch(nb::handle callback) : callback_(nb::borrow(callback)), before_(std::exchange(watching, this)) {}
Watch::~Watch() { watching = before_; }

void Watch::add(std::uint64_t bytes) {
  bytes_.fetch_add(bytes, std::memory_order_relaxed);
  if (std::this_thread::get_id() == owner_) {
    tell();
  }
}

void Watch::tell() {
  const std::uint64_t bytes = bytes_.load(std::memory_order_relaxed);
  if (bytes / step != told_ / step) {
    told_ = bytes;
    const nb::gil_scoped_acquire gil;
    callback_(bytes);
  }
}

void Watch::finish() { callback_(bytes_.load(std::memory_order_relaxed)); }

}  // namespace stele::python

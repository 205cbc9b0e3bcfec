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

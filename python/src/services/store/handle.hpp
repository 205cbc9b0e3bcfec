#pragma once
// An open store as Python has it.

#include <atomic>
#include <memory>
#include <mutex>

#include "objects/graph.hpp"
#include "python.hpp"
#include "stele/store.hpp"

namespace stele::python {

/// An open store; threads that use it keep it from going away when another closes it.
class StoreHandle {
 public:
  StoreHandle(Store store, Trust trust);
  ~StoreHandle();
  StoreHandle(const StoreHandle&) = delete;
  StoreHandle& operator=(const StoreHandle&) = delete;

  /// Throws: ValueError once it is closed.
  std::shared_ptr<Store> get() const;
  bool is_open() const;
  void close();

  const Trust trust;
  std::atomic<int> batches{0};  // that are open

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<Store> store_;
};

/// Calls `use` with the store, without the GIL.
template <class F>
auto released(const StoreHandle& self, F&& use) {
  std::shared_ptr<Store> store = self.get();
  const nb::gil_scoped_release without;
  // The last to leave closes, also without the GIL.
  const std::shared_ptr<Store> held = std::move(store);
  return use(*held);
}

}  // namespace stele::python

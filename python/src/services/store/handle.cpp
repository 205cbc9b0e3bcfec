#include "services/store/handle.hpp"

#include <optional>

#include "services/store/binding.hpp"
#include "watch.hpp"

namespace stele::python {
namespace {

/// Several changes that are committed or undone together.
class Batch {
 public:
  explicit Batch(StoreHandle& handle) : handle_(handle), store_(handle.get()) {
    const nb::gil_scoped_release without;
    batch_.emplace(store_->batch());
    ++handle_.batches;
  }
  ~Batch() {
    const Uninterrupted whole;
    undo();
  }
  Batch(const Batch&) = delete;
  Batch& operator=(const Batch&) = delete;
  void commit() {
    if (!batch_) {
      raise(PyExc_ValueError, "the batch has ended");
    }
    const nb::gil_scoped_release without;
    const Ended ended(*this);
    batch_->commit();
  }
  void undo() {
    if (batch_) {
      const nb::gil_scoped_release without;
      const Ended ended(*this);
    }
  }
  bool open() const noexcept { return batch_.has_value(); }

 private:
  struct Ended {
    explicit Ended(Batch& batch) : batch(batch) {}
    ~Ended() {
      batch.batch_.reset();
      batch.store_.reset();
      --batch.handle_.batches;
    }
    Batch& batch;
  };
  StoreHandle& handle_;  // kept by the Python object
  std::shared_ptr<Store> store_;
  std::optional<StoreBatch> batch_;
};

}  // namespace

StoreHandle::StoreHandle(Store store, Trust trust)
    : trust(std::move(trust)), store_(std::make_shared<Store>(std::move(store))) {}

StoreHandle::~StoreHandle() {
  const Uninterrupted whole;
  const nb::gil_scoped_release released;
  store_.reset();  // commits; the lock may be another thread's
}

std::shared_ptr<Store> StoreHandle::get() const {
  const std::lock_guard lock(mutex_);
  if (store_ == nullptr) {
    raise(PyExc_ValueError, "the store is closed");
  }
  return store_;
}

bool StoreHandle::is_open() const {
  const std::lock_guard lock(mutex_);
  return store_ != nullptr;
}

void StoreHandle::close() {
  std::shared_ptr<Store> closing;
  {
    const std::lock_guard lock(mutex_);
    closing = store_;
  }
  if (closing != nullptr) {
    const nb::gil_scoped_release released;
    closing->close();
    {
      const std::lock_guard lock(mutex_);
      store_.reset();
    }
    closing.reset();
  }
}

void bind_commit(nb::module_& module, StoreClass& bound) {
  bound.def("commit", [](const StoreHandle& self) { released(self, [](Store& store) { store.commit(); }); });
  bound.def("flush", [](const StoreHandle& self) { released(self, [](Store& store) { store.flush(); }); });
  bound.def("release", [](const StoreHandle& self) { released(self, [](Store& store) { store.release(); }); });
  bound.def("batch", [](StoreHandle& self) { return new Batch(self); }, nb::keep_alive<0, 1>());
  nb::class_<Batch> batch(module, "StoreBatch");
  batch.def("commit", &Batch::commit);
  batch.def("undo", &Batch::undo);
  batch.def_prop_ro("open", &Batch::open);
}

}  // namespace stele::python

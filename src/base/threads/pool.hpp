#pragma once
// A pool of objects such as buffers for use on several threads. It creates as many as are in use at once.

#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace stele {

/// Thread-safe. Must outlive its loans.
template <class T>
class Pool {
 public:
  class Loan {
   public:
    Loan(Pool& pool, std::unique_ptr<T> thing) : pool_(pool), thing_(std::move(thing)) {}
    Loan(const Loan&) = delete;
    Loan& operator=(const Loan&) = delete;
    ~Loan() {
      const std::lock_guard lock(pool_.mutex_);
      pool_.idle_.push_back(std::move(thing_));
    }
    T& operator*() const noexcept { return *thing_; }
    T* operator->() const noexcept { return thing_.get(); }

   private:
    Pool& pool_;
    std::unique_ptr<T> thing_;
  };

  /// Lends an idle object or a new one from `make()`; the end of the loan returns it.
  template <class Make>
  Loan take(Make&& make) {
    std::unique_ptr<T> thing;
    {
      const std::lock_guard lock(mutex_);
      if (!idle_.empty()) {
        thing = std::move(idle_.back());
        idle_.pop_back();
      }
    }
    if (thing == nullptr) {
      thing = make();
      const std::lock_guard lock(mutex_);
      idle_.reserve(++made_);  // so that returning an object allocates nothing
    }
    return {*this, std::move(thing)};
  }
  Loan take() {
    return take([] { return std::make_unique<T>(); });
  }

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<T>> idle_;
  std::size_t made_ = 0;
};

}  // namespace stele

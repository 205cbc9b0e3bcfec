#include "base/behind.hpp"

#include <utility>

namespace stele {

Behind::Behind(std::size_t most_jobs) : most_jobs_(most_jobs), thread_([this] { work(); }) {}

Behind::~Behind() {
  {
    const std::lock_guard lock(mutex_);
    over_ = true;
  }
  changed_.notify_all();
}

void Behind::run(std::function<void()> job) {
  wait(most_jobs_ - 1);
  {
    const std::lock_guard lock(mutex_);
    jobs_.push_back(std::move(job));
  }
  changed_.notify_all();
}

void Behind::wait(std::size_t left) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return failed_ != nullptr || jobs_.size() <= left; });
  if (failed_ != nullptr) {
    std::rethrow_exception(failed_);
  }
}

void Behind::beside(std::function<void()> job, const std::function<void()>& own) {
  run(std::move(job));
  std::exception_ptr failed;
  try {
    own();
  } catch (...) {
    failed = std::current_exception();
  }
  wait();
  if (failed != nullptr) {
    std::rethrow_exception(failed);
  }
}

void Behind::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return over_ || !jobs_.empty(); });
    if (over_) {
      return;
    }
    const std::function<void()>& job = jobs_.front();  // its address is stable while others are added
    lock.unlock();
    std::exception_ptr failed;
    try {
      job();
    } catch (...) {
      failed = std::current_exception();
    }
    lock.lock();
    jobs_.pop_front();
    failed_ = failed;
    lock.unlock();
    changed_.notify_all();
    if (failed != nullptr) {
      return;
    }
    lock.lock();
  }
}

}  // namespace stele

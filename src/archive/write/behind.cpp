#include "archive/write/behind.hpp"

#include <utility>

namespace stele {

Behind::Behind() : thread_([this] { work(); }) {}

Behind::~Behind() {
  {
    const std::lock_guard lock(mutex_);
    over_ = true;
  }
  changed_.notify_all();
}

void Behind::run(std::function<void()> job) {
  wait_for(most_jobs - 1);
  {
    const std::lock_guard lock(mutex_);
    jobs_.push_back(std::move(job));
  }
  changed_.notify_all();
}

void Behind::drain() { wait_for(0); }

/// Waits until at most `jobs` jobs are left.
void Behind::wait_for(std::size_t jobs) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return failed_ != nullptr || jobs_.size() <= jobs; });
  if (failed_ != nullptr) {
    std::rethrow_exception(failed_);
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

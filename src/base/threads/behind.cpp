#include "base/threads/behind.hpp"

#include <chrono>
#include <utility>

#include "base/threads/interruption.hpp"

namespace stele {
namespace {

struct Stopped {};
thread_local const std::atomic<bool>* stopped_here = nullptr;
void require_not_stopped() {
  if (stopped_here->load()) {
    throw Stopped();
  }
}

}  // namespace

Behind::Behind(std::size_t most_jobs) : most_jobs_(most_jobs), thread_([this] { work(); }) {}

Behind::~Behind() {
  {
    const std::lock_guard lock(mutex_);
    over_ = true;
  }
  stopped_ = true;
  changed_.notify_all();
  const Joining joining;
  thread_.join();
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
  const auto arrived = [&] { return failed_ != nullptr || jobs_.size() <= left; };
  while (!changed_.wait_for(lock, interruption_interval, arrived)) {
    lock.unlock();
    try {
      interruption_point();
    } catch (...) {
      stop(std::current_exception());
      throw;
    }
    {
      const Waiting waiting;
      std::unique_lock inner(mutex_);
      changed_.wait_for(inner, interruption_interval, arrived);
    }
    lock.lock();
  }
  if (failed_ != nullptr) {
    std::rethrow_exception(failed_);
  }
}

/// Ends the running job and drops the others.
void Behind::stop(std::exception_ptr reason) noexcept {
  const Waiting waiting;
  std::unique_lock lock(mutex_);
  stopped_ = true;
  changed_.notify_all();
  changed_.wait(lock, [&] { return failed_ != nullptr || jobs_.empty(); });
  failed_ = std::move(reason);
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
  stopped_here = &stopped_;
  const Interruption interruption(&require_not_stopped, false);
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return over_ || stopped_ || !jobs_.empty(); });
    if (over_ || stopped_) {
      jobs_.clear();
      lock.unlock();
      changed_.notify_all();
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

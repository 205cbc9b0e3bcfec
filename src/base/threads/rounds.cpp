#include "base/threads/rounds.hpp"

#include <algorithm>
#include <utility>

#include "base/threads/interruption.hpp"

namespace stele {

void Rounds::begin() {
  const std::lock_guard lock(mutex_);
  if (queued_) {
    return;
  }
  if (thread_ == nullptr) {
    thread_ = std::make_unique<Behind>(std::size_t{2});  // one that runs, one that is to begin: run() never waits
  }
  thread_->run([this] { run(); });
  queued_ = true;
}

void Rounds::run() {
  {
    const std::lock_guard lock(mutex_);
    queued_ = false;
    running_ = true;
    failed_ = nullptr;
  }
  std::exception_ptr failed;
  try {
    round_();
  } catch (...) {
    failed = std::current_exception();
  }
  {
    const std::lock_guard lock(mutex_);
    running_ = false;
    failed_ = failed;
  }
  changed_.notify_all();
}

bool Rounds::wait(Clock::time_point until) {
  std::unique_lock lock(mutex_);
  const auto over = [&] { return !queued_ && !running_; };
  while (!over()) {
    const Clock::time_point now = Clock::now();
    if (now >= until) {
      return false;
    }
    lock.unlock();
    interruption_point();
    {
      const Waiting waiting;
      std::unique_lock inner(mutex_);
      changed_.wait_until(inner, std::min(until, now + interruption_interval), over);
    }
    lock.lock();
  }
  if (const std::exception_ptr failed = std::exchange(failed_, nullptr)) {
    std::rethrow_exception(failed);
  }
  return true;
}

}  // namespace stele

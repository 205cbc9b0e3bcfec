#include "base/threads/crew.hpp"

#include <system_error>

namespace stele {

Crew::~Crew() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
}

void Crew::run(const std::function<void()>& work) {
  while (helpers_.size() + 1 < threads_) {
    try {
      helpers_.emplace_back([this] { serve(); });
    } catch (const std::system_error&) {
      break;
    }
  }
  {
    const std::lock_guard lock(mutex_);
    work_ = &work;
    busy_ = helpers_.size();
    ++turn_;
  }
  changed_.notify_all();
  work();
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return busy_ == 0; });
  work_ = nullptr;
}

void Crew::serve() {
  std::unique_lock lock(mutex_);
  for (unsigned seen = 0;;) {
    changed_.wait(lock, [&] { return stopping_ || (work_ != nullptr && turn_ != seen); });
    if (stopping_) {
      return;
    }
    seen = turn_;
    const auto& work = *work_;
    lock.unlock();
    work();
    lock.lock();
    --busy_;
    changed_.notify_all();
  }
}

}  // namespace stele

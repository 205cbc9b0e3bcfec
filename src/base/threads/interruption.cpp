#include "base/threads/interruption.hpp"

#include <chrono>
#include <utility>

namespace stele {
namespace {

thread_local Interruption::Check current = nullptr;
thread_local std::chrono::steady_clock::time_point next_check;
thread_local unsigned interruptions = 0;  // of the program, that exist
WaitHooks hooks;

void check_at(std::chrono::steady_clock::time_point now) {
  next_check = now + interruption_interval;
  current();
}

}  // namespace

Interruption::Interruption(Check check, bool of_program) noexcept
    : before_(std::exchange(current, check)), of_program_(of_program) {
  interruptions += of_program_ ? 1 : 0;
}
Interruption::~Interruption() {
  current = before_;
  interruptions -= of_program_ ? 1 : 0;
}

void set_wait_hooks(WaitHooks given) noexcept { hooks = given; }

Waiting::Waiting() : hooked_(interruptions > 0 && hooks.begin != nullptr) {
  if (hooked_) {
    state_ = hooks.begin();
  }
}
Waiting::~Waiting() {
  if (hooked_) {
    hooks.end(state_);
  }
}

std::unique_lock<std::mutex> Waiting::lock(std::mutex& mutex) {
  std::unique_lock taken(mutex, std::try_to_lock);
  if (!taken) {
    const Waiting waiting;
    taken.lock();
  }
  return taken;
}

void Waiting::wait(std::condition_variable& changed, std::unique_lock<std::mutex>& lock) {
  if (interruptions == 0 || hooks.begin == nullptr) {
    changed.wait(lock);
    return;
  }
  std::mutex& mutex = *lock.mutex();
  lock.unlock();
  {
    const Waiting waiting;
    std::unique_lock inner(mutex);
    changed.wait_for(inner, interruption_interval);
  }
  lock.lock();
}

void interruption_point() {
  if (current == nullptr) {
    return;
  }
  const auto now = std::chrono::steady_clock::now();
  if (now >= next_check) {
    check_at(now);
  }
}

void interrupted() {
  if (current != nullptr) {
    check_at(std::chrono::steady_clock::now());
  }
}

}  // namespace stele

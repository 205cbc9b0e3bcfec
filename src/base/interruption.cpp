#include "base/interruption.hpp"

#include <chrono>
#include <utility>

namespace stele {
namespace {

constexpr std::chrono::milliseconds pause(20);

thread_local Interruption::Check current = nullptr;
thread_local std::chrono::steady_clock::time_point next_check;

void check_at(std::chrono::steady_clock::time_point now) {
  next_check = now + pause;
  current();
}

}  // namespace

Interruption::Interruption(Check check) noexcept : before_(std::exchange(current, check)) {}
Interruption::~Interruption() { current = before_; }

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

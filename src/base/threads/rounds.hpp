#pragma once
// A background task that runs again when asked to: each run handles all changes made before it started.

#include <chrono>
#include <condition_variable>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>

#include "base/threads/behind.hpp"

namespace stele {

/// Runs a function on a background thread; requests made during a run cause one more run. Thread-safe.
class Rounds {
 public:
  using Clock = std::chrono::steady_clock;

  explicit Rounds(std::function<void()> round) : round_(std::move(round)) {}
  /// Ends the round that runs at its next interruption point, and drops the one after it.
  ~Rounds() = default;
  Rounds(const Rounds&) = delete;
  Rounds& operator=(const Rounds&) = delete;

  /// Begins a round, unless one is still to begin: that one sees the change too.
  /// Throws: std::system_error if there is no thread.
  void begin();
  /// Waits until no round runs or is queued; returns false if `until` came first. Rethrows the error of the last round,
  /// once, and what an interruption point throws: the rounds then continue.
  bool wait(Clock::time_point until = Clock::time_point::max());

 private:
  void run();

  const std::function<void()> round_;
  std::mutex mutex_;  // guards the members below
  std::condition_variable changed_;
  bool queued_ = false;
  bool running_ = false;
  std::exception_ptr failed_;
  std::unique_ptr<Behind> thread_;  // the last member: its end is waited for first
};

}  // namespace stele

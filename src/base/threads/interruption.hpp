#pragma once
// Lets the program around the library look up from a long call, and end it: Python's signal handlers run only in the
// thread that called.

#include <chrono>
#include <condition_variable>
#include <mutex>

namespace stele {

/// The longest that work goes on, or a thread waits, without an interruption point.
inline constexpr std::chrono::milliseconds interruption_interval(20);

/// While it exists, long work on this thread calls `check` about every interruption_interval; what that throws
/// ends the call. With null, nothing is called meanwhile, for what must not end half-way.
class Interruption {
 public:
  using Check = void (*)();
  /// `of_program`: whether this is a thread of the program around, so that a Waiting calls the hooks.
  explicit Interruption(Check check, bool of_program = true) noexcept;
  ~Interruption();
  Interruption(const Interruption&) = delete;
  Interruption& operator=(const Interruption&) = delete;

 private:
  const Check before_;
  const bool of_program_;
};

/// Lets the host program release a lock such as Python's GIL while a thread waits. `begin` is called before the wait,
/// with or without the lock held; its result is passed to `end`.
struct WaitHooks {
  struct State {
    void* thread = nullptr;
    int held = 0;
  };
  State (*begin)() = nullptr;
  void (*end)(State) = nullptr;
};
/// Sets them for the process. To be called before other threads run.
void set_wait_hooks(WaitHooks hooks) noexcept;

/// While it exists, this thread waits for other machines. Does something only on threads of the program around
/// that have an Interruption.
/// No lock may be held where it begins or ends.
class Waiting {
 public:
  Waiting();
  ~Waiting();
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;

  // A thread that waits for another one must let that one end a Waiting, or both would wait for ever:
  /// Locks what is held during reads that may be Waitings.
  static std::unique_lock<std::mutex> lock(std::mutex& mutex);
  /// Waits for a notification, or returns without one: to be called until a condition holds. `lock` is not one that is
  /// held during reads.
  static void wait(std::condition_variable& changed, std::unique_lock<std::mutex>& lock);

 private:
  const bool hooked_;
  WaitHooks::State state_;
};

/// The same in a destructor that ends a thread of this library, which may need Python's lock to end.
class Joining {
 public:
  Joining() = default;

 private:
  const Interruption none_{nullptr};
  const Waiting waiting_;
};

/// A step of long work: costs nothing worth counting. Not to be called with a lock held, as `check` may wait for others
/// that want it, nor in a destructor.
void interruption_point();
/// The same after a system call that a signal ended: calls `check` at once.
void interrupted();

}  // namespace stele

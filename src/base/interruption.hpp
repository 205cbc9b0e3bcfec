#pragma once
// Lets the program around the library look up from a long call, and end it: Python's signal handlers run only in the
// thread that called.

namespace stele {

/// While it exists, long work on this thread calls `check` now and then, about every 20 milliseconds; what that throws
/// ends the call. With null, nothing is called meanwhile, for what must not end half-way.
class Interruption {
 public:
  using Check = void (*)();
  explicit Interruption(Check check) noexcept;
  ~Interruption();
  Interruption(const Interruption&) = delete;
  Interruption& operator=(const Interruption&) = delete;

 private:
  const Check before_;
};

/// A step of long work: costs nothing worth counting. Not to be called with a lock held, as `check` may wait for others
/// that want it, nor in a destructor.
void interruption_point();
/// The same after a system call that a signal ended: calls `check` at once.
void interrupted();

}  // namespace stele

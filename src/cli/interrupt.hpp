#pragma once
// Ctrl-C while a file is being written: the temporary file goes before the process does.

namespace stele::cli {

/// While it lives, SIGINT, SIGTERM and SIGHUP do not end the process at once; a second one does. Only one at a time.
class InterruptGuard {
 public:
  InterruptGuard() noexcept;
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;
};

/// Whether there was a signal.
bool interrupted() noexcept;
/// Thrown by check_interrupt() after a signal.
struct Interrupted {};
void check_interrupt();
/// Ends the process as the signal would have, if there was one.
void obey_interrupt() noexcept;

}  // namespace stele::cli

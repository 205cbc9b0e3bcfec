#pragma once
// Handles Ctrl-C while a file is being written: removes the temporary file before the process ends.

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace stele::cli {

/// During its lifetime, SIGINT, SIGTERM and SIGHUP do not end the process at once. The command has a moment to reach
/// its next check_interrupt() and to clean up. If it does not, for example because a compressor is busy, another thread
/// ends the process. A second signal ends it too. Only one at a time.
class InterruptGuard {
 public:
  InterruptGuard() noexcept;
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;

  /// Called by the other thread before it ends the process, to remove temporary files. It then waits for a shorter
  /// time. Nothing: no call. Does not return while the previous function is running.
  void set_last_resort(std::function<void()> clean);

 private:
  void watch() noexcept;
  int signalled_[2] = {-1, -1};  // a pipe
  std::mutex mutex_;             // guards the members below
  std::condition_variable changed_;
  std::function<void()> clean_;
  bool over_ = false;
  std::thread watcher_;
};

/// Whether a signal has arrived.
bool interrupted() noexcept;
/// Thrown by check_interrupt() after a signal.
struct Interrupted {};
void check_interrupt();
/// Ends the process as the signal would have, if one has arrived.
void obey_interrupt() noexcept;

}  // namespace stele::cli

#pragma once
// Ctrl-C while a file is being written: the temporary file goes before the process does.

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace stele::cli {

/// While it lives, SIGINT, SIGTERM and SIGHUP do not end the process at once: the command has a moment to come to its
/// next check_interrupt() and to clean up. Where it does not, as a compressor may be busy for long, another thread ends
/// the process. A second signal does so too. Only one at a time.
class InterruptGuard {
 public:
  InterruptGuard() noexcept;
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;

  /// What the other thread does before it ends the process: takes temporary files away. It has a shorter moment to wait
  /// then. Nothing: no more. Does not return while the earlier one is being done.
  void set_last_resort(std::function<void()> clean);

 private:
  void watch() noexcept;
  int signalled_[2] = {-1, -1};  // a pipe
  std::mutex mutex_;             // guards what follows
  std::condition_variable changed_;
  std::function<void()> clean_;
  bool over_ = false;
  std::thread watcher_;
};

/// Whether there was a signal.
bool interrupted() noexcept;
/// Thrown by check_interrupt() after a signal.
struct Interrupted {};
void check_interrupt();
/// Ends the process as the signal would have, if there was one.
void obey_interrupt() noexcept;

}  // namespace stele::cli

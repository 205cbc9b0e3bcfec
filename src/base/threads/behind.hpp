#pragma once
// A worker thread with a bounded queue of jobs, such as one stage of a pipeline.

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>

namespace stele {

/// Runs jobs in the order in which they were added. Only one thread may use it.
class Behind {
 public:
  /// At most `most_jobs` jobs are queued when run() returns. Throws: std::system_error if there is no thread.
  explicit Behind(std::size_t most_jobs);
  /// Drops the jobs that have not started.
  ~Behind();
  Behind(const Behind&) = delete;
  Behind& operator=(const Behind&) = delete;

  /// Adds a job. Throws the exception of an earlier job; later jobs are then dropped.
  void run(std::function<void()> job);
  /// Waits until at most `left` jobs are left, those that were added last. Throws as run(), and what an interruption
  /// point throws: no job runs then, and later ones are dropped.
  void wait(std::size_t left = 0);
  /// Runs `job` on the other thread and `own` on this one; both have ended when it returns or throws.
  void beside(std::function<void()> job, const std::function<void()>& own);

 private:
  void work();
  void stop(std::exception_ptr reason) noexcept;

  const std::size_t most_jobs_;
  std::mutex mutex_;  // guards the members below
  std::condition_variable changed_;
  std::deque<std::function<void()>> jobs_;  // the first may be running
  std::exception_ptr failed_;
  bool over_ = false;
  std::atomic<bool> stopped_ = false;  // ends the running job at its next interruption point
  std::jthread thread_;
};

}  // namespace stele

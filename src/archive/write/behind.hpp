#pragma once
// A worker thread that runs jobs prepared by another thread.

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
  /// The maximum number of queued jobs when run() returns.
  static constexpr std::size_t most_jobs = 2;

  Behind();
  /// Drops the jobs that have not started.
  ~Behind();
  Behind(const Behind&) = delete;
  Behind& operator=(const Behind&) = delete;

  /// Adds a job. Throws the exception of an earlier job; later jobs are then dropped.
  void run(std::function<void()> job);
  /// Waits until the queue is empty. Throws as run().
  void drain();

 private:
  void work();
  void wait_for(std::size_t jobs);

  std::mutex mutex_;  // guards the members below
  std::condition_variable changed_;
  std::deque<std::function<void()>> jobs_;  // the first may be running
  std::exception_ptr failed_;
  bool over_ = false;
  std::jthread thread_;
};

}  // namespace stele

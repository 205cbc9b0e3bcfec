#pragma once
// A thread that works on what another one has prepared, a few jobs behind it.

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>

namespace stele {

/// Does jobs in the order in which they are given. Used by one thread.
class Behind {
 public:
  /// Jobs given and not done: where run() returns there are no more.
  static constexpr std::size_t most_jobs = 2;

  Behind();
  /// Drops the jobs that have not begun.
  ~Behind();
  Behind(const Behind&) = delete;
  Behind& operator=(const Behind&) = delete;

  /// Throws what an earlier job threw; nothing is done any more then.
  void run(std::function<void()> job);
  /// Waits until all is done. Throws as run().
  void drain();

 private:
  void work();
  void wait_for(std::size_t jobs);

  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  std::deque<std::function<void()>> jobs_;  // the first may be under way
  std::exception_ptr failed_;
  bool over_ = false;
  std::jthread thread_;
};

}  // namespace stele

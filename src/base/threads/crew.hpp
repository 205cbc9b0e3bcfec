#pragma once
// A small thread pool: all threads work on one task at a time, such as the pieces of an array, and wait in between.

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace stele {

/// Not thread-safe: one caller at a time.
class Crew {
 public:
  /// `threads` includes the calling thread; the others are started at the first run().
  explicit Crew(unsigned threads) : threads_(threads) {}
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;
  ~Crew();

  unsigned threads() const noexcept { return threads_; }
  /// Calls `work` on this thread and all others at once; returns when all calls have returned. `work` must not throw.
  /// If threads cannot be started, there are fewer calls, but at least one.
  void run(const std::function<void()>& work);

 private:
  void serve();

  const unsigned threads_;
  std::mutex mutex_;
  std::condition_variable changed_;
  const std::function<void()>* work_ = nullptr;
  unsigned turn_ = 0;     // counts calls of run()
  std::size_t busy_ = 0;  // helpers that have not finished this turn
  bool stopping_ = false;
  std::vector<std::jthread> helpers_;
};

}  // namespace stele

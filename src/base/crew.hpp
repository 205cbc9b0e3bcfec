#pragma once
// Threads that work together on one thing at a time, such as the pieces of an array, and wait in between.

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace stele {

/// Not thread-safe: one caller at a time.
class Crew {
 public:
  /// `threads` counts the calling one; the others are started when there is something to do.
  explicit Crew(unsigned threads) : threads_(threads) {}
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;
  ~Crew();

  unsigned threads() const noexcept { return threads_; }
  /// Calls `work`, which does not throw, on this thread and on all others at once, and returns when all calls have.
  /// Where threads cannot be had, there are fewer calls, but one at least.
  void run(const std::function<void()>& work);

 private:
  void serve();

  const unsigned threads_;
  std::mutex mutex_;
  std::condition_variable changed_;
  const std::function<void()>* work_ = nullptr;
  unsigned turn_ = 0;     // counts calls of run()
  std::size_t busy_ = 0;  // helpers that have not ended this turn
  bool stopping_ = false;
  std::vector<std::jthread> helpers_;
};

}  // namespace stele

#pragma once
// Who computes what: each result by one thread of one process at a time.

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <unordered_map>

#include "stele/hash.hpp"

namespace stele {

/// Among threads by a table, among processes by a lock on a byte of a file that stands for the key (F_OFD_SETLK): it
/// goes with the process, and needs no file per key. Thread-safe.
class CacheFlights {
 public:
  using Clock = std::chrono::steady_clock;

  /// `lock_file`: open for writing, or -1 to know of threads alone.
  explicit CacheFlights(int lock_file) : lock_file_(lock_file) {}

  /// Waits until nobody else computes `key`. False if that took until `until`, or if this thread computes it already:
  /// then end() must not be called.
  /// Throws: what ends a long call early (base/interruption.hpp).
  bool begin(const Digest& key, Clock::time_point until);
  void end(const Digest& key) noexcept;

 private:
  bool lock_among_processes(const Digest& key, Clock::time_point until);
  struct Hash {
    std::size_t operator()(const Digest& key) const noexcept;
  };
  int lock_file_;
  std::mutex mutex_;
  std::condition_variable ended_;
  std::unordered_map<Digest, std::thread::id, Hash> open_;
};

}  // namespace stele

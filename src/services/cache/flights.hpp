#pragma once
// Single flight: at most one thread of one process computes a result, or fetches it from a remote, at a time.

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <unordered_map>

#include "stele/hash.hpp"

namespace stele {

/// Threads coordinate through a table, processes through locks on single bytes of a file (F_OFD_SETLK), one byte per
/// key: the kernel releases them when a process ends, and no file per key is needed. Thread-safe.
class CacheFlights {
 public:
  using Clock = std::chrono::steady_clock;

  /// `lock_file`: open for writing, or -1 to know of threads alone. `first_byte` of those that stand for keys, as many
  /// as its number: a power of two.
  CacheFlights(int lock_file, std::uint64_t first_byte) : lock_file_(lock_file), first_byte_(first_byte) {}

  /// Waits until nobody else computes `key`. False if that took until `until`, or if this thread computes it already:
  /// then end() must not be called.
  /// Throws: what ends a long call early (base/threads/interruption.hpp).
  bool begin(const Digest& key, Clock::time_point until);
  void end(const Digest& key) noexcept;

  /// Waits as begin() does; ends what it has begun.
  class Turn {
   public:
    Turn(CacheFlights& flights, const Digest& key, Clock::time_point until)
        : flights_(flights), key_(key), alone_(flights.begin(key, until)) {}
    ~Turn() {
      if (alone_) {
        flights_.end(key_);
      }
    }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

   private:
    CacheFlights& flights_;
    const Digest key_;
    const bool alone_;
  };

 private:
  bool lock_among_processes(const Digest& key, Clock::time_point until);
  std::uint64_t byte_of(const Digest& key) const noexcept;
  struct Hash {
    std::size_t operator()(const Digest& key) const noexcept;
  };
  int lock_file_;
  std::uint64_t first_byte_;
  std::mutex mutex_;
  std::condition_variable ended_;
  std::unordered_map<Digest, std::thread::id, Hash> open_;
};

}  // namespace stele

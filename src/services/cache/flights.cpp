#include "services/cache/flights.hpp"

#include <algorithm>
#include <bit>

#include "base/bytes.hpp"
#include "base/threads/interruption.hpp"
#include "services/cache/lock.hpp"

namespace stele {

namespace {

constexpr auto looked_after = std::chrono::milliseconds(100);  // whether the call is to end

}  // namespace

std::size_t CacheFlights::Hash::operator()(const Digest& key) const noexcept {
  return static_cast<std::size_t>(load_le<std::uint64_t>(key.bytes.data()));
}

/// Different keys for one byte would only wait for each other without need.
std::uint64_t CacheFlights::byte_of(const Digest& key) const noexcept {
  return first_byte_ + (load_le<std::uint64_t>(key.bytes.data()) >> (65 - std::bit_width(first_byte_)));
}

bool CacheFlights::begin(const Digest& key, Clock::time_point until) {
  {
    std::unique_lock lock(mutex_);
    for (;;) {
      const auto [place, added] = open_.try_emplace(key, std::this_thread::get_id());
      if (added) {
        break;
      }
      if (place->second == std::this_thread::get_id() || Clock::now() >= until) {
        return false;
      }
      ended_.wait_until(lock, std::min<Clock::time_point>(until, Clock::now() + looked_after));
      lock.unlock();
      interruption_point();
      lock.lock();
    }
  }
  try {
    if (!lock_among_processes(key, until)) {
      end(key);
      return false;
    }
  } catch (...) {
    end(key);
    throw;
  }
  return true;
}

bool CacheFlights::lock_among_processes(const Digest& key, Clock::time_point until) {
  std::chrono::microseconds pause(100);
  while (lock_file_ >= 0 && lock_byte(lock_file_, byte_of(key)) == CacheBytes::Locked::no) {
    const Clock::time_point now = Clock::now();
    if (now >= until) {
      return false;
    }
    interruption_point();
    std::this_thread::sleep_for(std::min<Clock::duration>(pause, until - now));
    pause = std::min<std::chrono::microseconds>(pause * 2, std::chrono::milliseconds(20));
  }
  return true;
}

void CacheFlights::end(const Digest& key) noexcept {
  if (lock_file_ >= 0) {
    unlock_byte(lock_file_, byte_of(key));
  }
  const std::scoped_lock lock(mutex_);
  open_.erase(key);
  ended_.notify_all();
}

}  // namespace stele

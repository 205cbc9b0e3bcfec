#pragma once
// The locks of a cache are bytes of one file (F_OFD_SETLK): the kernel releases them when the process ends.

#include <cstdint>

namespace stele {

struct CacheBytes {
  static constexpr std::uint64_t change = 0;                              // held while the index is changed
  static constexpr std::uint64_t first_process = std::uint64_t{1} << 32;  // and 2^32 more: each process holds its own
  static constexpr std::uint64_t first_fetch = std::uint64_t{1} << 61;    // a byte for each key, while it is fetched
  static constexpr std::uint64_t first_flight = std::uint64_t{1} << 62;   // and while it is computed
  enum class Locked : std::uint8_t { yes, no, unsupported };
};

/// Does not wait. `unsupported`: the file system has no such locks.
CacheBytes::Locked lock_byte(int file, std::uint64_t byte) noexcept;
void unlock_byte(int file, std::uint64_t byte) noexcept;
/// Whether another open file holds it.
bool is_locked(int file, std::uint64_t byte) noexcept;

}  // namespace stele

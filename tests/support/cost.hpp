#pragma once
// The cost of an action: its peak of allocated memory, and its time. Replaces operator new, so only one source of a
// program may include it.

#include <sys/mman.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <new>

#include "io/system.hpp"

namespace {

std::atomic<std::size_t> live_bytes = 0;
std::atomic<std::size_t> peak_bytes = 0;

void note_allocation(std::size_t size) noexcept {
  const std::size_t now = live_bytes += size;
  std::size_t peak = peak_bytes;
  while (now > peak && !peak_bytes.compare_exchange_weak(peak, now)) {
  }
}

constexpr std::size_t prefix = 64;  // keeps every alignment up to itself

void* take(std::size_t size) {
  void* memory = std::aligned_alloc(prefix, (size + 2 * prefix - 1) / prefix * prefix);
  if (memory == nullptr) {
    throw std::bad_alloc();
  }
  *static_cast<std::size_t*>(memory) = size;
  note_allocation(size);
  return static_cast<char*>(memory) + prefix;
}

void give(void* memory) noexcept {
  if (memory != nullptr) {
    void* whole = static_cast<char*>(memory) - prefix;
    live_bytes -= *static_cast<std::size_t*>(whole);
    std::free(whole);
  }
}

}  // namespace

void* operator new(std::size_t size) { return take(size); }
void* operator new[](std::size_t size) { return take(size); }
void* operator new(std::size_t size, std::align_val_t) { return take(size); }
void* operator new[](std::size_t size, std::align_val_t) { return take(size); }
void operator delete(void* memory) noexcept { give(memory); }
void operator delete[](void* memory) noexcept { give(memory); }
void operator delete(void* memory, std::size_t) noexcept { give(memory); }
void operator delete[](void* memory, std::size_t) noexcept { give(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { give(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { give(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { give(memory); }
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept { give(memory); }

namespace stele::test {

inline constexpr std::size_t mebibyte = std::size_t{1} << 20;

/// Measures the memory and time of an action.
class Cost {
 public:
  Cost() : start_(std::chrono::steady_clock::now()) {
    peak_bytes = live_bytes.load();
    before_ = live_bytes;
    system_calls().mmap = [](void* address, std::size_t length, int protection, int flags, int fd, off_t offset) {
      if ((flags & MAP_ANONYMOUS) != 0) {
        note_allocation(length);
        live_bytes -= length;
      }
      return ::mmap(address, length, protection, flags, fd, offset);
    };
  }
  ~Cost() { system_calls().mmap = &::mmap; }
  Cost(const Cost&) = delete;
  Cost& operator=(const Cost&) = delete;
  std::size_t bytes() const { return peak_bytes - before_; }
  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }

 private:
  std::chrono::steady_clock::time_point start_;
  std::size_t before_ = 0;
};

}  // namespace stele::test

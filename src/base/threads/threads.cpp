#include "base/threads/threads.hpp"

#include <algorithm>
#include <thread>

namespace stele {

unsigned thread_count(unsigned wanted) noexcept {
  // each query reads a kernel file
  static const unsigned machine = std::clamp(std::thread::hardware_concurrency(), 1U, 16U);
  return wanted != 0 ? std::min(wanted, 256U) : machine;
}

}  // namespace stele

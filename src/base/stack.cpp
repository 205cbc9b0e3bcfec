#include "base/stack.hpp"

#include <pthread.h>

#include <algorithm>

namespace stele::stack_bounds {

/// Called for an address that is not known to have room. Determines the bounds of the stack if necessary; returns
/// whether the stack is low.
bool look(std::uintptr_t at) noexcept {
  thread_local std::uintptr_t lowest = 0;  // the lowest address of the whole stack
  thread_local bool asked = false;
  if (!asked) {
    asked = true;
    pthread_attr_t attributes;
    if (pthread_getattr_np(pthread_self(), &attributes) == 0) {
      void* base = nullptr;
      std::size_t size = 0;
      if (pthread_attr_getstack(&attributes, &base, &size) == 0) {
        lowest = reinterpret_cast<std::uintptr_t>(base);
        const std::uintptr_t reserve = std::min<std::uintptr_t>(stack_reserve, size / 4);
        room = {lowest + reserve, size - reserve};
      }
      pthread_attr_destroy(&attributes);
    }
  }
  return room.bytes != 0 && at - lowest < room.lowest - lowest;
}

}  // namespace stele::stack_bounds

namespace stele {

std::uintptr_t stack_left() noexcept {
  if (stack_is_low()) {
    return 0;
  }
  const auto at = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
  const stack_bounds::Room& room = stack_bounds::room;
  return at - room.lowest < room.bytes ? at - room.lowest : ~std::uintptr_t{0};
}

}  // namespace stele

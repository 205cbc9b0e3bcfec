#pragma once
// How much of the calling thread's stack is left, for recursion whose depth comes from data.

#include <cstdint>

namespace stele {

/// The stack that stays for what is at the end of a recursion and for failing; less on small stacks.
inline constexpr std::uintptr_t stack_reserve = std::uintptr_t{128} << 10;

namespace stack_bounds {
/// The addresses from which on there is room; none before they were asked for.
struct Room {
  std::uintptr_t lowest = 0;
  std::uintptr_t bytes = 0;
};
inline thread_local Room room;
bool look(std::uintptr_t at) noexcept;
}  // namespace stack_bounds

/// Whether so little is left that recursion had better stop. False on a stack that is not the thread's own, as its size
/// is unknown. Costs about a nanosecond.
inline bool stack_is_low() noexcept {
  const auto at = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
  return at - stack_bounds::room.lowest >= stack_bounds::room.bytes && stack_bounds::look(at);
}

/// The bytes left, without the reserve; where that is not known, as many as there may be.
std::uintptr_t stack_left() noexcept;

}  // namespace stele

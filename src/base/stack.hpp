#pragma once
// The free space on the calling thread's stack, for recursion whose depth depends on data.

#include <cstdint>

namespace stele {

/// Reserved for the calls at the end of a recursion and for throwing; less on small stacks.
inline constexpr std::uintptr_t stack_reserve = std::uintptr_t{128} << 10;

namespace stack_bounds {
/// Addresses above these have room; unset until the bounds were determined.
struct Room {
  std::uintptr_t lowest = 0;
  std::uintptr_t bytes = 0;
};
inline thread_local Room room;
bool look(std::uintptr_t at) noexcept;
}  // namespace stack_bounds

/// Whether so little stack is left that recursion must stop. False on a stack that is not the thread's own, as its size
/// is unknown. Costs about a nanosecond.
inline bool stack_is_low() noexcept {
  const auto at = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
  return at - stack_bounds::room.lowest >= stack_bounds::room.bytes && stack_bounds::look(at);
}

/// The bytes left, without the reserve; the maximum value if unknown.
std::uintptr_t stack_left() noexcept;

}  // namespace stele

#pragma once
// The number of threads to use.

namespace stele {

/// The number of threads for an option's value, at most 256. For 0: the number of processors, at most 16.
unsigned thread_count(unsigned wanted) noexcept;

}  // namespace stele

#pragma once
// How many threads to work with.

namespace stele {

/// The number of threads an option asks for, at most 256; 0: the machine's, at most 16.
unsigned thread_count(unsigned wanted) noexcept;

}  // namespace stele

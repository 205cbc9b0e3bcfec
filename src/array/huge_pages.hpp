#pragma once
// Huge pages for large memory: a first touch then costs a fault for 2 MiB, not for 4 KiB.

#include <cstddef>

namespace stele {

inline constexpr std::size_t huge_page_size = std::size_t{2} << 20;
/// Memory from this size on is advised to use huge pages.
inline constexpr std::size_t huge_page_threshold = 2 * huge_page_size;

/// Advises the huge pages inside an allocation of huge_page_threshold or more, before it is first touched. Does nothing
/// for smaller ones and where the system has no huge pages.
void advise_huge_pages(void* data, std::size_t bytes) noexcept;

}  // namespace stele

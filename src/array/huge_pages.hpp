#pragma once
// Huge pages for large memory: the first access then costs a page fault per 2 MiB, not per 4 KiB.

#include <cstddef>

namespace stele {

inline constexpr std::size_t huge_page_size = std::size_t{2} << 20;
/// Memory of at least this size uses huge pages.
inline constexpr std::size_t huge_page_threshold = 2 * huge_page_size;

/// Advises the system to use huge pages inside an allocation of huge_page_threshold or more. Call before the first
/// access. Does nothing for smaller ones or if the system has no huge pages.
void advise_huge_pages(void* data, std::size_t bytes) noexcept;

}  // namespace stele

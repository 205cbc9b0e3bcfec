#pragma once
// Iterates over the elements of an array, dense or gathered.

#include <algorithm>
#include <cstddef>
#include <vector>

#include "encoding/encoding.hpp"

namespace stele {

/// Copies `count` elements, beginning with `first`.
inline void copy_elements(const Elements& elements, std::uint64_t first, std::uint64_t count, std::byte* to) {
  if (elements.gather) {
    elements.gather(first, count, to);
  } else {
    const auto begin = static_cast<std::ptrdiff_t>(first * elements.item_size);
    std::copy_n(elements.dense.begin() + begin, count * elements.item_size, to);
  }
}

/// Calls visit(const std::byte* piece, std::size_t count) for all elements, about 32 KiB at a time, until it returns
/// false. Returns whether it never did.
template <class Visit>
bool for_pieces(const Elements& elements, Visit visit) {
  const std::uint64_t most = std::max<std::uint64_t>(1, (std::uint64_t{32} << 10) / elements.item_size);
  std::vector<std::byte> gathered(
      elements.gather ? static_cast<std::size_t>(std::min(most, elements.count) * elements.item_size) : 0);
  for (std::uint64_t first = 0; first < elements.count; first += most) {
    const std::uint64_t count = std::min(most, elements.count - first);
    const std::byte* piece = gathered.data();
    if (elements.gather) {
      elements.gather(first, count, gathered.data());
    } else {
      piece = elements.dense.data() + first * elements.item_size;
    }
    if (!visit(piece, static_cast<std::size_t>(count))) {
      return false;
    }
  }
  return true;
}

}  // namespace stele

#pragma once
// Which elements of a stored array are wanted, and where they go.

#include <cstdint>
#include <span>
#include <vector>

#include "archive/read/lazy/stored.hpp"

namespace stele {

/// Positions along one axis.
struct SelectedAxis {
  /// A position in the array and its place in the result, both along this axis.
  struct Place {
    std::uint64_t from = 0;
    std::uint64_t to = 0;
  };
  std::uint64_t count = 1;
  std::int64_t stride = 0;         // from one position of the array to the next, in stored elements
  std::int64_t result_stride = 0;  // from one place of the result to the next, in elements
  std::vector<Place> places = {};  // instead of the positions 0, 1, …
};

/// Any box of an array, or any choice of its rows.
struct Selection {
  std::uint64_t first = 0;  // stored element at position 0 of all axes
  std::vector<SelectedAxis> axes;
};

/// Copies the selected elements to `result`, converted to `dtype`. Reads each stored place once, in ascending order, in
/// pieces that `threads` threads share. Holds a few MiB a thread.
/// Throws: what StoredElements::read() throws, Error(out_of_range) for times that `dtype` cannot hold.
void read_selection(const StoredElements& elements, Selection selection, const DType& dtype, std::byte* result,
                    unsigned threads);

}  // namespace stele

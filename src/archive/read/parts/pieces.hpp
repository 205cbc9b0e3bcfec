#pragma once
// Reads an array in pieces on several threads.

#include <cstdint>
#include <functional>

#include "base/threads/crew.hpp"

namespace stele {

/// How to read `size` bytes piece by piece.
struct Pieces {
  std::uint64_t size = 0;
  /// The end of the piece that begins at `begin`; greater than `begin`.
  std::function<std::uint64_t(std::uint64_t begin)> end_of;
  /// Reads a piece, on any thread.
  std::function<void(std::uint64_t begin, std::uint64_t end)> read;
  /// Called for each piece in order, on the thread that read it, whose cache holds it. Where it is empty, no thread
  /// waits for another that the system holds up.
  std::function<void(std::uint64_t begin, std::uint64_t end)> arrived;
};

/// Throws the first exception of `read` or `arrived`. No read is in progress after it returns or throws.
void read_pieces(Crew& crew, const Pieces& pieces);

}  // namespace stele

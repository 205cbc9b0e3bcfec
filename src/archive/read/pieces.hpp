#pragma once
// Reading an array in pieces on several threads.

#include <cstdint>
#include <functional>

#include "base/crew.hpp"

namespace stele {

/// How a run of `size` bytes is read piece by piece.
struct Pieces {
  std::uint64_t size = 0;
  /// Where the piece that begins at `begin` ends; behind `begin`.
  std::function<std::uint64_t(std::uint64_t begin)> end_of;
  /// Reads a piece, on any thread.
  std::function<void(std::uint64_t begin, std::uint64_t end)> read;
  /// Called for each piece in order, by the thread that has read it and has it in its cache.
  std::function<void(std::uint64_t begin, std::uint64_t end)> arrived;
};

/// Throws what `read` or `arrived` has thrown first; then nothing is being read any more.
void read_pieces(Crew& crew, const Pieces& pieces);

}  // namespace stele

#pragma once
// Parts of the encoder that only its own sources need.

#include "archive/write/encoder.hpp"

namespace stele {

/// The growing array being written.
struct Encoder::Growing {
  DType dtype;
  Shape row;
  std::uint64_t row_bytes = 0;
  std::uint64_t bytes = 0;
  bool patchable = false;
  bool started = false;  // the header was written
  std::uint64_t header_at = 0;
  std::size_t header_size = 0;
  std::uint64_t data_at = 0;
  std::vector<std::byte> small;  // patchable: all bytes so far, if too few for a listed array; otherwise of a chunk
  PiecesEntry pieces;            // not patchable
};

}  // namespace stele

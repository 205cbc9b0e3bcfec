#pragma once
// The bytes by which a format is recognised. Files of lz4 and of zstd may begin with skippable frames, which look the
// same in both, so that only what follows them tells.

#include <cstddef>
#include <vector>

#include "stele/io.hpp"

namespace stele {

/// The first 12 bytes of a Source, or all if it has fewer; where skippable frames stand there, these and 12 bytes
/// behind them, unless they are longer than 64 KiB. Reads from offset 0 without moving the position where there is
/// random access; else takes the bytes.
std::vector<std::byte> first_bytes(Source& source);

/// `first` without the whole skippable frames at its start.
Bytes behind_skippable(Bytes first) noexcept;

}  // namespace stele

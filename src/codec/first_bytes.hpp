#pragma once
// The bytes that identify a format. lz4 and zstd files may begin with skippable frames, which look the same in both, so
// that only the bytes after them tell.

#include <cstddef>
#include <vector>

#include "stele/io.hpp"

namespace stele {

/// The first 12 bytes of a Source, or all if it has fewer. If it begins with skippable frames of at most 64 KiB: these
/// and the 12 bytes after them. With random access it reads from offset 0 and does not move the position; otherwise it
/// consumes the bytes.
std::vector<std::byte> first_bytes(Source& source);

/// `first` without the complete skippable frames at its start.
Bytes behind_skippable(Bytes first) noexcept;

}  // namespace stele

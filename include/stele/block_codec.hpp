#pragma once
// A codec from two functions: one that compresses a block of bytes and one that decompresses it. The library makes a
// file format of them: docs/format.md, "A user's codec".

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "stele/codec.hpp"

namespace stele {

/// The functions that block_codec() makes a codec of. Several threads call them at once.
struct BlockFunctions {
  /// The name in options.
  std::string name;
  /// File name extensions with the dot, the usual one first.
  std::vector<std::string> extensions = {};
  /// The bytes that every file begins with: 4 to 12, which no other format begins with.
  std::string magic;
  /// Appends the compressed form of `plain`, which is not empty, to `out`. Blocks that do not shrink are stored
  /// uncompressed.
  std::function<void(Bytes plain, int level, std::vector<std::byte>& out)> compress = {};
  /// Fills `plain` from one compressed block. Returns whether the block holds exactly `plain.size()` bytes. Must
  /// withstand any bytes: a file may be damaged or hostile.
  std::function<bool(Bytes compressed, MutableBytes plain)> decompress = {};

  LevelRange levels = {};
  /// The plain size of blocks, at most 64 MiB.
  std::size_t block_size = std::size_t{1} << 20;
  /// The underlying library and its version, for `stele codecs`.
  std::string library = {};
};

/// A codec with everything the library's own codecs have: parallel blocks found without decoding, checksums, streams.
/// Throws: Error(invalid_argument) for missing functions or names, and for a magic or block size out of range.
std::shared_ptr<const Codec> block_codec(BlockFunctions functions);

}  // namespace stele

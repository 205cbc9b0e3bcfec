#pragma once
// The codecs the library brings: one factory per format, one .cpp file per library. A format whose library is left out
// of the build has no factory; Codecs() in codec.cpp lists those that are there.

#include <memory>

#include "stele/codec.hpp"

namespace stele {

/// RFC 1952. A member per block; FEXTRA says how long it is. ISA-L and libdeflate where they are there, else zlib.
std::shared_ptr<const Codec> gzip_codec();
/// RFC 1950. One stream; a block of no bytes before each block says how long it is. ISA-L where it is there, and zlib.
std::shared_ptr<const Codec> zlib_codec();
/// A stream per block, all of the same plain size but the last. libbz2.
std::shared_ptr<const Codec> bzip2_codec();
/// The legacy format of LZMA Utils: no blocks, no checksum. liblzma.
std::shared_ptr<const Codec> lzma_codec();
/// The .xz format, with its own blocks and index. liblzma.
std::shared_ptr<const Codec> xz_codec();
/// The LZ4 frame format. One frame of independent blocks, and a skippable frame with the block index.
std::shared_ptr<const Codec> lz4_codec();
/// RFC 8878. A frame per block, and the seek table of zstd's contrib/seekable_format behind them.
std::shared_ptr<const Codec> zstd_codec();

}  // namespace stele

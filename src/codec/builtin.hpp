#pragma once
// The built-in codecs: one factory per format, one .cpp file per compression library. A format whose library is not
// part of the build has no factory. Codecs() in codec.cpp lists the available ones.

#include <memory>

#include "stele/codec.hpp"

namespace stele {

/// RFC 1952. One member per block; FEXTRA holds its size. Uses ISA-L and libdeflate if available, else zlib.
std::shared_ptr<const Codec> gzip_codec();
/// The same format as one member, for programs that read no more than one. Such files are read in order.
std::shared_ptr<const Codec> gzip_member_codec();
/// RFC 1950. One stream; an empty deflate block before each block holds its size. Uses ISA-L if available, and zlib.
std::shared_ptr<const Codec> zlib_codec();
/// One stream per block; all but the last have the same plain size. libbz2.
std::shared_ptr<const Codec> bzip2_codec();
/// The legacy format of LZMA Utils: no blocks, no checksum. liblzma.
std::shared_ptr<const Codec> lzma_codec();
/// The .xz format, with its own blocks and index. liblzma.
std::shared_ptr<const Codec> xz_codec();
/// The LZ4 frame format. One frame of independent blocks, and a skippable frame with the block index.
std::shared_ptr<const Codec> lz4_codec();
/// RFC 8878. One frame per block, followed by the seek table of zstd's contrib/seekable_format.
std::shared_ptr<const Codec> zstd_codec();

}  // namespace stele

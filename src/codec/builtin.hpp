#pragma once
// The codecs the library brings: one factory per format, one .cpp file per library. A format whose library is left out
// of the build has no factory; Codecs() in codec.cpp lists those that are there.

#include <memory>

#include "stele/codec.hpp"

namespace stele {

/// RFC 1952. A member per block; FEXTRA says how long it is. libdeflate where it is there, else zlib.
std::shared_ptr<const Codec> gzip_codec();
/// RFC 8878. A frame per block, and the seek table of zstd's contrib/seekable_format behind them.
std::shared_ptr<const Codec> zstd_codec();

}  // namespace stele

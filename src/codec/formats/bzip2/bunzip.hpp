#pragma once
// libbz2 and the constants of the format, shared by bzip2.cpp and blocks.cpp.

#if STELE_WITH_BZIP2

#include <bzlib.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "codec/stream/streams.hpp"
#include "stele/error.hpp"

namespace stele::bzip2 {

constexpr std::size_t header_size = 4;
constexpr std::size_t magic_size = 6;
constexpr std::uint64_t block_magic = 0x314159265359;
constexpr std::uint64_t end_magic = 0x177245385090;

inline unsigned clamped(std::size_t size) {
  return static_cast<unsigned>(std::min<std::size_t>(size, std::numeric_limits<unsigned>::max()));
}

inline char* chars(const std::byte* bytes) { return const_cast<char*>(reinterpret_cast<const char*>(bytes)); }

/// Decompresses a stream in steps.
class Bunzip {
 public:
  Bunzip() = default;
  Bunzip(const Bunzip&) = delete;
  Bunzip& operator=(const Bunzip&) = delete;
  ~Bunzip() { end(); }

  /// Begins a new stream.
  void begin() {
    end();
    stream_ = {};
    if (BZ2_bzDecompressInit(&stream_, 0, 0) != BZ_OK) {
      fail(Errc::limit_exceeded, "no memory for a decompressor");
    }
    open_ = true;
  }

  Step step(Bytes in, MutableBytes out) {
    stream_.next_in = chars(in.data());
    stream_.avail_in = clamped(in.size());
    stream_.next_out = chars(out.data());
    stream_.avail_out = clamped(out.size());
    const unsigned in_before = stream_.avail_in;
    const unsigned out_before = stream_.avail_out;
    const int result = BZ2_bzDecompress(&stream_);
    if (result == BZ_MEM_ERROR) {
      fail(Errc::limit_exceeded, "no memory for a decompressor");
    }
    if (result != BZ_OK && result != BZ_STREAM_END) {
      fail(Errc::damaged, result == BZ_DATA_ERROR_MAGIC ? "not bzip2" : "its data or its checksum is wrong");
    }
    return {in_before - stream_.avail_in, out_before - stream_.avail_out, result == BZ_STREAM_END};
  }

 private:
  void end() {
    if (open_) {
      BZ2_bzDecompressEnd(&stream_);
      open_ = false;
    }
  }

  bz_stream stream_{};
  bool open_ = false;
};

}  // namespace stele::bzip2

#endif  // STELE_WITH_BZIP2

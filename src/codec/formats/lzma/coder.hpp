#pragma once
// Shared by the formats of liblzma.

#if STELE_WITH_LIBLZMA

#include <lzma.h>

#include <cstdint>
#include <string>

#include "codec/stream/streams.hpp"
#include "stele/io.hpp"

namespace stele {

/// Throws the Error that corresponds to an error of liblzma.
[[noreturn]] void fail_lzma(lzma_ret result);

/// The name and version of liblzma.
std::string liblzma_text();

/// The memory limit in bytes for a decoder whose dictionary has at most `window` bytes.
std::uint64_t lzma_memory_limit(std::uint64_t window);

/// The options of a level from 0 to 9.
lzma_options_lzma lzma_level(int level);

inline const std::uint8_t* lzma_bytes(const std::byte* bytes) { return reinterpret_cast<const std::uint8_t*>(bytes); }
inline std::uint8_t* lzma_bytes(std::byte* bytes) { return reinterpret_cast<std::uint8_t*>(bytes); }

/// An encoder or decoder of liblzma. The caller initialises get(), and may do so repeatedly.
class LzmaCoder {
 public:
  LzmaCoder() = default;
  LzmaCoder(const LzmaCoder&) = delete;
  LzmaCoder& operator=(const LzmaCoder&) = delete;
  ~LzmaCoder() { lzma_end(&stream_); }

  lzma_stream* get() noexcept { return &stream_; }
  /// Throws: as fail_lzma().
  Step step(Bytes in, MutableBytes out, lzma_action action = LZMA_RUN);

 private:
  lzma_stream stream_{};
};

}  // namespace stele

#endif  // STELE_WITH_LIBLZMA

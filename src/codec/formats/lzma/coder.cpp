#if STELE_WITH_LIBLZMA

#include "codec/formats/lzma/coder.hpp"

#include <limits>

#include "stele/error.hpp"

namespace stele {

void fail_lzma(lzma_ret result) {
  switch (result) {
    case LZMA_MEM_ERROR:
      fail(Errc::limit_exceeded, "no memory for liblzma");
    case LZMA_MEMLIMIT_ERROR:
      fail(Errc::limit_exceeded, "its dictionary is larger than limits.window allows");
    case LZMA_OPTIONS_ERROR:
      fail(Errc::unsupported, "it has options that " + liblzma_text() + " does not know");
    case LZMA_BUF_ERROR:
      fail(Errc::damaged, "its data does not end where it should");
    case LZMA_DATA_ERROR:
      fail(Errc::damaged, "its data or its checksum is wrong");
    default:
      fail(Errc::damaged, "liblzma reports error " + std::to_string(result));
  }
}

std::string liblzma_text() { return std::string("liblzma ") + lzma_version_string(); }

std::uint64_t lzma_memory_limit(std::uint64_t window) {
  constexpr std::uint64_t beside = std::uint64_t{1} << 20;  // the other memory of a decoder is 100 KiB
  return window > std::numeric_limits<std::uint64_t>::max() - beside ? window : window + beside;
}

lzma_options_lzma lzma_level(int level) {
  lzma_options_lzma options{};
  if (lzma_lzma_preset(&options, static_cast<std::uint32_t>(level))) {
    fail(Errc::invalid_argument, "liblzma does not have level " + std::to_string(level));
  }
  return options;
}

Step LzmaCoder::step(Bytes in, MutableBytes out, lzma_action action) {
  stream_.next_in = lzma_bytes(in.data());
  stream_.avail_in = in.size();
  stream_.next_out = lzma_bytes(out.data());
  stream_.avail_out = out.size();
  const lzma_ret result = lzma_code(&stream_, action);
  if (result != LZMA_OK && result != LZMA_STREAM_END && result != LZMA_BUF_ERROR) {  // which asks for input
    fail_lzma(result);
  }
  return {in.size() - stream_.avail_in, out.size() - stream_.avail_out, result == LZMA_STREAM_END};
}

}  // namespace stele

#endif  // STELE_WITH_LIBLZMA

#include "services/text/codec.hpp"

#define ZLIB_CONST
#include <zlib.h>

#include <algorithm>
#include <array>
#include <map>
#include <string>

#include "base/bytes.hpp"
#include "stele/error.hpp"

#if STELE_WITH_LIBDEFLATE
#include <libdeflate.h>
#endif
#if STELE_WITH_ZSTD
#include <zdict.h>
#include <zstd.h>
#include <zstd_errors.h>
#endif

namespace stele::state_text {
namespace {

[[noreturn]] void no_memory() { fail(Errc::limit_exceeded, "no memory to compress or decompress a text"); }

/// The levels of a library for the levels 1 to 9.
using Levels = std::array<int, 9>;
int level_of(const Levels& levels, int level) { return levels[static_cast<std::size_t>(std::clamp(level, 1, 9) - 1)]; }

#if STELE_WITH_LIBDEFLATE
constexpr Levels deflate_levels = {1, 3, 5, 6, 7, 8, 9, 10, 12};
#else
constexpr Levels deflate_levels = {3, 4, 5, 6, 7, 8, 9, 9, 9};

constexpr int window_bits(Codec codec) { return codec == Codec::zlib ? MAX_WBITS : -MAX_WBITS; }
#endif

#if STELE_WITH_ZSTD
constexpr Levels zstd_levels = {3, 4, 5, 7, 9, 12, 15, 17, 19};
constexpr std::size_t magic_bytes = 4;
constexpr std::size_t trained_bytes = 32 << 10;

struct FreeCctx {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
};
struct FreeDctx {
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};
struct FreeCdict {
  void operator()(ZSTD_CDict* dictionary) const { ZSTD_freeCDict(dictionary); }
};
struct FreeDdict {
  void operator()(ZSTD_DDict* dictionary) const { ZSTD_freeDDict(dictionary); }
};
using Cdict = std::unique_ptr<ZSTD_CDict, FreeCdict>;

std::size_t checked(std::size_t result) {
  if (ZSTD_isError(result)) {
    fail(Errc::limit_exceeded, std::string("zstd cannot compress a text: ") + ZSTD_getErrorName(result));
  }
  return result;
}
#endif

#if !STELE_WITH_LIBDEFLATE || !STELE_WITH_ZSTD
[[noreturn]] [[maybe_unused]] void no_library(Codec codec) {
  fail(Errc::unknown_codec, "this build has no " + std::string(codec_name(codec)));
}
#endif

}  // namespace

std::string_view codec_name(Codec codec) noexcept {
  switch (codec) {
    case Codec::stored:
      return "stored";
    case Codec::deflate:
      return "deflate";
    case Codec::zstd:
      return "zstd";
    case Codec::entropy:
      return "entropy";
    case Codec::zlib:
      return "zlib";
  }
  return "?";
}

bool has_library(Codec codec) noexcept { return codec != Codec::zstd || STELE_WITH_ZSTD != 0; }

// ---- the dictionary ----

#if STELE_WITH_ZSTD

struct ZstdDictionary::Prepared {
  std::vector<std::byte> bytes;
  Cdict fastest;  // of level 1
  std::unique_ptr<ZSTD_DDict, FreeDdict> decoding;
};

ZstdDictionary::ZstdDictionary(std::vector<std::byte> bytes) : prepared_(std::make_unique<Prepared>()) {
  prepared_->bytes = std::move(bytes);
  const auto& kept = prepared_->bytes;
  if (ZDICT_getDictID(kept.data(), kept.size()) == 0) {
    fail(Errc::damaged, "no dictionary of Zstandard's");
  }
  prepared_->fastest.reset(ZSTD_createCDict(kept.data(), kept.size(), zstd_levels[0]));
  prepared_->decoding.reset(ZSTD_createDDict(kept.data(), kept.size()));
  if (prepared_->fastest == nullptr || prepared_->decoding == nullptr) {
    fail(Errc::damaged, "Zstandard does not take the dictionary");
  }
}

std::vector<std::byte> ZstdDictionary::train(Bytes samples, const std::vector<std::size_t>& sizes) {
  std::vector<std::byte> bytes(trained_bytes);
  const std::size_t size = ZDICT_trainFromBuffer(bytes.data(), bytes.size(), samples.data(), sizes.data(),
                                                 static_cast<unsigned>(sizes.size()));
  if (ZDICT_isError(size)) {
    fail(Errc::invalid_argument, std::string("too little to learn a dictionary from: ") + ZDICT_getErrorName(size));
  }
  bytes.resize(size);
  return bytes;
}

#else

struct ZstdDictionary::Prepared {};
ZstdDictionary::ZstdDictionary(std::vector<std::byte>) { no_library(Codec::zstd); }
std::vector<std::byte> ZstdDictionary::train(Bytes, const std::vector<std::size_t>&) { no_library(Codec::zstd); }

#endif

ZstdDictionary::~ZstdDictionary() = default;

// ---- compressing ----

struct Compressor::State {
#if STELE_WITH_LIBDEFLATE
  struct Free {
    void operator()(libdeflate_compressor* compressor) const { libdeflate_free_compressor(compressor); }
  };
  std::map<int, std::unique_ptr<libdeflate_compressor, Free>> deflate;  // by level
#endif
#if STELE_WITH_ZSTD
  std::unique_ptr<ZSTD_CCtx, FreeCctx> zstd;
  Cdict dictionary;  // of a level that ZstdDictionary has not prepared
  const ZstdDictionary* dictionary_of = nullptr;
  int dictionary_level = 0;
  std::vector<std::byte> frame;
#endif
};

Compressor::Compressor() : state_(std::make_unique<State>()) {}
Compressor::~Compressor() = default;

void Compressor::compress(Codec codec, Bytes plain, int level, [[maybe_unused]] Framing framing,
                          [[maybe_unused]] const ZstdDictionary* dictionary, std::vector<std::byte>& out) {
  const std::size_t before = out.size();
  if (codec == Codec::zstd) {
#if STELE_WITH_ZSTD
    if (state_->zstd == nullptr) {
      state_->zstd.reset(ZSTD_createCCtx());
      if (state_->zstd == nullptr) {
        no_memory();
      }
    }
    ZSTD_CCtx* const context = state_->zstd.get();
    checked(ZSTD_CCtx_reset(context, ZSTD_reset_session_and_parameters));
    checked(ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, framing == Framing::standard ? 1 : 0));
    checked(ZSTD_CCtx_setParameter(context, ZSTD_c_dictIDFlag, framing == Framing::standard ? 1 : 0));
    if (dictionary == nullptr) {
      checked(ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, level_of(zstd_levels, level)));
    } else if (level <= 1) {
      checked(ZSTD_CCtx_refCDict(context, dictionary->prepared_->fastest.get()));
    } else {
      if (state_->dictionary_of != dictionary || state_->dictionary_level != level) {
        const auto& bytes = dictionary->prepared_->bytes;
        state_->dictionary.reset(ZSTD_createCDict(bytes.data(), bytes.size(), level_of(zstd_levels, level)));
        if (state_->dictionary == nullptr) {
          no_memory();
        }
        state_->dictionary_of = dictionary;
        state_->dictionary_level = level;
      }
      checked(ZSTD_CCtx_refCDict(context, state_->dictionary.get()));
    }
    std::vector<std::byte>& frame = state_->frame;
    frame.resize(ZSTD_compressBound(plain.size()));
    const std::size_t size = checked(ZSTD_compress2(context, frame.data(), frame.size(), plain.data(), plain.size()));
    const std::size_t skipped = framing == Framing::lean ? magic_bytes : 0;
    out.insert(out.end(), frame.data() + skipped, frame.data() + size);
    return;
#else
    no_library(codec);
#endif
  }
#if STELE_WITH_LIBDEFLATE
  auto& compressor = state_->deflate[level];
  if (compressor == nullptr) {
    compressor.reset(libdeflate_alloc_compressor(level_of(deflate_levels, level)));
    if (compressor == nullptr) {
      no_memory();
    }
  }
  const bool zlib = codec == Codec::zlib;
  const auto bound = zlib ? libdeflate_zlib_compress_bound : libdeflate_deflate_compress_bound;
  const auto compress = zlib ? libdeflate_zlib_compress : libdeflate_deflate_compress;
  out.resize(before + bound(compressor.get(), plain.size()));
  const std::size_t size =
      compress(compressor.get(), plain.data(), plain.size(), out.data() + before, out.size() - before);
  if (size == 0) {
    no_memory();
  }
#else
  z_stream stream{};
  if (deflateInit2(&stream, level_of(deflate_levels, level), Z_DEFLATED, window_bits(codec), 8, Z_DEFAULT_STRATEGY) !=
      Z_OK) {
    no_memory();
  }
  out.resize(before + deflateBound(&stream, static_cast<uLong>(plain.size())));
  stream.next_in = reinterpret_cast<const Bytef*>(plain.data());
  stream.avail_in = static_cast<uInt>(plain.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data() + before);
  stream.avail_out = static_cast<uInt>(out.size() - before);
  const int result = deflate(&stream, Z_FINISH);
  const std::size_t size = out.size() - before - stream.avail_out;
  deflateEnd(&stream);
  if (result != Z_STREAM_END) {
    no_memory();
  }
#endif
  out.resize(before + size);
}

// ---- decompressing ----

struct Decompressor::State {
#if STELE_WITH_LIBDEFLATE
  struct Free {
    void operator()(libdeflate_decompressor* decompressor) const { libdeflate_free_decompressor(decompressor); }
  };
  std::unique_ptr<libdeflate_decompressor, Free> deflate;
#endif
#if STELE_WITH_ZSTD
  std::unique_ptr<ZSTD_DCtx, FreeDctx> zstd;
  std::vector<std::byte> frame;
#endif
  std::size_t last_size = 0;  // of decompress_whole(): the next one is probably alike

  /// What became of `plain` bytes of room.
  enum class Result : std::uint8_t { done, too_little_room, damaged };
  Result unpack(Codec codec, Bytes stored, const ZstdDictionary* dictionary, MutableBytes plain, std::size_t& size);
  Result inflate(Codec codec, Bytes stored, MutableBytes plain, std::size_t& size);
#if STELE_WITH_ZSTD
  std::size_t unzstd(Bytes frame_bytes, const ZstdDictionary* dictionary, MutableBytes plain) {
    if (zstd == nullptr) {
      zstd.reset(ZSTD_createDCtx());
      if (zstd == nullptr) {
        no_memory();
      }
    }
    return dictionary == nullptr
               ? ZSTD_decompressDCtx(zstd.get(), plain.data(), plain.size(), frame_bytes.data(), frame_bytes.size())
               : ZSTD_decompress_usingDDict(zstd.get(), plain.data(), plain.size(), frame_bytes.data(),
                                            frame_bytes.size(), dictionary->prepared_->decoding.get());
  }
#endif
};

Decompressor::State::Result Decompressor::State::inflate(Codec codec, Bytes stored, MutableBytes plain,
                                                         std::size_t& size) {
#if STELE_WITH_LIBDEFLATE
  if (deflate == nullptr) {
    deflate.reset(libdeflate_alloc_decompressor());
    if (deflate == nullptr) {
      no_memory();
    }
  }
  std::size_t used = 0;
  const auto decompress = codec == Codec::zlib ? libdeflate_zlib_decompress_ex : libdeflate_deflate_decompress_ex;
  const libdeflate_result result =
      decompress(deflate.get(), stored.data(), stored.size(), plain.data(), plain.size(), &used, &size);
  if (result == LIBDEFLATE_INSUFFICIENT_SPACE) {
    return Result::too_little_room;
  }
  return result == LIBDEFLATE_SUCCESS && used == stored.size() ? Result::done : Result::damaged;
#else
  z_stream stream{};
  stream.next_in = reinterpret_cast<const Bytef*>(stored.data());
  stream.avail_in = static_cast<uInt>(stored.size());
  if (inflateInit2(&stream, window_bits(codec)) != Z_OK) {
    no_memory();
  }
  std::byte none{};
  stream.next_out = reinterpret_cast<Bytef*>(plain.empty() ? &none : plain.data());
  stream.avail_out = static_cast<uInt>(plain.size());
  const int result = ::inflate(&stream, Z_FINISH);
  size = plain.size() - stream.avail_out;
  const bool all_used = stream.avail_in == 0;
  const bool full = stream.avail_out == 0;
  inflateEnd(&stream);
  if (result == Z_STREAM_END) {
    return all_used ? Result::done : Result::damaged;
  }
  return (result == Z_BUF_ERROR || result == Z_OK) && full ? Result::too_little_room : Result::damaged;
#endif
}

Decompressor::State::Result Decompressor::State::unpack(Codec codec, Bytes stored,
                                                        [[maybe_unused]] const ZstdDictionary* dictionary,
                                                        MutableBytes plain, std::size_t& size) {
  if (codec != Codec::zstd) {
    return inflate(codec, stored, plain, size);
  }
#if STELE_WITH_ZSTD
  size = unzstd(stored, dictionary, plain);
  if (!ZSTD_isError(size)) {
    return Result::done;
  }
  return ZSTD_getErrorCode(size) == ZSTD_error_dstSize_tooSmall ? Result::too_little_room : Result::damaged;
#else
  no_library(codec);
#endif
}

Decompressor::Decompressor() : state_(std::make_unique<State>()) {}
Decompressor::~Decompressor() = default;

bool Decompressor::decompress(Codec codec, Bytes stored, [[maybe_unused]] const ZstdDictionary* dictionary,
                              MutableBytes plain) {
  if (codec == Codec::zstd) {
#if STELE_WITH_ZSTD
    std::vector<std::byte>& frame = state_->frame;
    frame.resize(magic_bytes);
    store_le<std::uint32_t>(frame.data(), ZSTD_MAGICNUMBER);
    frame.insert(frame.end(), stored.begin(), stored.end());
    return state_->unzstd(frame, dictionary, plain) == plain.size();
#else
    no_library(codec);
#endif
  }
  std::size_t size = 0;
  return state_->inflate(codec, stored, plain, size) == State::Result::done && size == plain.size();
}

void Decompressor::decompress_whole(Codec codec, Bytes stored, const ZstdDictionary* dictionary, std::uint64_t most,
                                    std::vector<std::byte>& plain) {
  const auto damaged = [&] {
    fail(Errc::damaged, "the bytes are not what " + std::string(codec_name(codec)) + " makes");
  };
  const auto too_large = [&] {
    fail(Errc::limit_exceeded,
         "the text becomes more than the " + std::to_string(most) + " bytes of TextOptions::max_bytes");
  };
  std::uint64_t room = std::max<std::uint64_t>(state_->last_size, 4 * std::uint64_t{stored.size()} + 64);
  for (;; room *= 4) {
    room = std::min(room, most);
    plain.resize(static_cast<std::size_t>(room));
    std::size_t size = 0;
    switch (state_->unpack(codec, stored, dictionary, plain, size)) {
      case State::Result::done:
        plain.resize(size);
        state_->last_size = size;
        return;
      case State::Result::too_little_room:
        if (room == most) {
          too_large();
        }
        break;
      case State::Result::damaged:
        damaged();
    }
  }
}

}  // namespace stele::state_text

#include "services/text/codec.hpp"

#define ZLIB_CONST
#include <zlib.h>

#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <string>

#include "base/bytes.hpp"
#include "services/text/frozen.hpp"

#if STELE_WITH_LIBDEFLATE
#include <libdeflate.h>
#endif
#if STELE_WITH_ZSTD
#include <zdict.h>
#include <zstd.h>
#include <zstd_errors.h>
#endif

namespace stele {
namespace {

[[noreturn]] void no_memory() { fail(Errc::limit_exceeded, "no memory to compress or decompress a text"); }
[[noreturn]] [[maybe_unused]] void no_zstd() {
  fail(Errc::unknown_codec, "dictionaries of texts need zstd, which this build lacks");
}

/// A library's object with its function that frees it.
template <auto Free>
struct Freed {
  template <class T>
  void operator()(T* object) const {
    Free(object);
  }
};
template <class T, auto Free>
using Owned = std::unique_ptr<T, Freed<Free>>;

/// The levels of a library for the levels 1 to 9.
using Levels = std::array<int, 9>;
[[maybe_unused]] int level_of(const Levels& levels, int level) { return levels[static_cast<std::size_t>(level - 1)]; }

#if STELE_WITH_ZSTD
constexpr Levels zstd_levels = {3, 4, 5, 7, 9, 12, 15, 17, 19};

std::size_t checked(std::size_t result) {
  if (ZSTD_isError(result)) {
    fail(Errc::limit_exceeded, std::string("zstd cannot compress a text: ") + ZSTD_getErrorName(result));
  }
  return result;
}
#endif

}  // namespace

// ---- dictionaries ----

struct TextDictionary::State {
  std::vector<std::byte> bytes;
  std::uint32_t id = 0;
#if STELE_WITH_ZSTD
  Owned<ZSTD_CDict, ZSTD_freeCDict> quick;  // of level 1
  Owned<ZSTD_DDict, ZSTD_freeDDict> decoding;
#endif
};

TextDictionary::TextDictionary([[maybe_unused]] std::vector<std::byte> bytes) {
#if STELE_WITH_ZSTD
  const auto state = std::make_shared<State>();
  state->bytes = std::move(bytes);
  state->id = ZDICT_getDictID(state->bytes.data(), state->bytes.size());
  if (state->id == 0) {
    fail(Errc::damaged, "no dictionary of Zstandard's");
  }
  state->quick.reset(ZSTD_createCDict(state->bytes.data(), state->bytes.size(), zstd_levels[0]));
  state->decoding.reset(ZSTD_createDDict(state->bytes.data(), state->bytes.size()));
  if (state->quick == nullptr || state->decoding == nullptr) {
    fail(Errc::damaged, "Zstandard does not take the dictionary");
  }
  state_ = state;
#else
  no_zstd();
#endif
}

std::uint32_t TextDictionary::id() const noexcept { return state_ == nullptr ? 0 : state_->id; }
Bytes TextDictionary::bytes() const noexcept { return state_ == nullptr ? Bytes() : Bytes(state_->bytes); }

namespace state_text {

std::vector<std::byte> train_dictionary([[maybe_unused]] Bytes samples,
                                        [[maybe_unused]] const std::vector<std::size_t>& sizes) {
#if STELE_WITH_ZSTD
  constexpr std::size_t most = std::size_t{32} << 10;
  std::vector<std::byte> bytes(most);
  const std::size_t size = ZDICT_trainFromBuffer(bytes.data(), bytes.size(), samples.data(), sizes.data(),
                                                 static_cast<unsigned>(sizes.size()));
  if (ZDICT_isError(size)) {
    fail(Errc::invalid_argument, std::string("too little to learn a dictionary from: ") + ZDICT_getErrorName(size));
  }
  bytes.resize(size);
  return bytes;
#else
  no_zstd();
#endif
}

std::uint32_t crc_of(Bytes bytes) noexcept {
  return static_cast<std::uint32_t>(crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

// ---- compressing ----

namespace {

/// Whether so many bytes are as the one before them that runs are worth their codes.
bool has_runs(Bytes bytes) {
  std::size_t repeated = 0;
  for (std::size_t i = 1; i < bytes.size(); ++i) {
    repeated += bytes[i] == bytes[i - 1];
  }
  return repeated > bytes.size() / 4 * 3;
}

}  // namespace

struct Compressor::State {
  State(int level_wanted, const TextDictionary::State* with) : level(level_wanted), dictionary(with) {}
  ~State() {
    if (zlib_ready) {
      deflateEnd(&zlib);
    }
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  MutableBytes quick(Bytes plain, int zlib_level, int strategy);
  MutableBytes thorough(Bytes plain);
  MutableBytes with_dictionary(Bytes plain);
  /// Leaves room for the checksum after it.
  static MutableBytes room(std::vector<std::byte>& buffer, std::size_t size) {
    if (buffer.size() < size + text_frozen::checksum_bytes) {
      buffer.resize(size + text_frozen::checksum_bytes);
    }
    return buffer;
  }

  int level;
  const TextDictionary::State* dictionary;
  z_stream zlib{};
  bool zlib_ready = false;
  std::vector<std::byte> quick_bytes;
#if STELE_WITH_LIBDEFLATE
  Owned<libdeflate_compressor, libdeflate_free_compressor> libdeflate;
#endif
#if STELE_WITH_ZSTD
  Owned<ZSTD_CCtx, ZSTD_freeCCtx> zstd;
#endif
  std::vector<std::byte> thorough_bytes;
};

/// By zlib, whose strategies without a search for what repeats take the least time and are good for counters.
MutableBytes Compressor::State::quick(Bytes plain, int zlib_level, int strategy) {
  constexpr int window_bits = 12;  // small tables are ready soon
  constexpr int memory_level = 6;
  if (!zlib_ready) {
    if (deflateInit2(&zlib, zlib_level, Z_DEFLATED, window_bits, memory_level, strategy) != Z_OK) {
      no_memory();
    }
    zlib_ready = true;
  } else {
    deflateReset(&zlib);
    deflateParams(&zlib, zlib_level, strategy);
  }
  if (plain.size() > std::numeric_limits<uInt>::max() / 2) {
    fail(Errc::limit_exceeded, message({"a text of ", plain.size(), " bytes"}));
  }
  const MutableBytes out = room(quick_bytes, deflateBound(&zlib, static_cast<uLong>(plain.size())));
  zlib.next_in = reinterpret_cast<const Bytef*>(plain.data());
  zlib.avail_in = static_cast<uInt>(plain.size());
  zlib.next_out = reinterpret_cast<Bytef*>(out.data());
  zlib.avail_out = static_cast<uInt>(out.size());
  if (deflate(&zlib, Z_FINISH) != Z_STREAM_END) {
    no_memory();
  }
  return out.first(out.size() - zlib.avail_out);
}

MutableBytes Compressor::State::thorough(Bytes plain) {
#if STELE_WITH_LIBDEFLATE
  constexpr Levels levels = {1, 3, 5, 6, 7, 8, 9, 10, 12};
  if (libdeflate == nullptr) {
    libdeflate.reset(libdeflate_alloc_compressor(level_of(levels, level)));
    if (libdeflate == nullptr) {
      no_memory();
    }
  }
  const MutableBytes out = room(thorough_bytes, libdeflate_zlib_compress_bound(libdeflate.get(), plain.size()));
  return out.first(libdeflate_zlib_compress(libdeflate.get(), plain.data(), plain.size(), out.data(), out.size()));
#else
  const Bytes made = quick(plain, level, Z_DEFAULT_STRATEGY);
  const MutableBytes out = room(thorough_bytes, made.size());
  std::copy(made.begin(), made.end(), out.begin());
  return out.first(made.size());
#endif
}

MutableBytes Compressor::State::with_dictionary([[maybe_unused]] Bytes plain) {
#if STELE_WITH_ZSTD
  if (zstd == nullptr) {
    zstd.reset(ZSTD_createCCtx());
    if (zstd == nullptr) {
      no_memory();
    }
    if (level == 1) {
      checked(ZSTD_CCtx_refCDict(zstd.get(), dictionary->quick.get()));
    } else {
      checked(ZSTD_CCtx_setParameter(zstd.get(), ZSTD_c_compressionLevel, level_of(zstd_levels, level)));
      checked(ZSTD_CCtx_loadDictionary(zstd.get(), dictionary->bytes.data(), dictionary->bytes.size()));
    }
  }
  const MutableBytes out = room(thorough_bytes, ZSTD_compressBound(plain.size()));
  return out.first(checked(ZSTD_compress2(zstd.get(), out.data(), out.size(), plain.data(), plain.size())));
#else
  no_zstd();
#endif
}

Compressor::Compressor(int level, const TextDictionary::State* dictionary)
    : state_(std::make_unique<State>(level, dictionary)) {}
Compressor::~Compressor() = default;

Bytes Compressor::compress(Bytes plain, bool counters, bool sealed) {
  State& state = *state_;
  MutableBytes best;
  if (state.dictionary != nullptr) {
    best = state.with_dictionary(plain);
  } else if (state.level > 1 || !counters) {
    best = state.thorough(plain);
  }
  if (counters) {  // may be better off without a search for what repeats
    const MutableBytes quick = state.quick(plain, 1, has_runs(plain) ? Z_RLE : Z_HUFFMAN_ONLY);
    best = best.empty() || quick.size() <= best.size() ? quick : best;
  }
  if (sealed) {
    store_le<std::uint32_t>(best.data() + best.size(), crc_of(best));
    best = {best.data(), best.size() + text_frozen::checksum_bytes};
  }
  return best;
}

// ---- decompressing ----

struct Decompressor::State {
  explicit State(const TextDictionary::State* with) : dictionary(with) {}
  ~State() {
    if (zlib_ready) {
      inflateEnd(&zlib);
    }
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  std::optional<std::size_t> inflate_at_once(Bytes stored, std::uint64_t most, std::vector<std::byte>& plain);
  std::size_t inflate(Bytes stored, std::uint64_t most, std::vector<std::byte>& plain);
  std::size_t unzstd(Bytes stored, std::uint64_t most, std::vector<std::byte>& plain);

  const TextDictionary::State* dictionary;
  z_stream zlib{};
  bool zlib_ready = false;
#if STELE_WITH_LIBDEFLATE
  Owned<libdeflate_decompressor, libdeflate_free_decompressor> libdeflate;
#endif
#if STELE_WITH_ZSTD
  Owned<ZSTD_DCtx, ZSTD_freeDCtx> zstd;
#endif
};

namespace {

[[noreturn]] void too_large() {
  fail(Errc::limit_exceeded, "the text becomes more bytes than TextLoadOptions::max_bytes allows");
}
bool is_zstd(Bytes stored) noexcept {
  return stored.size() >= 4 && load_le<std::uint32_t>(stored.data()) == 0xfd2fb528;
}

}  // namespace

bool Decompressor::is_stream(Bytes stored) noexcept {
  return is_zstd(stored) || (stored.size() >= 2 && (std::to_integer<unsigned>(stored[0]) & 0x0f) == Z_DEFLATED &&
                             load_be<std::uint16_t>(stored.data()) % 31 == 0);
}

/// Decompresses a small stream with libdeflate, in half of zlib's time. Returns nothing if the stream is invalid or
/// needs more room: zlib then explains the error or makes room step by step.
std::optional<std::size_t> Decompressor::State::inflate_at_once([[maybe_unused]] Bytes stored,
                                                                [[maybe_unused]] std::uint64_t most,
                                                                [[maybe_unused]] std::vector<std::byte>& plain) {
#if STELE_WITH_LIBDEFLATE
  constexpr std::size_t small = std::size_t{64} << 10;
  if (stored.size() > small) {
    return std::nullopt;
  }
  if (libdeflate == nullptr) {
    libdeflate.reset(libdeflate_alloc_decompressor());
    if (libdeflate == nullptr) {
      no_memory();
    }
  }
  const std::uint64_t room = std::max<std::uint64_t>(plain.size(), 8 * std::uint64_t{stored.size()} + 64);
  plain.resize(static_cast<std::size_t>(std::min(room, most)));
  std::size_t used = 0;
  std::size_t size = 0;
  if (libdeflate_zlib_decompress_ex(libdeflate.get(), stored.data(), stored.size(), plain.data(), plain.size(), &used,
                                    &size) == LIBDEFLATE_SUCCESS) {
    plain.resize(size);
    return used;
  }
#endif
  return std::nullopt;
}

/// What was inflated grows as it comes.
std::size_t Decompressor::State::inflate(Bytes stored, std::uint64_t most, std::vector<std::byte>& plain) {
  if (const auto used = inflate_at_once(stored, most, plain)) {
    return *used;
  }
  if ((zlib_ready ? inflateReset(&zlib) : inflateInit(&zlib)) != Z_OK) {
    no_memory();
  }
  zlib_ready = true;
  zlib.next_in = reinterpret_cast<const Bytef*>(stored.data());
  zlib.avail_in = static_cast<uInt>(std::min<std::size_t>(stored.size(), std::numeric_limits<uInt>::max()));
  std::uint64_t room = std::max<std::uint64_t>(plain.size(), 4 * std::uint64_t{stored.size()} + 64);
  std::size_t size = 0;
  for (;; room *= 4) {
    room = std::min(room, most);
    plain.resize(static_cast<std::size_t>(room));
    zlib.next_out = reinterpret_cast<Bytef*>(plain.data() + size);
    zlib.avail_out = static_cast<uInt>(std::min<std::uint64_t>(room - size, std::numeric_limits<uInt>::max()));
    const int result = ::inflate(&zlib, Z_NO_FLUSH);
    size = static_cast<std::size_t>(reinterpret_cast<std::byte*>(zlib.next_out) - plain.data());
    if (result == Z_STREAM_END) {
      plain.resize(size);
      return stored.size() - zlib.avail_in;
    }
    if (result != Z_OK && result != Z_BUF_ERROR) {
      fail(Errc::damaged, "the compressed bytes of the text are damaged");
    }
    if (zlib.avail_out != 0) {
      fail(Errc::truncated, "the compressed bytes of the text end too early");
    }
    if (room == most) {
      too_large();
    }
  }
}

std::size_t Decompressor::State::unzstd([[maybe_unused]] Bytes stored, [[maybe_unused]] std::uint64_t most,
                                        [[maybe_unused]] std::vector<std::byte>& plain) {
#if STELE_WITH_ZSTD
  const auto check = [](std::size_t result) {
    if (ZSTD_isError(result)) {
      const bool cut = ZSTD_getErrorCode(result) == ZSTD_error_srcSize_wrong;
      fail(cut ? Errc::truncated : Errc::damaged,
           std::string("the compressed bytes of the text: ") + ZSTD_getErrorName(result));
    }
    return result;
  };
  const std::uint32_t needed = ZSTD_getDictID_fromFrame(stored.data(), stored.size());
  const std::uint32_t own = dictionary == nullptr ? 0 : dictionary->id;
  if (needed != 0 && needed != own) {
    fail(Errc::invalid_argument,
         message({"the text was made with the dictionary ", needed, "; TextLoadOptions::dictionary is ",
                  own == 0 ? "none" : std::to_string(own)}));
  }
  const std::size_t frame = check(ZSTD_findFrameCompressedSize(stored.data(), stored.size()));
  constexpr std::uint64_t block = std::uint64_t{128} << 10;  // takes at least four bytes
  const std::uint64_t size = ZSTD_getFrameContentSize(stored.data(), frame);
  if (size == ZSTD_CONTENTSIZE_UNKNOWN || size > frame / 4 * block) {
    fail(Errc::damaged, "the compressed bytes of the text do not say how many they become, or too many");
  }
  if (size > most) {
    too_large();
  }
  if (zstd == nullptr) {
    zstd.reset(ZSTD_createDCtx());
    if (zstd == nullptr) {
      no_memory();
    }
  }
  plain.resize(static_cast<std::size_t>(size));
  check(ZSTD_decompress_usingDDict(zstd.get(), plain.data(), plain.size(), stored.data(), frame,
                                   needed == 0 ? nullptr : dictionary->decoding.get()));
  return frame;
#else
  no_zstd();
#endif
}

Decompressor::Decompressor(const TextDictionary::State* dictionary) : state_(std::make_unique<State>(dictionary)) {}
Decompressor::~Decompressor() = default;

std::size_t Decompressor::decompress(Bytes stored, std::uint64_t most, std::vector<std::byte>& plain) {
  return is_zstd(stored) ? state_->unzstd(stored, most, plain) : state_->inflate(stored, most, plain);
}

}  // namespace state_text
}  // namespace stele

#include "codec/formats/deflate.hpp"

#define ZLIB_CONST
#include <zlib.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "stele/error.hpp"

#if STELE_WITH_LIBDEFLATE
#include <libdeflate.h>
#endif
#if STELE_WITH_ISAL
#include <isa-l.h>
#endif

namespace stele {
namespace {

[[noreturn]] void no_memory() { fail(Errc::limit_exceeded, "deflate: no memory for a compressor or decompressor"); }

constexpr std::size_t most_at_once = std::size_t{1} << 30;

const Bytef* zlib_bytes(Bytes bytes) { return reinterpret_cast<const Bytef*>(bytes.data()); }

// ---- compressing ----

class ZlibDeflate final : public Deflate {
 public:
  ZlibDeflate(int level, DeflateEnd end) : end_(end) {
    if (deflateInit2(&stream_, level, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
      no_memory();
    }
  }
  ~ZlibDeflate() override { deflateEnd(&stream_); }

  std::size_t bound(std::size_t plain_size) override {
    constexpr std::size_t flush_size = 16;  // the remaining bits, and the empty block of the flush
    return deflateBound(&stream_, static_cast<uLong>(plain_size)) + flush_size;
  }
  std::size_t operator()(Bytes plain, MutableBytes into) override {
    deflateReset(&stream_);
    stream_.next_in = zlib_bytes(plain);
    stream_.avail_in = static_cast<uInt>(plain.size());
    stream_.next_out = reinterpret_cast<Bytef*>(into.data());
    stream_.avail_out = static_cast<uInt>(into.size());
    const bool flush = end_ == DeflateEnd::full_flush;
    const int result = deflate(&stream_, flush ? Z_FULL_FLUSH : Z_FINISH);
    if (result != (flush ? Z_OK : Z_STREAM_END) || stream_.avail_in > 0 || (flush && stream_.avail_out == 0)) {
      fail(Errc::io, "zlib cannot compress a block");
    }
    return into.size() - stream_.avail_out;
  }

 private:
  const DeflateEnd end_;
  z_stream stream_{};
};

#if STELE_WITH_LIBDEFLATE
/// Whole streams only: libdeflate has no flush.
class LibDeflate final : public Deflate {
 public:
  explicit LibDeflate(int level) : compressor_(libdeflate_alloc_compressor(level)) {
    if (compressor_ == nullptr) {
      no_memory();
    }
  }
  ~LibDeflate() override { libdeflate_free_compressor(compressor_); }

  std::size_t bound(std::size_t plain_size) override {
    return libdeflate_deflate_compress_bound(compressor_, plain_size);
  }
  std::size_t operator()(Bytes plain, MutableBytes into) override {
    const std::size_t size =
        libdeflate_deflate_compress(compressor_, plain.data(), plain.size(), into.data(), into.size());
    if (size == 0) {
      fail(Errc::io, "libdeflate cannot compress a block");
    }
    return size;
  }

 private:
  libdeflate_compressor* const compressor_;
};
#endif

#if STELE_WITH_ISAL
class IsalDeflate final : public Deflate {
 public:
  IsalDeflate(int level, DeflateEnd end) : level_(static_cast<std::uint32_t>(level)), end_(end) {
    constexpr std::uint32_t sizes[] = {ISAL_DEF_LVL0_DEFAULT, ISAL_DEF_LVL1_DEFAULT, ISAL_DEF_LVL2_DEFAULT,
                                       ISAL_DEF_LVL3_DEFAULT};
    buffer_.resize(sizes[level_]);
  }

  std::size_t bound(std::size_t plain_size) override {
    constexpr std::size_t stored_block = 65535;  // the largest stored block of deflate; it takes 5 bytes more
    return plain_size + 5 * (plain_size / stored_block + 1) + 64;
  }
  std::size_t operator()(Bytes plain, MutableBytes into) override {
    isal_deflate_stateless_init(&stream_);
    stream_.level = level_;
    stream_.level_buf = buffer_.data();
    stream_.level_buf_size = static_cast<std::uint32_t>(buffer_.size());
    stream_.flush = end_ == DeflateEnd::full_flush ? FULL_FLUSH : NO_FLUSH;
    stream_.end_of_stream = end_ == DeflateEnd::full_flush ? 0 : 1;
    // ISA-L does not write through next_in.
    stream_.next_in = const_cast<std::uint8_t*>(reinterpret_cast<const std::uint8_t*>(plain.data()));
    stream_.avail_in = static_cast<std::uint32_t>(plain.size());
    stream_.next_out = reinterpret_cast<std::uint8_t*>(into.data());
    stream_.avail_out = static_cast<std::uint32_t>(into.size());
    if (isal_deflate_stateless(&stream_) != COMP_OK || stream_.avail_in > 0) {
      fail(Errc::io, "ISA-L cannot compress a block");
    }
    return into.size() - stream_.avail_out;
  }

 private:
  const std::uint32_t level_;
  const DeflateEnd end_;
  isal_zstream stream_{};
  std::vector<std::uint8_t> buffer_;
};
#endif

// ---- decompressing ----

#if STELE_WITH_LIBDEFLATE
class BlockInflate final : public Inflate {
 public:
  explicit BlockInflate(Format format) : format_(format), decompressor_(libdeflate_alloc_decompressor()) {
    if (decompressor_ == nullptr) {
      no_memory();
    }
  }
  ~BlockInflate() override { libdeflate_free_decompressor(decompressor_); }

  bool operator()(Bytes stored, MutableBytes plain) override {
    const auto decompress = format_ == Format::gzip ? libdeflate_gzip_decompress_ex : libdeflate_deflate_decompress_ex;
    std::size_t used = 0;
    return decompress(decompressor_, stored.data(), stored.size(), plain.data(), plain.size(), &used, nullptr) ==
               LIBDEFLATE_SUCCESS &&
           used == stored.size();
  }

 private:
  const Format format_;
  libdeflate_decompressor* const decompressor_;
};
#else
class BlockInflate final : public Inflate {
 public:
  explicit BlockInflate(Format format) {
    if (inflateInit2(&stream_, format == Format::gzip ? 16 + MAX_WBITS : -MAX_WBITS) != Z_OK) {
      no_memory();
    }
  }
  ~BlockInflate() override { inflateEnd(&stream_); }

  bool operator()(Bytes stored, MutableBytes plain) override {
    if (stored.size() > std::numeric_limits<uInt>::max() || plain.size() > std::numeric_limits<uInt>::max()) {
      return false;
    }
    inflateReset(&stream_);
    Bytef none = 0;  // zlib does not accept a null pointer
    stream_.next_in = zlib_bytes(stored);
    stream_.avail_in = static_cast<uInt>(stored.size());
    stream_.next_out = plain.empty() ? &none : reinterpret_cast<Bytef*>(plain.data());
    stream_.avail_out = static_cast<uInt>(plain.size());
    return inflate(&stream_, Z_FINISH) == Z_STREAM_END && stream_.avail_in == 0 && stream_.avail_out == 0;
  }

 private:
  z_stream stream_{};
};
#endif

}  // namespace

std::uint32_t crc32_of(std::uint32_t crc, Bytes bytes) {
  if (bytes.empty()) {
    return crc;
  }
#if STELE_WITH_LIBDEFLATE
  return libdeflate_crc32(crc, bytes.data(), bytes.size());
#else
  return static_cast<std::uint32_t>(crc32_z(crc, zlib_bytes(bytes), bytes.size()));
#endif
}

std::uint32_t adler32_of(std::uint32_t adler, Bytes bytes) {
  if (bytes.empty()) {
    return adler;
  }
#if STELE_WITH_LIBDEFLATE
  return libdeflate_adler32(adler, bytes.data(), bytes.size());
#else
  return static_cast<std::uint32_t>(adler32_z(adler, zlib_bytes(bytes), bytes.size()));
#endif
}

std::uint32_t adler32_of_both(std::uint32_t first, std::uint32_t second, std::uint64_t size) {
  constexpr std::uint64_t base = 65521;  // the checksum depends only on the size modulo this
  return static_cast<std::uint32_t>(adler32_combine(first, second, static_cast<z_off_t>(size % base)));
}

std::uint32_t crc32_of_both(std::uint32_t first, std::uint32_t second, std::uint64_t size) {
  return static_cast<std::uint32_t>(crc32_combine(first, second, static_cast<z_off_t>(size)));
}

LevelRange deflate_levels(DeflateEnd end) noexcept {
  if (end == DeflateEnd::final_block && STELE_WITH_LIBDEFLATE) {
    return {.lowest = 1, .highest = 12, .standard = 3};
  }
  return {.lowest = 1, .highest = 9, .standard = 3};
}

std::unique_ptr<Deflate> make_deflate(int level, DeflateEnd end) {
#if STELE_WITH_ISAL
  if (level <= 3) {
    return std::make_unique<IsalDeflate>(level, end);
  }
#endif
#if STELE_WITH_LIBDEFLATE
  if (end == DeflateEnd::final_block) {
    return std::make_unique<LibDeflate>(level);
  }
#endif
  return std::make_unique<ZlibDeflate>(level, end);
}

std::unique_ptr<Inflate> make_inflate(Inflate::Format format) { return std::make_unique<BlockInflate>(format); }

#if STELE_WITH_ISAL
struct StreamInflate::Library {
  inflate_state state{};
  int result = ISAL_DECOMP_OK;
};

StreamInflate::StreamInflate() : library_(std::make_unique<Library>()) { isal_inflate_init(&library_->state); }
StreamInflate::~StreamInflate() = default;

void StreamInflate::begin() {
  isal_inflate_reset(&library_->state);
  library_->result = ISAL_DECOMP_OK;
  starved_ = true;
  ended_ = false;
}

std::optional<StreamInflate::Step> StreamInflate::operator()(Bytes stored, MutableBytes into) {
  inflate_state& state = library_->state;
  stored = stored.first(std::min(stored.size(), most_at_once));
  into = into.first(std::min(into.size(), most_at_once));
  state.next_in = const_cast<std::uint8_t*>(reinterpret_cast<const std::uint8_t*>(stored.data()));  // only read
  state.avail_in = static_cast<std::uint32_t>(stored.size());
  state.next_out = reinterpret_cast<std::uint8_t*>(into.data());
  state.avail_out = static_cast<std::uint32_t>(into.size());
  library_->result = isal_inflate(&state);
  if (library_->result < 0) {
    return std::nullopt;
  }
  Step step{.used = stored.size() - state.avail_in, .made = into.size() - state.avail_out};
  ended_ = state.block_state == ISAL_BLOCK_FINISH;
  starved_ = !ended_ && state.avail_in == 0 && state.avail_out > 0;
  if (ended_) {
    // It holds bits of up to eight bytes.
    const auto unused = static_cast<std::size_t>(std::max(state.read_in_length, 0) / 8);
    const std::size_t of_these = std::min(unused, step.used);
    step.used -= of_these;
    step.unused = unused - of_these;
  } else if (step.used == 0 && step.made == 0 && !starved_) {
    return std::nullopt;
  }
  return step;
}

bool StreamInflate::between_blocks() const noexcept {
  const inflate_state& state = library_->state;
  const bool before_header = state.block_state == ISAL_BLOCK_NEW_HDR || state.block_state == ISAL_BLOCK_HDR;
  return before_header && state.read_in_length == 0 && state.tmp_in_size == 0;
}

std::string StreamInflate::error() const {
  switch (library_->result) {
    case ISAL_INVALID_BLOCK:
      return "invalid deflate block";
    case ISAL_INVALID_SYMBOL:
      return "invalid code";
    case ISAL_INVALID_LOOKBACK:
      return "invalid distance too far back";
    default:
      return "not a deflate stream";
  }
}
#else
struct StreamInflate::Library {
  z_stream stream{};
};

StreamInflate::StreamInflate() : library_(std::make_unique<Library>()) {
  if (inflateInit2(&library_->stream, -MAX_WBITS) != Z_OK) {
    no_memory();
  }
}

StreamInflate::~StreamInflate() { inflateEnd(&library_->stream); }

void StreamInflate::begin() {
  inflateReset(&library_->stream);
  starved_ = true;
  ended_ = false;
}

std::optional<StreamInflate::Step> StreamInflate::operator()(Bytes stored, MutableBytes into) {
  z_stream& stream = library_->stream;
  stored = stored.first(std::min(stored.size(), most_at_once));
  into = into.first(std::min(into.size(), most_at_once));
  stream.next_in = zlib_bytes(stored);
  stream.avail_in = static_cast<uInt>(stored.size());
  stream.next_out = reinterpret_cast<Bytef*>(into.data());
  stream.avail_out = static_cast<uInt>(into.size());
  const int result = ::inflate(&stream, Z_NO_FLUSH);
  if (result != Z_OK && result != Z_BUF_ERROR && result != Z_STREAM_END) {
    return std::nullopt;
  }
  const Step step{.used = stored.size() - stream.avail_in, .made = into.size() - stream.avail_out};
  ended_ = result == Z_STREAM_END;
  starved_ = !ended_ && stream.avail_in == 0 && stream.avail_out > 0;
  if (step.made == 0 && step.used == 0 && !ended_ && !starved_) {
    return std::nullopt;
  }
  return step;
}

bool StreamInflate::between_blocks() const noexcept {
  constexpr int just_ended = 128;
  constexpr int in_last = 64;
  constexpr int bits_left = 7;
  return (library_->stream.data_type & (just_ended | in_last | bits_left)) == just_ended;
}

std::string StreamInflate::error() const {
  return library_->stream.msg != nullptr ? library_->stream.msg : "not a deflate stream";
}
#endif

std::string deflate_libraries() {
  std::string text;
#if STELE_WITH_ISAL
  text += "ISA-L " + std::to_string(ISAL_MAJOR_VERSION) + "." + std::to_string(ISAL_MINOR_VERSION) + "." +
          std::to_string(ISAL_PATCH_VERSION) + ", ";
#endif
#if STELE_WITH_LIBDEFLATE
  text += std::string("libdeflate ") + LIBDEFLATE_VERSION_STRING + ", ";
#endif
  return text + "zlib " + zlibVersion();
}

}  // namespace stele

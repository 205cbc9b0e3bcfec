// gzip, RFC 1952. Files of stele are members of one block each, with this subfield in FEXTRA:
//
//   'S' 't'  u16 8  u32 size of the whole member  u32 size of the plain block          (all little-endian)
//
// so that a reader finds every member by walking the headers, while any gunzip reads the file.

#define ZLIB_CONST
#include <zlib.h>

#include <algorithm>
#include <array>
#include <limits>
#include <memory>
#include <string>

#include "base/bytes.hpp"
#include "codec/builtin.hpp"
#include "codec/stored.hpp"
#include "stele/error.hpp"

#if STELE_WITH_LIBDEFLATE
#include <libdeflate.h>
#endif

namespace stele {
namespace {

constexpr auto flag_header_crc = std::byte{0x02};
constexpr auto flag_extra = std::byte{0x04};
constexpr auto flag_name = std::byte{0x08};
constexpr auto flag_comment = std::byte{0x10};
constexpr auto flags_reserved = std::byte{0xe0};

constexpr std::size_t fixed_size = 10;   // of a header, up to the optional fields
constexpr std::size_t header_size = 24;  // of a member of stele's
constexpr std::size_t trailer_size = 8;
constexpr std::size_t max_block = std::size_t{1} << 30;
constexpr std::uint64_t max_expansion = 1100;  // deflate reaches 1032

// ---- whole blocks: libdeflate, or zlib in its place ----

#if STELE_WITH_LIBDEFLATE

constexpr LevelRange level_range{.lowest = 1, .highest = 12, .standard = 6};

std::uint32_t crc32_of(std::uint32_t crc, Bytes bytes) {
  return bytes.empty() ? crc : libdeflate_crc32(crc, bytes.data(), bytes.size());
}

/// Compresses a block to one deflate stream.
class Deflate {
 public:
  explicit Deflate(int level) : compressor_(libdeflate_alloc_compressor(level)) {
    if (compressor_ == nullptr) {
      fail(Errc::limit_exceeded, "gzip: no memory for a compressor");
    }
  }
  Deflate(const Deflate&) = delete;
  Deflate& operator=(const Deflate&) = delete;
  ~Deflate() { libdeflate_free_compressor(compressor_); }

  std::size_t bound(std::size_t plain_size) { return libdeflate_deflate_compress_bound(compressor_, plain_size); }
  /// Returns the size of the stream, or 0 where it does not fit.
  std::size_t operator()(Bytes plain, MutableBytes into) {
    return libdeflate_deflate_compress(compressor_, plain.data(), plain.size(), into.data(), into.size());
  }

 private:
  libdeflate_compressor* compressor_;
};

/// Decompresses a member.
class Gunzip {
 public:
  Gunzip() : decompressor_(libdeflate_alloc_decompressor()) {
    if (decompressor_ == nullptr) {
      fail(Errc::limit_exceeded, "gzip: no memory for a decompressor");
    }
  }
  Gunzip(const Gunzip&) = delete;
  Gunzip& operator=(const Gunzip&) = delete;
  ~Gunzip() { libdeflate_free_decompressor(decompressor_); }

  /// Whether `member` is one member that holds exactly `plain.size()` bytes with the right checksum.
  bool operator()(Bytes member, MutableBytes plain) {
    std::size_t used = 0;
    return libdeflate_gzip_decompress_ex(decompressor_, member.data(), member.size(), plain.data(), plain.size(), &used,
                                         nullptr) == LIBDEFLATE_SUCCESS &&
           used == member.size();
  }

 private:
  libdeflate_decompressor* decompressor_;
};

std::string library_text() {
  return std::string("libdeflate ") + LIBDEFLATE_VERSION_STRING + ", zlib " + zlibVersion();
}

#else

constexpr LevelRange level_range{.lowest = 1, .highest = 9, .standard = 6};

std::uint32_t crc32_of(std::uint32_t crc, Bytes bytes) {
  return bytes.empty() ? crc
                       : static_cast<std::uint32_t>(
                             crc32_z(crc, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

/// Compresses a block to one deflate stream.
class Deflate {
 public:
  explicit Deflate(int level) {
    if (deflateInit2(&stream_, level, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
      fail(Errc::limit_exceeded, "gzip: no memory for a compressor");
    }
  }
  Deflate(const Deflate&) = delete;
  Deflate& operator=(const Deflate&) = delete;
  ~Deflate() { deflateEnd(&stream_); }

  std::size_t bound(std::size_t plain_size) { return deflateBound(&stream_, static_cast<uLong>(plain_size)); }
  /// Returns the size of the stream, or 0 where it does not fit.
  std::size_t operator()(Bytes plain, MutableBytes into) {
    deflateReset(&stream_);
    stream_.next_in = reinterpret_cast<const Bytef*>(plain.data());
    stream_.avail_in = static_cast<uInt>(plain.size());
    stream_.next_out = reinterpret_cast<Bytef*>(into.data());
    stream_.avail_out = static_cast<uInt>(into.size());
    return deflate(&stream_, Z_FINISH) == Z_STREAM_END ? into.size() - stream_.avail_out : 0;
  }

 private:
  z_stream stream_{};
};

/// Decompresses a member.
class Gunzip {
 public:
  Gunzip() {
    if (inflateInit2(&stream_, 16 + MAX_WBITS) != Z_OK) {
      fail(Errc::limit_exceeded, "gzip: no memory for a decompressor");
    }
  }
  Gunzip(const Gunzip&) = delete;
  Gunzip& operator=(const Gunzip&) = delete;
  ~Gunzip() { inflateEnd(&stream_); }

  /// Whether `member` is one member that holds exactly `plain.size()` bytes with the right checksum.
  bool operator()(Bytes member, MutableBytes plain) {
    if (member.size() > std::numeric_limits<uInt>::max() || plain.size() > std::numeric_limits<uInt>::max()) {
      return false;
    }
    inflateReset(&stream_);
    Bytef none = 0;  // zlib takes no null pointer
    stream_.next_in = reinterpret_cast<const Bytef*>(member.data());
    stream_.avail_in = static_cast<uInt>(member.size());
    stream_.next_out = plain.empty() ? &none : reinterpret_cast<Bytef*>(plain.data());
    stream_.avail_out = static_cast<uInt>(plain.size());
    return inflate(&stream_, Z_FINISH) == Z_STREAM_END && stream_.avail_in == 0 && stream_.avail_out == 0;
  }

 private:
  z_stream stream_{};
};

std::string library_text() { return std::string("zlib ") + zlibVersion(); }

#endif

// ---- members ----

/// The header of a member with stele's subfield.
void store_header(std::byte* to, std::uint32_t member_size, std::uint32_t plain_size) {
  constexpr std::array<unsigned char, 16> fixed = {0x1f, 0x8b, 8,  4,  0,   0,   0, 0,  // deflate, FEXTRA, no time
                                                   0,    255,  12, 0,  'S', 't', 8, 0};  // no hint, no system, XLEN
  std::transform(fixed.begin(), fixed.end(), to, [](unsigned char c) { return std::byte{c}; });
  store_le<std::uint32_t>(to + 16, member_size);
  store_le<std::uint32_t>(to + 20, plain_size);
}

/// What FEXTRA says of its member.
struct MemberSizes {
  std::uint64_t stored = 0;
  std::optional<std::uint32_t> plain;
};

/// Finds stele's subfield, or else BGZF's.
std::optional<MemberSizes> find_sizes(Bytes extra) {
  std::optional<MemberSizes> found;
  while (extra.size() >= 4) {
    const std::size_t length = load_le<std::uint16_t>(extra.data() + 2);
    const Bytes value = extra.subspan(4);
    if (length > value.size()) {
      break;
    }
    if (extra[0] == std::byte{'S'} && extra[1] == std::byte{'t'} && length == 8) {
      return MemberSizes{load_le<std::uint32_t>(value.data()), load_le<std::uint32_t>(value.data() + 4)};
    }
    if (extra[0] == std::byte{'B'} && extra[1] == std::byte{'C'} && length == 2) {
      found = MemberSizes{load_le<std::uint16_t>(value.data()) + std::uint64_t{1}, std::nullopt};
    }
    extra = value.subspan(length);
  }
  return found;
}

class GzipEncoder final : public BlockEncoder {
 public:
  explicit GzipEncoder(int level) : deflate_(level) {}

  std::uint64_t encode(Bytes plain, std::vector<std::byte>& out) override {
    if (plain.size() > max_block) {
      fail(Errc::invalid_argument, "a gzip block of " + std::to_string(plain.size()) + " bytes; 1 GiB is the most");
    }
    const std::size_t start = out.size();
    const std::size_t bound = deflate_.bound(plain.size());
    out.resize(start + header_size + bound + trailer_size);
    std::byte* member = out.data() + start;
    const std::size_t size = deflate_(plain, {member + header_size, bound});
    if (size == 0) {
      fail(Errc::io, "gzip: the library cannot compress a block");
    }
    const std::uint32_t crc = crc32_of(0, plain);
    const std::size_t member_size = header_size + size + trailer_size;
    store_header(member, static_cast<std::uint32_t>(member_size), static_cast<std::uint32_t>(plain.size()));
    store_le<std::uint32_t>(member + header_size + size, crc);
    store_le<std::uint32_t>(member + header_size + size + 4, static_cast<std::uint32_t>(plain.size()));
    out.resize(start + member_size);
    return crc;
  }

 private:
  Deflate deflate_;
};

class GzipDecoder final : public BlockDecoder {
 public:
  void decode(const Block& /*block*/, Bytes stored, MutableBytes plain) override {
    if (!gunzip_(stored, plain)) {
      fail(Errc::damaged, "not a gzip member of " + std::to_string(plain.size()) + " bytes with the right checksum");
    }
  }

 private:
  Gunzip gunzip_;
};

/// Reads members in order: inflates with zlib in bounded memory. Of a member whose size is unknown it takes eight bytes
/// at a time where the Source cannot go back: as long as inflate asks for more, at least as many are to come, as the
/// trailer has eight.
class GzipSource final : public Source {
 public:
  explicit GzipSource(Source& stored) : in_(stored, std::size_t{64} << 10) {
    if (inflateInit2(&stream_, -MAX_WBITS) != Z_OK) {
      fail(Errc::limit_exceeded, "gzip: no memory for a decompressor");
    }
  }
  ~GzipSource() override { inflateEnd(&stream_); }

  std::size_t read(MutableBytes into) override {
    while (!into.empty()) {
      switch (state_) {
        case State::between:
          if (!begin_member()) {
            return 0;
          }
          break;
        case State::inflating:
          if (const std::size_t count = inflate_some(into); count > 0) {
            return count;
          }
          break;
        case State::trailer:
          end_member();
          break;
        case State::ended:
          return 0;
        case State::failed:
          failed(Errc::damaged, "cannot be read on after an error");
      }
    }
    return 0;
  }

  void finish() override {
    if (state_ == State::failed) {
      failed(Errc::damaged, "cannot be read on after an error");
    }
    if (state_ == State::inflating) {
      std::byte extra{};
      if (inflate_some({&extra, 1}) > 0) {
        failed(Errc::damaged, "data behind the end of the archive");
      }
    }
    if (state_ == State::trailer) {
      end_member();
    }
    in_.settle(in_.position());
  }

 private:
  enum class State : std::uint8_t { between, inflating, trailer, ended, failed };

  [[noreturn]] void failed(Errc code, const std::string& message) {
    state_ = State::failed;
    fail(code, "gzip member at byte " + std::to_string(member_offset_) + ": " + message);
  }
  [[noreturn]] void ended_early() { failed(Errc::truncated, "the input ends inside it"); }

  /// Takes bytes of the header.
  void take(MutableBytes into) {
    if (in_.take(into) < into.size()) {
      ended_early();
    }
    header_crc_ = crc32_of(header_crc_, into);
  }

  /// Returns false at the end of the input.
  bool begin_member() {
    member_offset_ = in_.position();
    header_crc_ = 0;
    std::array<std::byte, fixed_size> fixed{};
    const auto first = MutableBytes(fixed).first(1);
    if (in_.take(first) == 0) {
      if (member_offset_ == 0) {
        ended_early();
      }
      state_ = State::ended;
      return false;
    }
    if (member_offset_ > 0 && fixed[0] == std::byte{0}) {
      skip_zeros();
      state_ = State::ended;
      return false;
    }
    header_crc_ = crc32_of(0, first);
    if (fixed[0] != std::byte{0x1f}) {
      not_a_member();
    }
    take(MutableBytes(fixed).subspan(1, 1));
    if (fixed[1] != std::byte{0x8b}) {
      not_a_member();
    }
    take(MutableBytes(fixed).subspan(2));
    if (fixed[2] != std::byte{8}) {
      failed(Errc::damaged, "compression method " + std::to_string(std::to_integer<int>(fixed[2])) + ", not deflate");
    }
    const std::byte flags = fixed[3];
    if ((flags & flags_reserved) != std::byte{0}) {
      failed(Errc::damaged, "unknown flags");
    }
    sizes_.reset();
    if ((flags & flag_extra) != std::byte{0}) {
      std::array<std::byte, 2> length{};
      take(length);
      std::vector<std::byte> extra(load_le<std::uint16_t>(length.data()));
      take(extra);
      sizes_ = find_sizes(extra);
    }
    for (std::byte text : {flag_name, flag_comment}) {
      if ((flags & text) != std::byte{0}) {
        std::byte c{};
        do {
          take({&c, 1});
        } while (c != std::byte{0});
      }
    }
    if ((flags & flag_header_crc) != std::byte{0}) {
      const std::uint32_t expected = header_crc_ & 0xffff;
      std::array<std::byte, 2> stored{};
      take(stored);
      if (load_le<std::uint16_t>(stored.data()) != expected) {
        failed(Errc::damaged, "the checksum of its header is wrong");
      }
    }
    deflate_left_ = std::numeric_limits<std::uint64_t>::max();
    if (sizes_) {
      const std::uint64_t before = in_.position() - member_offset_;
      if (sizes_->stored <= before + trailer_size) {
        wrong_sizes();
      }
      deflate_left_ = sizes_->stored - before - trailer_size;
    }
    inflateReset(&stream_);
    crc_ = 0;
    plain_size_ = 0;
    starved_ = true;
    state_ = State::inflating;
    return true;
  }

  [[noreturn]] void not_a_member() {
    failed(Errc::damaged, member_offset_ == 0 ? "not gzip" : "neither a gzip member nor zeros follow the last one");
  }
  [[noreturn]] void wrong_sizes() { failed(Errc::damaged, "the sizes in its header are wrong"); }

  void skip_zeros() {
    do {
      const Bytes bytes = in_.ready();
      if (std::any_of(bytes.begin(), bytes.end(), [](std::byte b) { return b != std::byte{0}; })) {
        not_a_member();
      }
      in_.consume(bytes.size());
    } while (in_.fill(std::numeric_limits<std::uint64_t>::max()));
  }

  /// Returns the number of plain bytes, 0 only at the end of the member's deflate stream.
  std::size_t inflate_some(MutableBytes into) {
    constexpr std::size_t most = std::size_t{1} << 30;
    into = into.first(std::min(into.size(), most));
    stream_.next_out = reinterpret_cast<Bytef*>(into.data());
    stream_.avail_out = static_cast<uInt>(into.size());
    while (true) {
      if (starved_ && in_.ready().empty()) {
        if (deflate_left_ == 0) {
          wrong_sizes();
        }
        if (!in_.fill(sizes_ ? deflate_left_ : trailer_size)) {
          ended_early();
        }
      }
      Bytes piece = in_.ready();
      piece = piece.first(static_cast<std::size_t>(std::min<std::uint64_t>(piece.size(), deflate_left_)));
      if (starved_ && piece.empty()) {
        wrong_sizes();
      }
      stream_.next_in = reinterpret_cast<const Bytef*>(piece.data());
      stream_.avail_in = static_cast<uInt>(piece.size());
      const int result = ::inflate(&stream_, Z_NO_FLUSH);
      if (result != Z_OK && result != Z_BUF_ERROR && result != Z_STREAM_END) {
        failed(Errc::damaged, stream_.msg != nullptr ? stream_.msg : "not a deflate stream");
      }
      const std::size_t used = piece.size() - stream_.avail_in;
      in_.consume(used);
      if (sizes_) {
        deflate_left_ -= used;
      }
      // Room left and nothing to go on with: only then is it sure that the stream goes on.
      starved_ = stream_.avail_in == 0 && stream_.avail_out > 0;
      const std::size_t count = into.size() - stream_.avail_out;
      crc_ = crc32_of(crc_, into.first(count));
      plain_size_ += count;
      if (result == Z_STREAM_END) {
        if (sizes_ && deflate_left_ > 0) {
          wrong_sizes();
        }
        state_ = State::trailer;
        return count;
      }
      if (count > 0) {
        return count;
      }
      if (!starved_) {
        failed(Errc::damaged, "not a deflate stream");
      }
    }
  }

  void end_member() {
    std::array<std::byte, trailer_size> trailer{};
    if (in_.take(trailer) < trailer.size()) {
      ended_early();
    }
    if (load_le<std::uint32_t>(trailer.data()) != crc_) {
      failed(Errc::damaged, "its checksum is wrong");
    }
    if (load_le<std::uint32_t>(trailer.data() + 4) != static_cast<std::uint32_t>(plain_size_)) {
      failed(Errc::damaged, "its plain size is wrong");
    }
    if (sizes_ && sizes_->plain && *sizes_->plain != plain_size_) {
      wrong_sizes();
    }
    state_ = State::between;
  }

  Intake in_;
  z_stream stream_{};
  State state_ = State::between;
  bool starved_ = true;  // inflate has used all it was given and asks for more

  std::uint64_t member_offset_ = 0;
  std::uint32_t header_crc_ = 0;
  std::optional<MemberSizes> sizes_;
  std::uint64_t deflate_left_ = 0;  // where sizes_ is known
  std::uint32_t crc_ = 0;
  std::uint64_t plain_size_ = 0;
};

class Gzip final : public Codec {
 public:
  std::string_view name() const noexcept override { return "gzip"; }
  std::span<const std::string_view> extensions() const noexcept override {
    static constexpr std::array<std::string_view, 2> list = {".gz", ".gzip"};
    return list;
  }
  bool recognises(Bytes first) const noexcept override {
    return first.size() >= 3 && first[0] == std::byte{0x1f} && first[1] == std::byte{0x8b} && first[2] == std::byte{8};
  }
  LevelRange levels() const noexcept override { return level_range; }
  std::string library() const override { return library_text(); }

  std::size_t block_size(int /*level*/) const noexcept override { return std::size_t{1} << 20; }
  std::unique_ptr<BlockEncoder> encoder(int level) const override { return std::make_unique<GzipEncoder>(level); }
  std::unique_ptr<BlockDecoder> decoder(const DecodeOptions& /*options*/) const override {
    return std::make_unique<GzipDecoder>();
  }

  void epilogue(std::span<const Block> blocks, std::vector<std::byte>& out) const override {
    if (blocks.empty()) {
      constexpr std::size_t size = header_size + empty_deflate_size + trailer_size;
      const std::size_t start = out.size();
      out.resize(start + size);
      store_header(out.data() + start, size, 0);
      out[start + header_size] = std::byte{3};
    }
  }

  std::optional<BlockIndex> index(const Source& stored) const override {
    Peek file(stored);
    if (file.size() == 0) {
      return std::nullopt;
    }
    std::vector<Block> blocks;
    std::uint64_t plain = 0;
    for (std::uint64_t offset = 0; offset < file.size();) {
      const auto block = block_at(file, offset);
      if (!block) {
        return std::nullopt;
      }
      if (block->plain_size > 0) {
        blocks.push_back(*block);
        blocks.back().plain_offset = plain;
        plain += block->plain_size;
      }
      offset += block->stored_size;
    }
    return BlockIndex{std::move(blocks)};
  }

  std::unique_ptr<Source> in_order(Source& stored, const DecodeOptions& /*options*/) const override {
    return std::make_unique<GzipSource>(stored);
  }

 private:
  static constexpr std::size_t empty_deflate_size = 2;  // in so few bits no symbol has room beside the end

  /// The member at `offset` by its header alone, or nothing where that does not say how long it is. Takes at least 20
  /// bytes of the file.
  static std::optional<Block> block_at(Peek& file, std::uint64_t offset) {
    const std::uint64_t left = file.size() - offset;
    const std::size_t before_extra = fixed_size + 2;
    if (left < before_extra + empty_deflate_size + trailer_size) {
      return std::nullopt;
    }
    const std::byte* header = file.at(offset, before_extra);
    const std::byte flags = header[3];
    if (header[0] != std::byte{0x1f} || header[1] != std::byte{0x8b} || header[2] != std::byte{8} ||
        (flags & flag_extra) == std::byte{0} || (flags & flags_reserved) != std::byte{0}) {
      return std::nullopt;
    }
    const std::size_t extra_size = load_le<std::uint16_t>(header + fixed_size);
    const std::size_t least = before_extra + extra_size + empty_deflate_size + trailer_size;
    if (least > left || before_extra + extra_size > Peek::window_size) {
      return std::nullopt;
    }
    header = file.at(offset, before_extra + extra_size);
    const auto sizes = find_sizes({header + before_extra, extra_size});
    if (!sizes || sizes->stored < least || sizes->stored > left) {
      return std::nullopt;
    }
    Block block{.stored_offset = offset, .stored_size = sizes->stored};
    block.plain_size = sizes->plain ? *sizes->plain : load_le<std::uint32_t>(file.at(offset + sizes->stored - 4, 4));
    if (block.plain_size > block.stored_size * max_expansion) {
      return std::nullopt;
    }
    // A member of no bytes is passed over, so it must be one that can hold none.
    if (block.plain_size == 0 && (flags != flag_extra || block.stored_size != least)) {
      return std::nullopt;
    }
    return block;
  }
};

}  // namespace

std::shared_ptr<const Codec> gzip_codec() { return std::make_shared<Gzip>(); }

}  // namespace stele

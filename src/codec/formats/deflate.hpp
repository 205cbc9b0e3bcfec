#pragma once
// Deflate (RFC 1951) and its checksums, for the gzip and zlib formats. ISA-L or libdeflate compresses blocks,
// libdeflate decompresses blocks, and ISA-L decompresses streams, as far as these libraries are available; otherwise
// zlib does.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "stele/codec.hpp"

namespace stele {

std::uint32_t crc32_of(std::uint32_t crc, Bytes bytes);
std::uint32_t adler32_of(std::uint32_t adler, Bytes bytes);
/// The checksum of two consecutive pieces; the second has `size` bytes.
std::uint32_t adler32_of_both(std::uint32_t first, std::uint32_t second, std::uint64_t size);
std::uint32_t crc32_of_both(std::uint32_t first, std::uint32_t second, std::uint64_t size);

constexpr std::size_t most_deflated = std::size_t{1} << 30;  // plain bytes of a block
constexpr std::uint64_t most_expansion = 1100;               // deflate reaches 1032

/// How the deflate stream of a block ends.
enum class DeflateEnd : std::uint8_t {
  final_block,  // a complete stream
  full_flush,   // at a byte boundary; the next block does not refer to earlier data
};

/// Compresses blocks independently.
class Deflate {
 public:
  Deflate() = default;
  Deflate(const Deflate&) = delete;
  Deflate& operator=(const Deflate&) = delete;
  virtual ~Deflate() = default;

  /// A size that suffices for any block of `plain_size` bytes, at most most_deflated.
  virtual std::size_t bound(std::size_t plain_size) = 0;
  /// Returns the stored size. Throws: Error(io) if the library fails.
  virtual std::size_t operator()(Bytes plain, MutableBytes into) = 0;
};

LevelRange deflate_levels(DeflateEnd end) noexcept;
std::unique_ptr<Deflate> make_deflate(int level, DeflateEnd end);

/// Decompresses whole blocks.
class Inflate {
 public:
  enum class Format : std::uint8_t { deflate, gzip };

  Inflate() = default;
  Inflate(const Inflate&) = delete;
  Inflate& operator=(const Inflate&) = delete;
  virtual ~Inflate() = default;

  /// Whether `stored` is one deflate stream or gzip member that holds exactly `plain.size()` bytes.
  virtual bool operator()(Bytes stored, MutableBytes plain) = 0;
};

std::unique_ptr<Inflate> make_inflate(Inflate::Format format);

/// Decompresses deflate streams in order, in bounded memory. ISA-L accepts incomplete code sets, which zlib rejects.
/// All in-order readers use this class, so that they agree.
class StreamInflate {
 public:
  struct Step {
    std::size_t used = 0;    // bytes consumed
    std::size_t made = 0;    // bytes produced
    std::size_t unused = 0;  // the last consumed bytes, at most seven, that are after the end of the stream
  };

  StreamInflate();
  StreamInflate(const StreamInflate&) = delete;
  StreamInflate& operator=(const StreamInflate&) = delete;
  ~StreamInflate();

  /// Begins a new stream.
  void begin();
  /// Continues with `stored`, which may be empty only if not starved(). Returns nothing for invalid deflate data.
  std::optional<Step> operator()(Bytes stored, MutableBytes into);

  /// Whether all input is used up and the stream has not ended. Only then more input must follow.
  bool starved() const noexcept { return starved_; }
  bool ended() const noexcept { return ended_; }
  /// Whether a deflate block ended at a byte boundary and another one follows. Valid only while starved().
  bool between_blocks() const noexcept;
  /// The message of the last error.
  std::string error() const;

 private:
  struct Library;
  const std::unique_ptr<Library> library_;
  bool starved_ = true;
  bool ended_ = false;
};

/// The libraries and their versions.
std::string deflate_libraries();

}  // namespace stele

#pragma once
// Deflate, RFC 1951, and its checksums: what gzip.cpp and zlib.cpp share. Blocks are compressed by ISA-L or libdeflate
// and decompressed by libdeflate, streams are decompressed by ISA-L, as far as these libraries are there; the rest is
// zlib's.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "stele/codec.hpp"

namespace stele {

std::uint32_t crc32_of(std::uint32_t crc, Bytes bytes);
std::uint32_t adler32_of(std::uint32_t adler, Bytes bytes);
/// The checksum of two pieces behind one another, the second of `size` bytes.
std::uint32_t adler32_of_both(std::uint32_t first, std::uint32_t second, std::uint64_t size);

constexpr std::size_t most_deflated = std::size_t{1} << 30;  // plain bytes of a block
constexpr std::uint64_t most_expansion = 1100;               // deflate reaches 1032

/// How the deflate stream of a block ends.
enum class DeflateEnd : std::uint8_t {
  final_block,  // as a stream by itself
  full_flush,   // at a byte, so that the stream can go on with a block that does not look back
};

/// Compresses blocks, each by itself.
class Deflate {
 public:
  Deflate() = default;
  Deflate(const Deflate&) = delete;
  Deflate& operator=(const Deflate&) = delete;
  virtual ~Deflate() = default;

  /// Room that is enough for any block of `plain_size` bytes, at most most_deflated.
  virtual std::size_t bound(std::size_t plain_size) = 0;
  /// Returns the size of what it stores. Throws: Error(io) where the library fails.
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

/// Decompresses deflate streams in order, in bounded memory. ISA-L accepts sets of codes that are not complete, which
/// zlib does not; so all that reads a format in order decodes by this class.
class StreamInflate {
 public:
  struct Step {
    std::size_t used = 0;    // bytes taken
    std::size_t made = 0;    // bytes given
    std::size_t unused = 0;  // the last bytes that earlier calls have taken, seven at most, which lie behind the stream
  };

  StreamInflate();
  StreamInflate(const StreamInflate&) = delete;
  StreamInflate& operator=(const StreamInflate&) = delete;
  ~StreamInflate();

  /// Begins a new stream.
  void begin();
  /// Goes on with `stored`, which may be empty only if not starved(). Returns nothing for what is not deflate.
  std::optional<Step> operator()(Bytes stored, MutableBytes into);

  /// Whether all that was given is used up and the stream goes on: only then is it sure that more follows.
  bool starved() const noexcept { return starved_; }
  bool ended() const noexcept { return ended_; }
  /// Whether a deflate block has ended at the last bit of a byte and another one follows. Tells only where it starves.
  bool between_blocks() const noexcept;
  /// What was wrong.
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

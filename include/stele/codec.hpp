#pragma once
// Compression formats. A Codec writes and reads one standard file format block by block. A block is compressed,
// decompressed and found independently of its neighbours. The library drives the blocks; a codec knows one format.

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "stele/io.hpp"

namespace stele {

/// The levels a codec offers; more is smaller and slower.
struct LevelRange {
  int lowest = 0;
  int highest = 0;
  int standard = 0;  // used where SaveOptions::level is not set
};

/// One block: where its plain bytes lie in the archive and its stored bytes in the compressed file.
struct Block {
  std::uint64_t plain_offset = 0;
  std::uint64_t plain_size = 0;
  std::uint64_t stored_offset = 0;
  std::uint64_t stored_size = 0;
  std::uint64_t check = 0;  // for the codec: what its encoder or index knows and its decoder or epilogue needs
};

/// Where the blocks of a file are.
struct BlockIndex {
  std::vector<Block> blocks;
  /// Whether the file states every size. Otherwise some plain sizes are assumed, and the library uses the index only if
  /// a whole archive of just that size results.
  bool certain = true;
  /// Whether the blocks carry all checks of the file. Otherwise there is one check of all plain bytes, such as the
  /// content checksum of an lz4 frame. The library then uses the index only to read a part of the file, and reads the
  /// whole in order.
  bool complete = true;
};

/// Limits and settings of decompression.
struct DecodeOptions {
  /// Threads that decode blocks at once; 0: as many as the machine has, at most 16.
  unsigned threads = 1;
  /// Bytes of memory that a file may make its decoder keep (window, dictionary).
  std::uint64_t window = std::uint64_t{128} << 20;
  /// Plain bytes per stored byte, after the first GiB of them. Beyond it decompressing_source() and its read() throw
  /// Error(limit_exceeded).
  std::uint64_t expansion = 50'000;
  /// Whether a Source without random access holds only the compressed file, so that reading ahead of what the format is
  /// known to need is allowed. If it does not and cannot peek(), gzip, bzip2, lzma and zlib files of other tools are
  /// read a few bytes at a time.
  bool whole = false;
};

/// Compresses blocks, one at a time; each worker has its own.
class BlockEncoder {
 public:
  virtual ~BlockEncoder() = default;
  /// Appends the stored form of `plain` to `out` and returns its check.
  /// Throws: Error(io) if the library fails.
  virtual std::uint64_t encode(Bytes plain, std::vector<std::byte>& out) = 0;
};

/// Decompresses blocks, one at a time; each worker has its own.
class BlockDecoder {
 public:
  virtual ~BlockDecoder() = default;
  /// Fills `plain`, whose size is the block's, from one whole stored block. The index made `block`.
  /// Throws: Error(damaged) unless `stored` decodes to exactly that many bytes and its checksum agrees;
  /// Error(limit_exceeded) for a window beyond the options.
  virtual void decode(const Block& block, Bytes stored, MutableBytes plain) = 0;
};

/// A compressed file format. Stateless and thread-safe.
class Codec {
 public:
  Codec() = default;
  Codec(const Codec&) = delete;
  Codec& operator=(const Codec&) = delete;
  virtual ~Codec() = default;

  /// The name in options, as in "zstd".
  virtual std::string_view name() const noexcept = 0;
  /// File name extensions with the dot, the usual one first.
  virtual std::span<const std::string_view> extensions() const noexcept = 0;
  /// Whether a file that begins with these bytes is of this format. There are at least 12 bytes if the file has them,
  /// and 12 after any skippable frames (lz4, zstd) at its beginning.
  virtual bool recognises(Bytes first) const noexcept = 0;
  virtual LevelRange levels() const noexcept = 0;
  /// The underlying library and its version, as `stele codecs` prints them.
  virtual std::string library() const = 0;

  /// The preferred plain size of blocks.
  virtual std::size_t block_size(int level) const noexcept = 0;
  /// Whether all blocks except the last must have block_size() bytes, as the format has no place for their sizes.
  /// Otherwise a block may be shorter, so that a large array begins a block.
  virtual bool fixed_blocks() const noexcept { return false; }
  virtual std::unique_ptr<BlockEncoder> encoder(int level) const = 0;
  virtual std::unique_ptr<BlockDecoder> decoder(const DecodeOptions& options) const = 0;

  /// The bytes before the first block.
  virtual void prologue(int level, std::vector<std::byte>& out) const;
  /// The bytes after the last block: end marks, checksums, the block index. Without any block, prologue and epilogue
  /// are a valid empty file.
  virtual void epilogue(std::span<const Block> blocks, std::vector<std::byte>& out) const;

  /// For a format without blocks: a Sink that compresses in order into `to`, which outlives it. encoder() and decoder()
  /// are then not called. Null for a format with blocks.
  virtual std::unique_ptr<Sink> in_order_sink(Sink& to, int level) const;

  /// The blocks of a file, found without decoding them. Nothing if the file has no index, or one that does not cover
  /// exactly the whole file; it is then read in order. Everything that is not a block is checked here, so that a file
  /// whose blocks decode is one that in_order() reads as well. `stored` has random access. Blocks are in order and
  /// without gaps in the plain bytes. An index that takes more than 4 MiB and an eighth of the file's size is not used.
  virtual std::optional<BlockIndex> index(const Source& stored) const = 0;
  /// Decodes a file of any tool in order. Consumes from `stored` only bytes that belong to the format, so that what
  /// follows can be read after finish(), unless the options say that `stored` is `whole`. With random access it starts
  /// at offset 0 of `stored` and may be ahead until finish(). `stored` must outlive the result.
  virtual std::unique_ptr<Source> in_order(Source& stored, const DecodeOptions& options) const = 0;
};

/// A set of codecs to choose from. Copies are cheap; a set given to options must outlive the call.
class Codecs {
 public:
  /// The codecs this build has.
  Codecs();
  /// Adds a codec, before the existing ones.
  void add(std::shared_ptr<const Codec> codec);

  std::span<const std::shared_ptr<const Codec>> all() const& noexcept;
  std::span<const std::shared_ptr<const Codec>> all() const&& = delete;
  /// The codec of that name, or null.
  const Codec* find(std::string_view name) const& noexcept;
  const Codec* find(std::string_view name) const&& = delete;
  /// The codec of that name.
  /// Throws: Error(unknown_codec), which lists the codecs there are.
  const Codec& get(std::string_view name) const&;
  const Codec& get(std::string_view name) const&& = delete;
  /// The codec whose extension ends `path`, in small letters or capitals; null if there is none.
  /// Throws: Error(unknown_codec) for the extension of a compressed format that none of these writes, such as .br, so
  /// that no plain file gets a name that says otherwise.
  const Codec* by_extension(std::string_view path) const&;
  const Codec* by_extension(std::string_view path) const&& = delete;
  /// The codec that recognises a file's first bytes, or null.
  const Codec* by_magic(Bytes first) const& noexcept;
  const Codec* by_magic(Bytes first) const&& = delete;

 private:
  struct List;
  std::shared_ptr<const List> codecs_;  // shared by copies
};

/// A Sink that compresses into `to`, which it does not close; both `to` and `codec` must outlive it. Large writes are
/// compressed in place, without a copy, on up to `threads` threads (0: as many as the machine has, at most 16), the
/// calling thread included; only the calling thread writes to `to`. The bytes written do not depend on `threads`.
/// Without a level the codec's standard level is used. After an error it takes no more bytes, and close() fails.
/// Throws: Error(invalid_argument) for a level that the codec does not have.
std::unique_ptr<Sink> compressing_sink(Sink& to, const Codec& codec, std::optional<int> level, unsigned threads = 1);

/// A Source of the plain bytes of `stored`, which begins there. It has random access if `stored` has it and the codec
/// finds a certain and complete index with blocks of at most 64 MiB; else it reads in order. Both ways give the same
/// bytes and the same errors. `codec` must outlive it. `stored` is always treated as DecodeOptions::whole.
std::unique_ptr<Source> decompressing_source(std::unique_ptr<Source> stored, const Codec& codec,
                                             const DecodeOptions& options = {});

}  // namespace stele

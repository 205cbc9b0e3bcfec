#pragma once
// The bytes of an archive on their way to a Sink: small things gather in a buffer, arrays pass it by, and everything is
// hashed on the way.

#include <memory>
#include <vector>

#include "archive/write/behind.hpp"
#include "base/checksum.hpp"
#include "base/process.hpp"
#include "codec/compress.hpp"
#include "format/cbor.hpp"
#include "format/directory.hpp"
#include "stele/io.hpp"

namespace stele {

class Output {
 public:
  /// `compressor` is `sink`, if that compresses. `behind`: long structure may be hashed and written by another thread
  /// while more is made.
  Output(Sink& sink, CompressingSink* compressor, unsigned threads, bool behind);

  /// Starts an archive at the Sink's current place.
  void restart() noexcept;
  /// The offset of the next byte from the archive's start.
  std::uint64_t position() const noexcept { return flushed_ + used_; }

  /// Room for `size` bytes (at most 512); commit() tells how many were used.
  std::byte* room(std::size_t size) {
    if (capacity - used_ < size) {
      pass_on();
    }
    return buffer_ + used_;
  }
  void commit(const std::byte* end) noexcept { used_ = static_cast<std::size_t>(end - buffer_); }
  void byte(std::byte value) {
    *room(1) = value;
    ++used_;
  }
  void head(cbor::Major major, std::uint64_t value) { commit(cbor::put_head(room(cbor::max_head), major, value)); }
  /// Any number of bytes that are not a listed array's.
  void structure(Bytes bytes);

  /// One listed array's bytes in full; returns their XXH3-64. They go from where they lie to the Sink.
  std::uint64_t payload(Bytes bytes);
  /// The bytes that `make` makes for a compressor, in pieces as by write_made(); returns what `checksum` does.
  std::uint64_t made_payload(std::uint64_t size, std::size_t unit, const MakeBytes& make,
                             const std::function<std::uint64_t()>& checksum);
  /// The same in pieces: begin, any number of pieces, end.
  void begin_payload();
  void payload_piece(Bytes bytes);
  std::uint64_t end_payload() noexcept;

  /// What has gathered since the Sink was written to last; valid until more comes.
  Bytes unsent() const noexcept { return {buffer_, used_}; }
  /// Writes what has gathered to the Sink.
  void flush();
  /// Bytes that will be known only later: reserves them in the Sink; fill() writes them before any other structure
  /// follows. Only for a Sink that can patch.
  std::uint64_t reserve(std::size_t size);
  void fill(std::uint64_t at, Bytes bytes);

  /// XXH3-64 of everything so far but payloads.
  std::uint64_t structure_checksum();
  /// The segments so far, closed at the current position; none where all structure is below 64 KiB.
  std::vector<SegmentEntry> segments();

 private:
  static constexpr std::size_t capacity = std::size_t{64} << 10;
  void pass_on();
  void write_through();
  void give_chunk();
  void hash_structure(Bytes bytes);
  void end_piece(std::uint64_t end);
  void send(Bytes bytes);
  void count(std::uint64_t sent) noexcept;

  Sink& sink_;
  CompressingSink* compressor_;
  unsigned threads_;
  bool may_be_behind_;
  std::unique_ptr<std::byte[]> chunk_;
  std::byte* buffer_;  // in chunk_; room for `capacity` bytes, of which used_ are used
  std::size_t used_ = 0;
  std::uint64_t flushed_ = 0;        // of this archive
  std::uint64_t archive_start_ = 0;  // in the Sink
  std::uint64_t sent_ = 0;           // to the Sink in all
  Xxh3 structure_;
  Xxh3 segment_;
  Xxh3 payload_;
  std::uint64_t segment_bytes_ = 0;
  std::vector<SegmentEntry> segments_;
  std::uint64_t run_bytes_ = 0;                      // of structure since flush()
  std::vector<std::size_t> pieces_;                  // sizes of those in chunk_ before buffer_, to be given
  std::vector<std::unique_ptr<std::byte[]>> given_;  // chunks, the oldest first
  ProcessOwned<Behind> behind_;
};

}  // namespace stele

#pragma once
// Writes an archive's bytes to a Sink. Small items are collected in a buffer, arrays bypass it, and all bytes are
// hashed as they are written.

#include <memory>
#include <vector>

#include "base/checksum.hpp"
#include "base/process.hpp"
#include "base/threads/behind.hpp"
#include "codec/compress.hpp"
#include "format/array/checksum.hpp"
#include "format/cbor.hpp"
#include "format/directory.hpp"
#include "stele/io.hpp"

namespace stele {

class LinkingSink;

class Output {
 public:
  /// `compressor` is `sink` if that compresses. With `behind`, another thread may hash and write long structure while
  /// more is produced.
  Output(Sink& sink, CompressingSink* compressor, unsigned threads, bool behind);

  /// Starts an archive at the current position of the Sink.
  void restart() noexcept;
  /// The offset of the next byte from the archive's start.
  std::uint64_t position() const noexcept { return flushed_ + used_; }

  /// Space for `size` bytes (at most 512). Call commit() with the number of bytes used.
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
  /// Writes any bytes that do not belong to a listed array.
  void structure(Bytes bytes);

  /// Announces the listed array of the next payload, so that a LinkingSink can compare it with the earlier archive. The
  /// path is empty if the payload is encoded.
  void announce(std::string_view path, std::uint64_t bytes);
  /// Writes all bytes of a listed array to the Sink without a copy; returns their checksum.
  ArrayChecksum payload(Bytes bytes);
  /// Writes the bytes that `make` produces for a compressor, in pieces as write_made() does. Returns the result of
  /// `checksum`.
  ArrayChecksum made_payload(std::uint64_t size, std::size_t unit, const MakeBytes& make,
                             const std::function<ArrayChecksum()>& checksum);
  /// The same in pieces: begin, any number of pieces, end.
  void begin_payload();
  void payload_piece(Bytes bytes);
  ArrayChecksum end_payload();

  /// The bytes buffered since the last write to the Sink; valid until more are added.
  MutableBytes unsent() const noexcept { return {buffer_, used_}; }
  /// Writes the buffered bytes to the Sink.
  void flush();
  /// What follows gets a compressed block of its own.
  void end_block();
  /// Reserves space in the Sink for bytes that are not known yet. Call fill() before any other structure follows. Only
  /// for a Sink that can patch.
  std::uint64_t reserve(std::size_t size);
  void fill(std::uint64_t at, Bytes bytes);

  /// XXH3-64 of everything so far except payloads.
  std::uint64_t structure_checksum();
  /// The segments so far, the last one closed at the current position; none if there is only one.
  std::vector<SegmentEntry> segments();

 private:
  static constexpr std::size_t capacity = std::size_t{64} << 10;
  Behind* other_thread();
  void pass_on();
  void write_through();
  void give_chunk();
  void hash_structure(Bytes bytes);
  void end_piece(std::uint64_t end);
  void send(Bytes bytes);
  void count(std::uint64_t sent) noexcept;
  ArrayChecksum linked_payload(Bytes bytes);
  void linked_piece(Bytes piece, std::uint64_t checksum);
  ArrayChecksum end_linked();

  Sink& sink_;
  CompressingSink* compressor_;
  LinkingSink* linking_;  // `sink_`, if it is one
  unsigned threads_;
  bool may_be_behind_;
  bool is_behind_ = false;  // long structure goes to the other thread, in chunks
  std::unique_ptr<std::byte[]> chunk_;
  std::byte* buffer_;  // in chunk_; has room for `capacity` bytes, of which used_ are used
  std::size_t used_ = 0;
  std::uint64_t flushed_ = 0;        // bytes of this archive
  std::uint64_t archive_start_ = 0;  // offset in the Sink
  std::uint64_t sent_ = 0;           // bytes written to the Sink in total
  Xxh3 structure_;
  Xxh3 segment_;
  ArrayHash payload_;
  std::vector<std::uint64_t> linked_;  // checksums of the payload's pieces, with linking_
  std::vector<std::byte> gathered_;    // a piece that is not complete, with linking_
  std::uint64_t segment_bytes_ = 0;
  std::vector<SegmentEntry> segments_;
  std::uint64_t run_bytes_ = 0;                      // bytes of structure since flush()
  std::vector<std::size_t> pieces_;                  // sizes of the pieces in chunk_ before buffer_, not yet passed on
  std::vector<std::unique_ptr<std::byte[]>> given_;  // chunks passed to the thread, the oldest first
  ProcessOwned<Behind> behind_;
};

}  // namespace stele

#pragma once
// Reads an archive's bytes from a Source. Structure is read through a window, arrays directly into their destination.
// All bytes are hashed as they are read. Never reads bytes after the archive.

#include <functional>
#include <memory>
#include <mutex>
#include <optional>

#include "archive/read/parts/pieces.hpp"
#include "base/checksum.hpp"
#include "base/process.hpp"
#include "base/threads/crew.hpp"
#include "base/threads/pool.hpp"
#include "format/array/checksum.hpp"
#include "format/cbor.hpp"
#include "format/directory.hpp"
#include "stele/io.hpp"
#include "stele/options.hpp"

namespace stele {

/// Checks structure against the directory's segments, each segment when it is first read. Thread-safe.
class SegmentCheck {
 public:
  SegmentCheck(const Source& source, std::uint64_t start, const Directory& directory, const Trailer& trailer);
  /// Throws: Error(damaged) if a segment that overlaps [first, last) has a wrong checksum.
  void ensure(std::uint64_t first, std::uint64_t last);
  /// The segment that holds `offset`: where it begins and ends.
  std::pair<std::uint64_t, std::uint64_t> around(std::uint64_t offset) const noexcept;

 private:
  std::uint64_t checksum(std::uint64_t begin, std::uint64_t end) const;
  const Source& source_;
  std::uint64_t start_;
  const Directory& directory_;
  std::uint64_t whole_end_;
  std::vector<SegmentEntry> segments_;
  std::mutex mutex_;  // guards checked_
  std::vector<bool> checked_;
};

/// Whether `plain` bytes exceed the expansion limit for a compressed file of `stored` bytes.
bool expands_too_much(std::uint64_t plain, std::uint64_t stored, const Limits& limits) noexcept;

class Input {
 public:
  struct Options {
    std::uint64_t start = 0;           // of the archive in the Source; used when reading at offsets
    std::optional<std::uint64_t> end;  // the Source offset where the archive ends
    bool trusted_size = false;         // `end` is certain, not claimed by compressed data
    unsigned threads = 1;
    bool hash = false;           // hash the structure in order
    bool hash_payloads = false;  // hash each array that is read
    bool random = false;         // reads use read_at, and seek() is allowed
    std::size_t window = std::size_t{64} << 10;
    Limits limits;
    std::optional<std::uint64_t> stored_size;  // of the compressed file, for the expansion limit
    SegmentCheck* segments = nullptr;
    // Set for a mapping: its structure is then read by read_at, up to the arrays listed here. The first access to a
    // page of a mapping costs several times as much.
    const Directory* mapped = nullptr;
  };

  Input(Source& source, const Options& options);

  /// The offset of the next byte from the archive's start.
  std::uint64_t position() const noexcept { return window_at_ + static_cast<std::uint64_t>(at_ - window_); }
  void seek(std::uint64_t offset);

  /// The next `size` bytes (at most 64), not consumed.
  const std::byte* need(std::size_t size) {
    if (static_cast<std::size_t>(end_ - at_) < size) {
      refill(size);
    }
    return at_;
  }
  void advance(std::size_t size) noexcept { at_ += size; }
  cbor::Head head() {
    const std::byte* at = need(1);
    const auto first = static_cast<std::uint8_t>(*at);
    const std::uint8_t info = first & 31;
    const std::size_t size = cbor::head_bytes(info);
    if (size == 0) {
      reserved_head();
    }
    at = need(size);
    at_ += size;
    return {static_cast<cbor::Major>(first >> 5), info, cbor::argument(at, size, info)};
  }
  std::byte peek() { return *need(1); }
  /// The bytes that are already in the window.
  Bytes available() const noexcept { return {at_, end_}; }

  /// Says how many bytes certainly follow the requested ones. The window may read ahead that many and no more.
  class Reader {
   public:
    virtual std::uint64_t bytes_to_come() const noexcept = 0;
    /// The path of the value being read, for messages.
    virtual std::string current_path() const = 0;

   protected:
    ~Reader() = default;
  };
  void set_reader(const Reader* reader) noexcept { reader_ = reader; }
  const Reader* reader() const noexcept { return reader_; }

  /// Reads structure of any length into `to`, or discards it.
  void read(MutableBytes to);
  void skip(std::uint64_t size);
  /// Whether `size` more bytes may follow. With `sure`: whether they certainly do.
  bool may_hold(std::uint64_t size) const noexcept;
  bool surely_holds(std::uint64_t size) const noexcept;

  /// An array's bytes, which are not structure. In pieces: begin, any number of pieces, end; end returns the checksum.
  /// `in_one`: as ArrayHash::reset().
  void begin_payload(bool in_one);
  void payload(MutableBytes to);
  ArrayChecksum end_payload() { return payload_.digest(); }
  /// XXH3-64 of all bytes of the payload, after its end. Only where begin_payload() was told so.
  std::uint64_t payload_in_one() const noexcept { return payload_.in_one(); }
  /// How the bytes of an encoded array are stored: every `stored_unit` bytes decode to `unit` bytes; at the end of an
  /// array the rest decodes to the rest. `decode` decodes whole units; several threads call it at once.
  struct EncodedRun {
    std::uint64_t stored_unit = 1;
    std::uint64_t unit = 1;
    std::function<void(Bytes stored, MutableBytes to)> decode;
  };
  /// Reads a piece of an array from `size` stored bytes: whole units, or the rest of the array. Hashes the decoded
  /// bytes.
  void encoded_payload(std::uint64_t size, const EncodedRun& run, MutableBytes to);
  /// Skips an array's bytes after begin_payload(); hashes them if `hash` is set.
  void skip_payload(std::uint64_t size, bool hash);
  /// The payload's bytes if the Source is in memory, else empty.
  Bytes in_place(std::uint64_t offset, std::uint64_t size) const noexcept;

  /// XXH3-64 of the structure so far.
  std::uint64_t structure_checksum();
  bool hashing() const noexcept { return options_.hash; }
  bool hashes_payloads() const noexcept { return options_.hash_payloads; }
  Source& source() const noexcept { return source_; }
  /// An upper bound for the offsets of values.
  std::uint64_t end_of_values() const noexcept {
    return options_.end ? *options_.end - options_.start : ~std::uint64_t{0};
  }
  const Options& options() const noexcept { return options_; }
  std::uint64_t start() const noexcept { return options_.start; }

 private:
  /// `more`: bytes that certainly follow right after `size`.
  void refill(std::size_t size, std::uint64_t more = 0);
  void extend_memory(std::size_t size);
  std::uint64_t structure_left(std::uint64_t offset) const noexcept;
  void hash_window() noexcept;
  std::size_t fetch(MutableBytes to, std::size_t least);
  std::size_t try_fetch(MutableBytes to, std::size_t least);
  void check_expansion() const;
  [[noreturn]] void fail_here(Errc code, std::string message) const;
  [[noreturn]] void rethrow_here(const Error& error) const;
  void announce(std::uint64_t size) const;
  bool in_parallel(std::uint64_t size) const;
  std::uint64_t hash_pieces(std::uint64_t size);
  void payload_parallel(MutableBytes to);
  void share(const Pieces& pieces);
  void fill(MutableBytes to);
  void pass_window(std::uint64_t offset) noexcept;
  [[noreturn]] void reserved_head() const;
  [[noreturn]] void ended() const;

  Source& source_;
  Options options_;
  ProcessOwned<Crew> crew_;
  Pool<std::vector<std::byte>> pieces_;  // pieces of encoded arrays
  Bytes whole_;                          // the Source, if it is in memory
  Bytes memory_;                         // the same if it is used as the window
  std::unique_ptr<std::byte[]> buffer_;
  std::size_t capacity_ = 0;
  const std::byte* window_ = nullptr;
  const std::byte* at_ = nullptr;
  const std::byte* end_ = nullptr;
  const std::byte* hashed_ = nullptr;
  std::uint64_t window_at_ = 0;  // archive offset of the start of window_
  const Reader* reader_ = nullptr;
  Xxh3 structure_;
  ArrayHash payload_;
};

}  // namespace stele

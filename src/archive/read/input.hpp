#pragma once
// The bytes of an archive on their way from a Source. Structure is read through a window, arrays straight to where they
// belong; everything is hashed on the way, and no byte behind the archive is taken.

#include <functional>
#include <memory>
#include <mutex>
#include <optional>

#include "archive/read/pieces.hpp"
#include "base/checksum.hpp"
#include "base/crew.hpp"
#include "base/pool.hpp"
#include "base/process.hpp"
#include "format/cbor.hpp"
#include "format/directory.hpp"
#include "stele/io.hpp"
#include "stele/options.hpp"

namespace stele {

/// Checks runs of structure against the directory's segments, each when it is first read. Thread-safe.
class SegmentCheck {
 public:
  SegmentCheck(const Source& source, std::uint64_t start, const Directory& directory, const Trailer& trailer);
  /// Throws: Error(damaged) if a segment that holds a byte of [first, last) is not what was written.
  void ensure(std::uint64_t first, std::uint64_t last);

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

/// Whether plain bytes are more than the limit allows for a compressed file's.
bool expands_too_much(std::uint64_t plain, std::uint64_t stored, const Limits& limits) noexcept;

class Input {
 public:
  struct Options {
    std::uint64_t start = 0;           // of the archive in the Source; used where it is read at offsets
    std::optional<std::uint64_t> end;  // where the archive's bytes end, counted in the Source
    bool trusted_size = false;         // `end` is a fact, not a claim of compressed data
    unsigned threads = 1;
    bool hash = false;           // hash the structure in order
    bool hash_payloads = false;  // hash each array that is read
    bool random = false;         // read by read_at; seek() works
    std::size_t window = std::size_t{64} << 10;
    Limits limits;
    std::optional<std::uint64_t> stored_size;  // of the compressed file, for the expansion limit
    SegmentCheck* segments = nullptr;
    // Set for a mapping: its structure is read by read_at, up to the arrays listed here. Touching a page of a mapping
    // for the first time costs several times as much.
    const Directory* mapped = nullptr;
  };

  Input(Source& source, const Options& options);

  /// The offset of the next byte from the archive's start.
  std::uint64_t position() const noexcept { return window_at_ + static_cast<std::uint64_t>(at_ - window_); }
  void seek(std::uint64_t offset);

  /// `size` bytes (at most 64) at the current place, not consumed.
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
  /// What is in the window already.
  Bytes available() const noexcept { return {at_, end_}; }

  /// Tells how many bytes are sure to follow behind those asked for; the window may hold that many more and no others.
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

  /// Structure of any length, to `to` or to nowhere.
  void read(MutableBytes to);
  void skip(std::uint64_t size);
  /// Whether `size` more bytes are there as far as is known; `sure`: and known to be.
  bool may_hold(std::uint64_t size) const noexcept;
  bool surely_holds(std::uint64_t size) const noexcept;

  /// An array's bytes outside the structure. In pieces: begin, any number of pieces, end, which gives the XXH3-64.
  void begin_payload();
  void payload(MutableBytes to);
  std::uint64_t end_payload() noexcept;
  /// How the bytes of an array are stored otherwise than they are: `stored_unit` bytes become `unit` bytes, and at the
  /// end of an array what is left the rest. `decode` does that for whole units; called by several threads at once.
  struct EncodedRun {
    std::uint64_t stored_unit = 1;
    std::uint64_t unit = 1;
    std::function<void(Bytes stored, MutableBytes to)> decode;
  };
  /// A piece of an array of which `size` bytes are stored, whole units or the rest of the array. What is hashed is
  /// `to`.
  void encoded_payload(std::uint64_t size, const EncodedRun& run, MutableBytes to);
  /// Skips an array's bytes; hashes them if `hash`.
  std::uint64_t skip_payload(std::uint64_t size, bool hash);
  /// The payload's bytes where the Source lies in memory, else empty.
  Bytes in_place(std::uint64_t offset, std::uint64_t size) const noexcept;

  /// XXH3-64 of the structure read so far.
  std::uint64_t structure_checksum();
  bool hashing() const noexcept { return options_.hash; }
  bool hashes_payloads() const noexcept { return options_.hash_payloads; }
  Source& source() const noexcept { return source_; }
  /// A bound for the offsets of values.
  std::uint64_t end_of_values() const noexcept {
    return options_.end ? *options_.end - options_.start : ~std::uint64_t{0};
  }
  const Options& options() const noexcept { return options_; }
  std::uint64_t start() const noexcept { return options_.start; }

 private:
  /// `more`: bytes known to follow right behind `size`.
  void refill(std::size_t size, std::uint64_t more = 0);
  void extend_memory(std::size_t size);
  std::uint64_t structure_left(std::uint64_t offset) const noexcept;
  void hash_window() noexcept;
  std::size_t fetch(MutableBytes to, std::size_t least);
  std::size_t try_fetch(MutableBytes to, std::size_t least);
  void check_expansion() const;
  [[noreturn]] void fail_here(Errc code, std::string message) const;
  [[noreturn]] void rethrow_here(const Error& error) const;
  bool in_parallel(std::uint64_t size) const;
  void payload_parallel(MutableBytes to);
  void share(const Pieces& pieces);
  void fill(MutableBytes to);
  void pass_window(std::uint64_t offset) noexcept;
  [[noreturn]] void reserved_head() const;
  [[noreturn]] void ended() const;

  Source& source_;
  Options options_;
  ProcessOwned<Crew> crew_;
  Pool<std::vector<std::byte>> pieces_;  // of encoded arrays
  Bytes whole_;                          // where the Source lies in memory
  Bytes memory_;                         // the same if it serves as the window
  std::unique_ptr<std::byte[]> buffer_;
  std::size_t capacity_ = 0;
  const std::byte* window_ = nullptr;
  const std::byte* at_ = nullptr;
  const std::byte* end_ = nullptr;
  const std::byte* hashed_ = nullptr;
  std::uint64_t window_at_ = 0;  // archive offset of window_
  const Reader* reader_ = nullptr;
  Xxh3 structure_;
  Xxh3 payload_;
};

}  // namespace stele

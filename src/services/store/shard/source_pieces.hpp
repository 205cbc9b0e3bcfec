#pragma once
// Reads a remote file: caches the pieces read last, and prefetches during sequential reads.

#include <array>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>

#include "base/process.hpp"
#include "stele/io.hpp"

namespace stele {

/// Bytes of a file.
struct Extent {
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  std::uint64_t end() const noexcept { return offset + length; }
};

/// A part of a Source each read of which takes long to begin. It is read in pieces of 64 KiB; reads that go on from
/// each other, up or down, double them up to 8 MiB. What is 1 MiB or longer is read alone and not kept. Offsets are
/// those of the Source. Thread-safe; a child of fork() begins with nothing in memory.
class SourcePieces {
 public:
  /// `source` has random access. `most_kept`: bytes. `announces`: longer reads in order are announced to the Source, up
  /// to 64 MiB ahead; it follows one such announcement at a time.
  SourcePieces(std::shared_ptr<const Source> source, Extent within, std::uint64_t most_kept, bool announces)
      : source_(std::move(source)), within_(within), most_kept_(most_kept), announces_(announces) {}

  /// Fills `into` from `offset` on, which lies within the part as a whole.
  /// Throws: what the Source throws, but Error(changed) where the file is gone.
  void read(std::uint64_t offset, MutableBytes into) const;
  /// Prefetches extents, given in ascending order, several at once, up to half of the cache. Does nothing for a single
  /// extent: read() fetches it.
  /// Throws: as read().
  void fetch(std::span<const Extent> extents) const;

 private:
  struct Piece {
    Extent place;
    std::unique_ptr<std::byte[]> bytes;
  };
  /// A run of sequential reads.
  struct Course {
    Extent last;
    std::uint64_t grown = 0;      // bytes read ahead
    std::uint64_t announced = 0;  // up to this offset
  };
  /// What threads share.
  struct Shared {
    using Pieces = std::list<std::shared_ptr<const Piece>>;
    std::mutex mutex;  // guards the other members
    Pieces pieces;     // the last one used first
    std::map<std::uint64_t, Pieces::iterator> places;
    std::uint64_t kept = 0;         // bytes
    std::array<Course, 8> courses;  // the last one used first
  };
  /// How to read what is not in memory.
  struct Plan {
    Extent wanted;
    Extent piece;      // around `wanted`
    Extent announced;  // empty: nothing
  };

  static std::shared_ptr<const Piece> find(Shared& shared, std::uint64_t offset);
  /// What of the part is around an offset that is not in memory.
  Extent gap(const Shared& shared, std::uint64_t offset) const;
  Plan plan(Shared& shared, Extent wanted) const;
  std::shared_ptr<const Piece> fetch_piece(Shared& shared, Extent place) const;
  void read_source(std::uint64_t offset, MutableBytes into) const;

  const std::shared_ptr<const Source> source_;
  const Extent within_;
  const std::uint64_t most_kept_;
  const bool announces_;
  mutable PerProcess<Shared> shared_;
};

}  // namespace stele

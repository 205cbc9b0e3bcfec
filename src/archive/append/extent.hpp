#pragma once
// Finds out how far a file that grows by commits is whole. An Appender writes the first byte of a commit last: until
// then there is a zero byte, or the end of the file, where the commit will be. So a reader that follows the entries
// from the start needs nothing more; this finds the end from the end, without reading what lies before the last commit.

#include <optional>

#include "archive/append/file_codec.hpp"
#include "archive/append/growing_source.hpp"
#include "stele/options.hpp"

namespace stele {

/// A place between entries, where a commit or, in a plain file, an entry begins.
struct EntryPlace {
  std::uint64_t offset = 0;
  std::uint64_t entry = 0;  // the number of entries before it
};

struct Extent {
  EntryPlace end;               // after the last whole entry
  std::uint64_t size = 0;       // of the file; what lies after `end` is torn, or damaged
  std::optional<Error> damage;  // what lies after `end` is not the beginning of an entry that was being written

  bool torn() const noexcept { return size > end.offset && !damage; }
};

/// What is read of the last commit: nothing that is not needed, or everything, to check it against its checksums.
enum class ExtentCheck : std::uint8_t { ends, last_commit };

/// Looks at the file from `from` on, a place where a commit begins.
/// Throws: Error(io), Error(limit_exceeded) where finding the end would take too long: the file was made for that.
Extent find_extent(GrowingSource& file, const FileCodec& codec, EntryPlace from, ExtentCheck check,
                   const LoadOptions& options);

/// The last place at or before that of an entry, from which the entry is reached by skipping. `end` as find_extent()
/// gave it.
EntryPlace find_entry(GrowingSource& file, const FileCodec& codec, EntryPlace end, std::uint64_t entry,
                      const LoadOptions& options);

}  // namespace stele

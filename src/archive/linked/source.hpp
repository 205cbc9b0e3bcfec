#pragma once
// Reading a linked archive: a file that holds some bytes of an archive and says in which other files of its folder the
// others are (docs/format.md, section "Linked archives"). To its readers it is one archive.

#include <cstdint>
#include <memory>
#include <string>

#include "format/links.hpp"
#include "stele/io.hpp"
#include "stele/options.hpp"

namespace stele {

/// Whether a file that begins with these bytes is a linked archive.
bool is_linked(Bytes first) noexcept;

struct Linked {
  std::unique_ptr<Source> source;  // of the bytes of the archive
  std::shared_ptr<Mapping> mapping;
  LinkTable table;
};

/// Which of the files that it refers to are opened.
enum class LinkedFiles : std::uint8_t {
  all,   // so that they can be read even after they are removed
  none,  // reading what is in them is an Error(not_found)
};

/// Opens a linked archive, and maps it unless `mode` is none. Bytes whose place in a page differs between file and
/// archive are copies in memory then.
/// Throws: Error(not_found) where a file is missing, Error(damaged), Error(malformed), Error(truncated), Error(io),
/// Error(not_mappable) for read_write, Error(limit_exceeded).
Linked open_linked(const Path& path, MapMode mode, const Limits& limits, LinkedFiles files = LinkedFiles::all);

}  // namespace stele

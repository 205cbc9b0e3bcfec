#pragma once
// The table of a linked archive: which bytes of it are in its own file, and which in other files of the folder
// (docs/format.md, section "Linked archives").

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "stele/io.hpp"

namespace stele {

struct LinkTable {
  /// Another file: its name in the folder, and what tells it from others of that name.
  struct File {
    std::string name;
    std::uint64_t id = 0;  // file_id() of its last bytes
  };
  /// Bytes of the archive, which begin where those of the extent before end; the first one follows the label.
  struct Extent {
    std::uint64_t length = 0;
    std::size_t file = 0;  // 0: the archive's own; else files[file - 1]
    std::uint64_t offset = 0;
  };
  std::uint64_t length = 0;  // of the archive
  std::vector<File> files;
  std::vector<Extent> extents;

  /// Adds an extent, or makes the last one longer.
  void add(const Extent& extent);
};

std::vector<std::byte> encode_links(const LinkTable& table);
/// Checks that the extents fill the archive, and that all names are those of files in a folder.
/// Throws: Error(malformed), Error(truncated), Error(damaged), Error(unsupported) for a newer format.
LinkTable decode_links(Bytes item, std::uint64_t offset);

/// XXH3-64 of the trailer of a file, which is its last frozen::trailer_bytes.
std::uint64_t file_id(Bytes trailer) noexcept;
/// The name, from the folder on, under which a file stays that others refer to.
std::string kept_name(std::string_view name, std::uint64_t id);

}  // namespace stele

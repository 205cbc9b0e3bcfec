#pragma once
// What an earlier archive of a folder holds, so that a later one can refer to it instead of holding it again.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "format/links.hpp"
#include "stele/io.hpp"

namespace stele {

/// The arrays of an archive, plain or linked, by the pieces that have checksums, and the files they are in.
class LinkBase {
 public:
  static constexpr std::uint64_t least_bytes = std::uint64_t{64} << 10;  // of a piece that is referred to

  /// Reads the directory of the archive `name` in `folder`. Nothing if it has no arrays to refer to: it is compressed.
  /// A file of which less than half is still in use counts as not there, so that its bytes are written anew and it can
  /// go; of more than 64 files, so do those with the least.
  /// Throws: what open() throws.
  static std::optional<LinkBase> read(const Path& folder, const std::string& name);

  struct Piece {
    std::uint64_t checksum = 0;
    std::size_t file = 0;  // an index in files(), counted from 1; 0: it may not be referred to
    std::uint64_t offset = 0;
  };
  struct Known {
    std::uint64_t bytes = 0;
    std::vector<Piece> pieces;
  };
  /// The array at a path, if it had as many bytes; null otherwise.
  const Known* find(std::string_view path, std::uint64_t bytes) const;
  /// An array anywhere of as many bytes whose first piece has this checksum; null if there is none.
  const Known* find(std::uint64_t bytes, std::uint64_t first_checksum) const;
  const std::vector<LinkTable::File>& files() const noexcept { return files_; }

 private:
  LinkBase() = default;
  std::vector<LinkTable::File> files_;
  std::vector<Known> known_;
  std::unordered_map<std::string, std::size_t> by_path_;
  std::unordered_map<std::uint64_t, std::size_t> by_content_;
};

}  // namespace stele

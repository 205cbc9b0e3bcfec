#include "archive/linked/base.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <numeric>

#include "archive/linked/source.hpp"
#include "archive/read/opened.hpp"
#include "base/naming.hpp"
#include "format/directory.hpp"
#include "format/frozen.hpp"
#include "io/system.hpp"
#include "stele/error.hpp"

namespace stele {
namespace {

constexpr std::size_t most_files = 64;

std::uint64_t content_key(std::uint64_t bytes, std::uint64_t checksum) noexcept {
  return checksum ^ (bytes * 0x9E3779B97F4A7C15u);
}

std::uint64_t size_of(const std::string& path) {
  struct stat status;
  return system_calls().stat(path.c_str(), &status) == 0 ? static_cast<std::uint64_t>(status.st_size) : 0;
}

/// Which files later archives may refer to: the archive's own, and those that are mostly in use.
std::vector<bool> files_to_keep(const LinkTable& table, const std::string& folder) {
  std::vector<std::uint64_t> used(table.files.size() + 1, 0);
  for (const LinkTable::Extent& extent : table.extents) {
    used[extent.file] += extent.length;
  }
  std::vector<bool> keep(used.size(), false);
  keep[0] = true;
  std::vector<std::size_t> order(table.files.size());
  std::iota(order.begin(), order.end(), std::size_t{1});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return used[a] > used[b]; });
  order.resize(std::min(order.size(), most_files - 1));
  for (const std::size_t file : order) {
    const LinkTable::File& target = table.files[file - 1];
    std::uint64_t size = size_of(folder + "/" + target.name);
    if (size == 0) {
      size = size_of(folder + "/" + kept_name(target.name, target.id));
    }
    keep[file] = used[file] >= size / 2;
  }
  return keep;
}

}  // namespace

std::optional<LinkBase> LinkBase::read(const Path& folder, const std::string& name) {
  const std::string path = folder.text() + "/" + name;
  return naming(path, [&]() -> std::optional<LinkBase> {
    LoadOptions options;
    options.verify = Verify::directory;
    const Opened opened = open_path(path, options, Loading::parts);
    if (opened.compressed || !opened.source->random_access()) {
      return std::nullopt;
    }
    const Tail tail = find_tail(opened, 0);
    const std::unique_ptr<Source> file = file_source(path);
    std::array<std::byte, frozen::trailer_bytes> last;
    file->read_at(*file->size() - last.size(), last);
    // The archive's own file counts as the first one here.
    LinkTable table;
    if (opened.links != nullptr) {
      table = *opened.links;
    } else {
      table.length = tail.trailer.total_length;
      table.add({table.length - frozen::label.size(), 0, frozen::label.size()});
    }
    const std::vector<bool> keep = files_to_keep(table, folder.text());
    LinkBase base;
    base.files_.push_back({name, file_id(last)});
    base.files_.insert(base.files_.end(), table.files.begin(), table.files.end());
    std::vector<std::uint64_t> ends;
    std::uint64_t end = frozen::label.size();
    for (const LinkTable::Extent& extent : table.extents) {
      ends.push_back(end += extent.length);
    }
    const auto place = [&](std::uint64_t at, std::uint64_t bytes, Piece& piece) {
      const auto i = static_cast<std::size_t>(std::upper_bound(ends.begin(), ends.end(), at) - ends.begin());
      if (i < ends.size() && bytes >= least_bytes && ends[i] - at >= bytes && keep[table.extents[i].file]) {
        const LinkTable::Extent& extent = table.extents[i];
        piece.file = extent.file + 1;
        piece.offset = extent.offset + (extent.length - (ends[i] - at));
      }
    };
    for (const ArrayEntry& entry : tail.directory.arrays) {
      if (!entry.is_raw() || entry.length < least_bytes ||
          (entry.piece_checksums.empty() && entry.length > frozen::checked_piece_bytes)) {
        continue;
      }
      Known known{.bytes = entry.length, .pieces = {}};
      const std::size_t count = std::max<std::size_t>(entry.piece_checksums.size(), 1);
      for (std::size_t i = 0; i < count; ++i) {
        const std::uint64_t at = i * frozen::checked_piece_bytes;
        Piece piece;
        piece.checksum = entry.piece_checksums.empty() ? entry.checksum : entry.piece_checksums[i];
        place(entry.offset + at, std::min(entry.length - at, frozen::checked_piece_bytes), piece);
        known.pieces.push_back(piece);
      }
      base.by_path_.emplace(entry.path, base.known_.size());
      base.by_content_.emplace(content_key(known.bytes, known.pieces[0].checksum), base.known_.size());
      base.known_.push_back(std::move(known));
    }
    return base;
  });
}

const LinkBase::Known* LinkBase::find(std::string_view path, std::uint64_t bytes) const {
  const auto found = by_path_.find(std::string(path));
  return found != by_path_.end() && known_[found->second].bytes == bytes ? &known_[found->second] : nullptr;
}

const LinkBase::Known* LinkBase::find(std::uint64_t bytes, std::uint64_t first_checksum) const {
  const auto found = by_content_.find(content_key(bytes, first_checksum));
  if (found == by_content_.end()) {
    return nullptr;
  }
  const Known& known = known_[found->second];
  return known.bytes == bytes && known.pieces[0].checksum == first_checksum ? &known : nullptr;
}

}  // namespace stele

#include "archive/linked/source.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "archive/read/input.hpp"
#include "format/directory.hpp"
#include "format/frozen.hpp"
#include "io/descriptor.hpp"
#include "io/mapped_file.hpp"
#include "io/replace/place.hpp"
#include "io/system.hpp"
#include "stele/error.hpp"

namespace stele {
namespace {

struct OpenFile {
  OwnedDescriptor file;
  std::string name;
  std::uint64_t size = 0;
};

class LinkedSource final : public Source {
 public:
  LinkedSource(std::string name, LinkTable table, std::vector<OpenFile> files, std::shared_ptr<Mapping> mapping)
      : name_(std::move(name)), table_(std::move(table)), files_(std::move(files)), mapping_(std::move(mapping)) {
    std::uint64_t end = frozen::label.size();
    for (const LinkTable::Extent& extent : table_.extents) {
      ends_.push_back(end += extent.length);
    }
  }

  std::size_t read(MutableBytes into) override {
    const std::uint64_t left = table_.length - std::min(position_, table_.length);
    const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(into.size(), left));
    read_at(position_, into.first(count));
    position_ += count;
    return count;
  }
  std::optional<std::uint64_t> size() const override { return table_.length; }
  bool random_access() const noexcept override { return true; }
  void seek(std::uint64_t offset) override { position_ = offset; }
  void read_at(std::uint64_t offset, MutableBytes into) const override {
    if (into.empty()) {
      return;
    }
    if (offset > table_.length || into.size() > table_.length - offset) {
      fail_truncated(name_, table_.length, offset, into.size());
    }
    if (offset < frozen::label.size()) {
      const Bytes label = std::as_bytes(std::span(frozen::label)).subspan(static_cast<std::size_t>(offset));
      const std::size_t count = std::min(label.size(), into.size());
      std::copy_n(label.begin(), count, into.begin());
      into = into.subspan(count);
      offset += count;
    }
    auto at = static_cast<std::size_t>(std::upper_bound(ends_.begin(), ends_.end(), offset) - ends_.begin());
    for (; !into.empty(); ++at) {
      const LinkTable::Extent& extent = table_.extents[at];
      const std::uint64_t left = ends_[at] - offset;
      const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(left, into.size()));
      const OpenFile& file = files_[extent.file];
      if (!file.file.is_open()) {
        fail(Errc::not_found, name_ + " refers to " + file.name + ", which was not opened", {.file = name_});
      }
      read_all_at(file.file.get(), extent.offset + (extent.length - left), into.first(count), file.name);
      into = into.subspan(count);
      offset += count;
    }
  }
  Bytes memory() const noexcept override { return mapping_ != nullptr ? mapping_->bytes() : Bytes(); }
  std::string name() const override { return name_; }

 private:
  std::string name_;
  LinkTable table_;
  std::vector<OpenFile> files_;      // the archive's own, and those it refers to
  std::vector<std::uint64_t> ends_;  // of the extents, in the archive
  std::shared_ptr<Mapping> mapping_;
  std::uint64_t position_ = 0;
};

/// Fills in the size. False if there is no such file.
bool open_file(const Folder& folder, const std::string& name, OpenFile& into) {
  into.name = folder.path() + name;
  into.file = folder.open_file(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (!into.file.is_open()) {
    if (errno == ENOENT) {
      return false;
    }
    fail_call("open", into.name, errno);
  }
  struct stat status;
  if (system_calls().fstat(into.file.get(), &status) != 0) {
    fail_call("open", into.name, errno);
  }
  if (!S_ISREG(status.st_mode)) {
    fail(Errc::unsupported, into.name + " is not a regular file", {.file = into.name});
  }
  into.size = static_cast<std::uint64_t>(status.st_size);
  return true;
}

using TrailerBytes = std::array<std::byte, frozen::trailer_bytes>;

/// False if the file is too short.
bool read_trailer(const OpenFile& file, TrailerBytes& last) {
  if (file.size < last.size()) {
    return false;
  }
  read_all_at(file.file.get(), file.size - last.size(), last, file.name);
  return true;
}

OpenFile open_target(const Folder& folder, const LinkTable::File& wanted, const std::string& from) {
  const std::string kept = kept_name(wanted.name, wanted.id);
  // A file may move from its first name to the second one meanwhile, never back.
  for (const std::string& name : {wanted.name, kept}) {
    OpenFile file;
    TrailerBytes last;
    if (open_file(folder, name, file) && read_trailer(file, last) && file_id(last) == wanted.id) {
      return file;
    }
  }
  fail(Errc::not_found,
       from + " refers to a file " + wanted.name +
           " in its folder, which is missing, truncated or another one; it may be in " + kept,
       {.file = from});
}

}  // namespace

bool is_linked(Bytes first) noexcept {
  const Bytes label = std::as_bytes(std::span(frozen::link_label));
  return first.size() >= label.size() && std::equal(label.begin(), label.end(), first.begin());
}

Linked open_linked(const Path& path, MapMode mode, const Limits& limits, LinkedFiles which) {
  const std::string& name = path.text();
  if (mode == MapMode::read_write) {
    fail(Errc::not_mappable,
         name + " is a linked archive: its bytes belong to other files too, so it cannot be changed", {.file = name});
  }
  const Place place = find_place(name);
  std::vector<OpenFile> files(1);
  if (place.descriptor || place.foreign || place.name.empty() || !open_file(place.folder, place.name, files[0])) {
    fail(Errc::not_found, "cannot open " + name + ": there is no such file", {.file = name});
  }
  OpenFile& own = files[0];
  own.name = name;
  TrailerBytes last;
  if (!read_trailer(own, last)) {
    fail(Errc::truncated, "a linked archive is truncated", {.file = name});
  }
  const Trailer trailer = decode_trailer(last, own.size - last.size(), frozen::link_end_magic);
  if (trailer.directory_length > limits.allocation) {
    fail(Errc::limit_exceeded, "the table of a linked archive is beyond the allocation limit", {.file = name});
  }
  std::vector<std::byte> item(static_cast<std::size_t>(trailer.directory_length));
  read_all_at(own.file.get(), trailer.directory_offset, item, name);
  if (xxh3_64(item) != trailer.directory_checksum) {
    fail(Errc::damaged, "the checksum of the table of a linked archive does not match", {.file = name});
  }
  LinkTable table = decode_links(item, trailer.directory_offset);
  std::uint64_t stored = own.size;
  for (const LinkTable::File& file : table.files) {
    files.push_back(which == LinkedFiles::all ? open_target(place.folder, file, name)
                                              : OpenFile{.file = {}, .name = place.folder.path() + file.name});
    stored += files.back().size;
  }
  for (const LinkTable::Extent& extent : table.extents) {
    const OpenFile& file = files[extent.file];
    if (file.file.is_open() && extent.offset + extent.length > file.size) {
      fail(Errc::truncated, name + " refers to bytes after the end of " + file.name, {.file = name});
    }
  }
  if (which == LinkedFiles::all && expands_too_much(table.length, stored, limits)) {
    fail(Errc::limit_exceeded,
         message({"a linked archive of ", table.length, " bytes has only ", stored, " bytes of files"}),
         {.file = name});
  }
  Linked linked;
  if (mode != MapMode::none) {
    std::vector<MappedFile::Part> parts;
    parts.reserve(table.extents.size());
    for (const LinkTable::Extent& extent : table.extents) {
      parts.push_back({files[extent.file].file.get(), extent.offset, extent.length});
    }
    linked.mapping = MappedFile::join(std::as_bytes(std::span(frozen::label)), parts, mode, name);
  }
  linked.table = table;
  linked.source = std::make_unique<LinkedSource>(name, std::move(table), std::move(files), linked.mapping);
  // The table may be the same in two archives of the same sizes; their trailers never are.
  linked.source->read_at(std::max<std::uint64_t>(linked.table.length, last.size()) - last.size(), last);
  if (xxh3_64(last) != trailer.structure_checksum) {
    fail(Errc::damaged, "the trailer of a linked archive contradicts that of the archive", {.file = name});
  }
  return linked;
}

}  // namespace stele

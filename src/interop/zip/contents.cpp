#include "interop/zip/contents.hpp"

#include <algorithm>
#include <string>

#include "codec/formats/deflate.hpp"
#include "format/path/path.hpp"
#include "interop/array.hpp"
#include "io/read.hpp"
#include "stele/error.hpp"

namespace stele {

void rethrow_in(const Error& error, const ZipMember& member) {
  std::string path;
  append_step(path, member.name);
  rethrow_at(error, {.path = path});
}

void check_rest(Source& member) {
  std::vector<std::byte> piece(std::size_t{64} << 10);
  while (member.read(piece) > 0) {
  }
}

std::vector<std::byte> zip_bytes(const ZipReader& zip, const ZipMember& member) {
  try {
    const std::unique_ptr<Source> source = zip.open(member);
    std::vector<std::byte> bytes;  // grows as data arrives: the size is only claimed
    constexpr std::size_t least = std::size_t{64} << 10;
    while (bytes.size() < member.bytes) {
      const std::size_t have = bytes.size();
      bytes.resize(static_cast<std::size_t>(std::min<std::uint64_t>(member.bytes, std::max(least, 2 * have))));
      read_exactly(*source, MutableBytes(bytes).subspan(have));
    }
    check_rest(*source);
    return bytes;
  } catch (const Error& error) {
    rethrow_in(error, member);
  }
}

ZipContents::ZipContents(const Neighbour& file)
    : file_(file),
      mapped_(file.mapping != nullptr ? memory_source(file.mapping->bytes()) : nullptr),
      zip_(mapped_ ? *mapped_ : file.source) {
  check_limits();
  for (const ZipMember& member : zip_.members()) {
    by_name_.emplace(member.name, &member);
  }
}

void ZipContents::check_limits() const {
  constexpr std::uint64_t free_bytes = std::uint64_t{1} << 30;  // Limits::expansion
  const Limits& limits = file_.options.limits;
  std::uint64_t total = 0;
  for (const ZipMember& member : zip_.members()) {
    if (member.bytes > limits.allocation) {
      fail(Errc::limit_exceeded,
           member.name + " would take " + std::to_string(member.bytes) + " bytes, more than the limit");
    }
    total += std::min(member.bytes, UINT64_MAX - total);
  }
  if (total > free_bytes && total / std::max<std::uint64_t>(1, limits.expansion) > zip_.bytes()) {
    fail(Errc::limit_exceeded, "its members would take " + std::to_string(total) + " bytes, more than the limit");
  }
}

const ZipMember* ZipContents::find(std::string_view name) const noexcept {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : found->second;
}

Bytes ZipContents::content(const ZipMember& member, std::uint64_t offset) const {
  return file_.mapping->bytes().subspan(static_cast<std::size_t>(offset), static_cast<std::size_t>(member.bytes));
}

void ZipContents::check(const ZipMember& member) const {
  if (crc32_of(0, content(member, zip_.content_offset(member))) != member.crc) {
    fail(Errc::damaged, "it contradicts its checksum");
  }
}

std::uint64_t ZipContents::place_of(const ZipMember& member) const {
  if (file_.options.verify == Verify::full) {
    check(member);
  }
  return zip_.content_offset(member);
}

AnyArray ZipContents::array(const ZipMember& member, const ArrayHeader& header) const {
  try {
    if (const std::uint64_t bytes = array_bytes(header); bytes != member.bytes) {
      fail(Errc::malformed, "it has " + std::to_string(member.bytes) + " bytes instead of " + std::to_string(bytes));
    }
    if (in_place(member)) {
      return array_at(file_, place_of(member), header);
    }
    check_copy(file_, member.bytes, "its member is compressed");
    const std::unique_ptr<Source> source = zip_.open(member);
    AnyArray array = read_elements(*source, header);
    check_rest(*source);
    return array;
  } catch (const Error& error) {
    rethrow_in(error, member);
  }
}

}  // namespace stele

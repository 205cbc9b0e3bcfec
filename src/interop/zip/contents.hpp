#pragma once
// The members of a zip file as the readers of formats take them: in place where the file is mapped, else read.

#include <memory>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "interop/neighbour.hpp"
#include "interop/zip/zip.hpp"
#include "stele/error.hpp"
#include "stele/value.hpp"

namespace stele {

/// Adds the member as the path of an error.
[[noreturn]] void rethrow_in(const Error& error, const ZipMember& member);

/// What a read of a damaged member made of it may have failed for another reason than its checksum. Reads its rest,
/// which throws where the member is damaged.
void check_rest(Source& member);

/// All bytes of a member, with its checksum compared. Throws: as its Source, with the member as the path.
std::vector<std::byte> zip_bytes(const ZipReader& zip, const ZipMember& member);

class ZipContents {
 public:
  /// Reads the directory. `file` must outlive this. Throws: as ZipReader, and Error(limit_exceeded) where the members
  /// would take more than the limits allow.
  explicit ZipContents(const Neighbour& file);

  const Neighbour& file() const noexcept { return file_; }
  const ZipReader& zip() const noexcept { return zip_; }
  /// Null where there is none.
  const ZipMember* find(std::string_view name) const noexcept;

  /// Whether the content lies in the mapping as it is.
  bool in_place(const ZipMember& member) const noexcept { return file_.mapping != nullptr && member.is_stored(); }
  /// Where the content of a member that is in place lies in the file. Compares its checksum only where the options ask
  /// for Verify::full. Throws: Error(damaged).
  std::uint64_t place_of(const ZipMember& member) const;
  /// Fails where the content of a member that is in place contradicts its checksum.
  void check(const ZipMember& member) const;

  /// The array whose elements are the whole content of a member: a view of the mapping, or read, with its checksum
  /// compared. Throws: what array_at() throws; Error(damaged), Error(unsupported), all with the member as the path.
  AnyArray array(const ZipMember& member, const ArrayHeader& header) const;

 private:
  Bytes content(const ZipMember& member, std::uint64_t offset) const;
  void check_limits() const;

  const Neighbour& file_;
  const std::unique_ptr<Source> mapped_;  // not the Source of the file, which may have changed since it was mapped
  const ZipReader zip_;
  std::unordered_map<std::string_view, const ZipMember*> by_name_;
};

}  // namespace stele

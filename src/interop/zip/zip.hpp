#pragma once
// Zip files (PKWARE's APPNOTE.TXT, https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT): stored and deflated
// members, also in the ZIP64 form. Written here rather than by a library, because members are to be found and aligned
// in the file, so that arrays can be mapped in place, and to be read from any Source on several threads.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_set>
#include <vector>

#include "stele/io.hpp"

namespace stele {

struct ZipEnd;  // the library's own

/// A member as the directory at the end of the file describes it.
struct ZipMember {
  std::string name;                // UTF-8; a folder's ends with a slash
  std::uint64_t bytes = 0;         // of its content
  std::uint64_t stored_bytes = 0;  // that the content takes in the file
  std::uint64_t offset = 0;        // of its header in the file
  std::uint32_t crc = 0;           // CRC-32 of its content
  std::uint16_t method = 0;
  std::uint16_t flags = 0;

  /// Whether the content lies in the file as it is.
  bool is_stored() const noexcept { return method == 0 && (flags & 1) == 0; }
};

/// A zip file to be read. Thread-safe.
class ZipReader {
 public:
  /// Reads the directory. `file` must outlive the reader and is not moved, except that a Source without random access
  /// is read to its end into memory.
  /// Members do not share bytes, so that what comes of a file is bounded by what can come of its size.
  /// Throws: Error(damaged) if this is not a zip file, Error(duplicate_field) for a name that comes twice,
  /// Error(unsupported) for a file in several parts and for names that are no UTF-8, Error(io).
  explicit ZipReader(Source& file);

  /// Of the file.
  std::uint64_t bytes() const noexcept { return bytes_; }
  /// All that the file has, in the order of its directory.
  const std::vector<ZipMember>& members() const noexcept { return members_; }
  /// Where the content of a member begins in the file. Reads the member's own header, which must agree with the
  /// directory. Throws: Error(damaged), Error(io).
  std::uint64_t content_offset(const ZipMember& member) const;
  /// Reads the content of a member; its last read() compares size and checksum. Must not outlive the reader.
  /// Throws, as its read() does: Error(damaged), Error(io), Error(unsupported) for encrypted members and for methods
  /// other than deflate.
  std::unique_ptr<Source> open(const ZipMember& member) const;

 private:
  void read_directory(const ZipEnd& end);

  std::vector<std::byte> whole_;         // of a Source without random access
  std::unique_ptr<Source> from_memory_;  // reads `whole_`
  const Source& file_;
  std::uint64_t bytes_ = 0;
  std::uint64_t directory_offset_ = 0;
  std::vector<ZipMember> members_;
};

/// Writes a zip file front to back, in the ZIP64 form where it must. Equal members give equal files: there are no times
/// in them. Not thread-safe. After an error the file is not complete and nothing can be added.
class ZipWriter {
 public:
  /// The contents of stored members begin at multiples of this.
  static constexpr std::uint64_t alignment = 64;

  /// `level`: of deflate, 1 to 9, or 0 for the usual one; nothing: members are stored as they are. `to` must outlive
  /// the writer, and has been given nothing. `threads` compress, 0: as many as the machine has, at most 16.
  /// Throws: Error(invalid_argument) for another level.
  ZipWriter(Sink& to, std::optional<int> level, unsigned threads = 0);

  /// Called at intervals with the bytes of the member written so far; returns false to cancel the file.
  using GoOn = std::function<bool(std::uint64_t)>;
  /// Adds a member; its content is the parts, one after the other. False where `go_on` returned that.
  /// Throws: Error(io), Error(duplicate_field), Error(invalid_argument) for a name of more than 65,535 bytes.
  bool add(const std::string& name, std::span<const Bytes> parts, const GoOn& go_on = {});
  /// Takes the next piece of a member's content; returns false to stop.
  using Take = std::function<bool(Bytes piece)>;
  /// Passes a member's content to `take` in pieces; returns false if `take` did.
  using Pass = std::function<bool(const Take& take)>;
  /// The same for content of `bytes` bytes from a callback. `pass` is called twice if members are stored and the Sink
  /// cannot be patched, because the checksum precedes the content. Throws: also what `pass` throws.
  bool add(const std::string& name, std::uint64_t bytes, const Pass& pass, const GoOn& go_on = {});
  /// Writes the directory. Does not close the Sink. Throws: Error(io).
  void finish();

 private:
  bool store(ZipMember& member, const Pass& pass, const Take& told);
  bool deflate(ZipMember& member, const Pass& pass, const Take& told);
  void write(Bytes bytes);
  void write_local(const ZipMember& member, bool wide);

  Sink& to_;
  const std::optional<int> level_;
  const unsigned threads_;
  std::uint64_t position_ = 0;
  std::vector<ZipMember> members_;
  std::unordered_set<std::string> names_;
};

}  // namespace stele

#pragma once
// The end of a store's data: where records are appended, through a buffer.

#include <cstdint>
#include <string>
#include <vector>

#include "base/checksum.hpp"
#include "io/replace/folder.hpp"
#include "services/store/shard/record.hpp"

namespace stele {

/// Not thread-safe.
class Appender {
 public:
  /// Makes a shard that must not be there yet. Throws: Error(io).
  static Appender create(const Folder& folder, const std::string& name, const ShardHeader& header);
  /// Opens one to go on at `length`; what is behind, of a writer that died, is cut off.
  static Appender open(const Folder& folder, const std::string& name, std::uint64_t length);

  /// The offset of the next byte, and how many are in the file by now.
  std::uint64_t position() const noexcept { return written_ + buffer_.size(); }
  std::uint64_t written() const noexcept { return written_; }
  /// Appends a whole record; `payload_at`, if not 0, is the offset in it of what is to be aligned. Returns where the
  /// record begins. Throws: Error(io); the record is then not appended.
  std::uint64_t append(Bytes record, std::size_t payload_at = 0);
  /// The same for a small one, of up to 64 KiB, that `put` appends to what it is given.
  template <class F>
  std::uint64_t append_small(const F& put) {
    const std::uint64_t at = position();
    put(buffer_);
    flush_if_full(at);
    return at;
  }

  // A record whose payload comes in pieces.
  /// Appends its beginning, behind which the payload is to be aligned. Returns where the record begins.
  std::uint64_t begin(Bytes head);
  void piece(Bytes bytes);
  /// Writes the beginning again, with what is known now; of the same size.
  void end(std::uint64_t at, Bytes head);
  /// Back to where a record began that is not to be.
  void undo(std::uint64_t at) noexcept;

  void flush();
  /// Throws: Error(io). flush() first.
  void sync();

 private:
  Appender(OwnedDescriptor file, std::string path, std::uint64_t length);
  void fill(std::uint64_t count);
  void flush_or_undo(std::uint64_t at);
  void flush_if_full(std::uint64_t at);
  OwnedDescriptor file_;
  std::string path_;
  std::uint64_t written_;
  std::vector<std::byte> buffer_;
};

}  // namespace stele

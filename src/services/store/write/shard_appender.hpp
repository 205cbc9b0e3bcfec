#pragma once
// Appends records to the end of a shard, through a buffer.

#include <cstdint>
#include <string>
#include <vector>

#include "base/checksum.hpp"
#include "io/replace/folder.hpp"
#include "services/store/shard/record.hpp"

namespace stele {

/// Not thread-safe.
class ShardAppender {
 public:
  /// Creates a shard that must not exist yet. Throws: Error(io).
  static ShardAppender create(const Folder& folder, const std::string& name, const ShardHeader& header);
  /// Opens a shard to continue at `length`. Truncates what a dead writer left after that.
  static ShardAppender open(const Folder& folder, const std::string& name, std::uint64_t length);

  /// The offset of the next byte; and the number of bytes already in the file.
  std::uint64_t position() const noexcept { return written_ + buffer_.size(); }
  std::uint64_t written() const noexcept { return written_; }
  /// Appends a complete record. `payload_at`, if not 0, is the offset in it of the payload, which is aligned. Returns
  /// the offset of the record.
  /// Throws: Error(io); the record is then not appended.
  std::uint64_t append(Bytes record, std::size_t payload_at = 0);
  /// The same for a small record of up to 64 KiB, which `put` appends to its argument.
  template <class F>
  std::uint64_t append_small(const F& put) {
    const std::uint64_t at = position();
    put(buffer_);
    flush_if_full(at);
    return at;
  }

  // Begins a record whose payload arrives in pieces. Appends `head`; the payload after it is aligned. Returns the
  // offset of the record.
  std::uint64_t begin(Bytes head);
  void piece(Bytes bytes);
  /// Overwrites the head with its final contents, which have the same size.
  void end(std::uint64_t at, Bytes head);
  /// Removes the record that began at `at`.
  void undo(std::uint64_t at) noexcept;

  void flush();
  /// Throws: Error(io). Call flush() first.
  void sync();

 private:
  ShardAppender(OwnedDescriptor file, std::string path, std::uint64_t length);
  void fill(std::uint64_t count);
  void flush_or_undo(std::uint64_t at);
  void flush_if_full(std::uint64_t at);
  OwnedDescriptor file_;
  std::string path_;
  std::uint64_t written_;
  std::vector<std::byte> buffer_;
};

}  // namespace stele

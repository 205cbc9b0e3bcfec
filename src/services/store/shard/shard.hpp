#pragma once
// A shard for reading: an open file of records, mapped beyond its end so that appended records become visible.

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "io/replace/folder.hpp"
#include "services/store/shard/growing_file.hpp"
#include "services/store/shard/record.hpp"
#include "stele/options.hpp"

namespace stele {

/// Which records were found intact: one bit for each 64 bytes, for the record that begins there. Records shorter than
/// that have none.
class CheckedRecords {
 public:
  static constexpr std::uint64_t least = 64;
  CheckedRecords() = default;
  explicit CheckedRecords(std::uint64_t bytes);
  /// The maximum memory of this object in bytes.
  std::uint64_t memory() const noexcept { return words_ * sizeof(std::uint64_t); }
  bool has(std::uint64_t offset) const noexcept;
  void add(std::uint64_t offset) noexcept;

 private:
  struct Free {
    void operator()(std::atomic<std::uint64_t>* bits) const noexcept;
  };
  std::unique_ptr<std::atomic<std::uint64_t>[], Free> bits_;
  std::uint64_t words_ = 0;
};

/// Thread-safe. Values keep the mapping alive, not the Shard. Intact records are remembered for the next Shard of the
/// same file in this process, until the file changes.
class Shard {
 public:
  ~Shard();
  Shard(const Shard&) = delete;
  Shard& operator=(const Shard&) = delete;
  /// Opens a shard's file and checks its header. `reserve`: the size in bytes to which the file may grow without a new
  /// mapping.
  /// Throws: Error(not_found), Error(io), Error(damaged).
  static std::shared_ptr<Shard> open(const Folder& folder, const std::string& name, std::uint32_t number,
                                     std::uint64_t reserve);
  /// Records in a mapping, starting at offset `base`.
  Shard(std::shared_ptr<Mapping> mapping, std::uint64_t base, std::uint64_t size, std::uint32_t number);
  /// The same in a file on another machine, whose path is for messages. What is fetched anew is checked anew.
  Shard(std::shared_ptr<const SourcePieces> pieces, std::string path, std::uint64_t base, std::uint64_t size,
        std::uint32_t number);

  std::uint32_t number() const noexcept { return number_; }
  const std::string& path() const noexcept { return file_.path(); }
  const ShardHeader& header() const noexcept { return header_; }

  /// As GrowingFile::part().
  using Part = GrowingFile::Part;
  Part part(std::uint64_t offset, std::uint64_t length) const {
    return file_.part(offset > ~base_ ? ~std::uint64_t{0} : base_ + offset, length);
  }
  /// The same, copied to memory; for bytes that may be truncated meanwhile.
  Part read(std::uint64_t offset, std::uint64_t length) const { return file_.read(base_ + offset, length); }
  /// The record at a position.
  /// Throws: Error(damaged) unless it has exactly the position's length, is intact and has a value. `verify`: how much
  /// of a large value to check: automatic up to 1 MiB.
  struct Found {
    std::shared_ptr<Mapping> mapping;
    Bytes bytes;  // of the whole record
    Record record;
  };
  Found record(const Position& position, Verify verify) const;
  /// The current size in bytes.
  std::uint64_t size() const { return file_.size() - base_; }
  /// Asks the system to read a range ahead.
  void prefetch(std::uint64_t offset, std::uint64_t length) const noexcept { file_.prefetch(base_ + offset, length); }
  /// Whether parts are fetched from another machine.
  bool is_remote() const noexcept { return file_.pieces() != nullptr; }
  /// Then fetches ranges, ascending, several at once. Throws: Error(io), Error(changed).
  void fetch(std::vector<Extent> ranges) const;

  [[noreturn]] void fail_damaged(const std::string& what, std::uint64_t offset) const;

 private:
  Shard() = default;
  std::uint32_t number_ = 0;
  GrowingFile file_;
  ShardHeader header_;
  std::uint64_t base_ = 0;
  mutable std::shared_ptr<CheckedRecords> checked_;
};

}  // namespace stele

#pragma once
// A shard as readers see it: an open file of records, mapped beyond its end so that what is appended appears.

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

/// Which records were found whole: a bit for each 64 bytes in which one begins. Shorter ones have none.
class CheckedRecords {
 public:
  static constexpr std::uint64_t least = 64;
  CheckedRecords() = default;
  explicit CheckedRecords(std::uint64_t bytes);
  /// What this takes at most.
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

/// Thread-safe. Values keep the mapping alive, not the Shard. What was found whole is remembered for the next that
/// opens the same file in this process, as long as it does not change meanwhile.
class Shard {
 public:
  ~Shard();
  Shard(const Shard&) = delete;
  Shard& operator=(const Shard&) = delete;
  /// Opens a shard's file and checks its header. `reserve`: how many bytes the file may grow to without another
  /// mapping. Throws: Error(not_found), Error(io), Error(damaged).
  static std::shared_ptr<Shard> open(const Folder& folder, const std::string& name, std::uint32_t number,
                                     std::uint64_t reserve);
  /// Records that lie in a mapping, `base` bytes behind its beginning.
  Shard(std::shared_ptr<Mapping> mapping, std::uint64_t base, std::uint64_t size, std::uint32_t number);

  std::uint32_t number() const noexcept { return number_; }
  const std::string& path() const noexcept { return file_.path(); }
  const ShardHeader& header() const noexcept { return header_; }

  /// As GrowingFile::part().
  using Part = GrowingFile::Part;
  Part part(std::uint64_t offset, std::uint64_t length) const {
    return file_.part(offset > ~base_ ? ~std::uint64_t{0} : base_ + offset, length);
  }
  /// The same in memory, for what may be cut off meanwhile.
  Part read(std::uint64_t offset, std::uint64_t length) const { return file_.read(base_ + offset, length); }
  /// The record at a position. Throws: Error(damaged) unless it fills the position, is whole and has a value.
  /// `verify`: how much of a large value is checked: automatic up to 1 MiB.
  struct Found {
    std::shared_ptr<Mapping> mapping;
    Record record;
  };
  Found record(const Position& position, Verify verify) const;
  /// The bytes in the file now.
  std::uint64_t size() const { return file_.size() - base_; }
  /// Asks the system to read a part ahead.
  void prefetch(std::uint64_t offset, std::uint64_t length) const noexcept { file_.prefetch(base_ + offset, length); }

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

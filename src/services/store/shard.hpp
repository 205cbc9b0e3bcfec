#pragma once
// A shard as readers see it: an open file of records, mapped beyond its end so that what is appended appears.

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "services/store/record.hpp"
#include "src/io/folder.hpp"
#include "stele/options.hpp"

namespace stele {

/// Which records were found whole: a bit for each 64 bytes in which one begins. Shorter ones have none.
class CheckedRecords {
 public:
  static constexpr std::uint64_t least = 64;
  CheckedRecords() = default;
  explicit CheckedRecords(std::uint64_t bytes);
  bool has(std::uint64_t offset) const noexcept;
  void add(std::uint64_t offset) noexcept;

 private:
  struct Free {
    void operator()(std::atomic<std::uint64_t>* bits) const noexcept;
  };
  std::unique_ptr<std::atomic<std::uint64_t>[], Free> bits_;
  std::uint64_t words_ = 0;
};

/// Thread-safe. Values keep the mapping alive, not the Shard.
class Shard {
 public:
  /// Opens a shard's file and checks its header. `reserve`: how many bytes the file may grow to without another
  /// mapping. Throws: Error(not_found), Error(io), Error(damaged).
  static std::shared_ptr<Shard> open(const Folder& folder, const std::string& name, std::uint32_t number,
                                     std::uint64_t reserve);
  /// Records that lie in a mapping, `base` bytes behind its beginning.
  Shard(std::shared_ptr<Mapping> mapping, std::uint64_t base, std::uint64_t size, std::uint32_t number);

  std::uint32_t number() const noexcept { return number_; }
  const std::string& path() const noexcept { return path_; }
  const ShardHeader& header() const noexcept { return header_; }

  /// `length` bytes from `offset` on, and the mapping that they lie in. Throws: Error(truncated) where the file ends
  /// before.
  struct Part {
    std::shared_ptr<Mapping> mapping;
    Bytes bytes;
  };
  Part part(std::uint64_t offset, std::uint64_t length) const;
  /// The record at a position. Throws: Error(damaged) unless it fills the position, is whole and has a value.
  /// `verify`: how much of a large value is checked: automatic up to 1 MiB.
  struct Found {
    std::shared_ptr<Mapping> mapping;
    Record record;
  };
  Found record(const Position& position, Verify verify) const;
  /// The bytes in the file now.
  std::uint64_t size() const;
  /// Asks the system to read a part ahead.
  void prefetch(std::uint64_t offset, std::uint64_t length) const noexcept;

  [[noreturn]] void fail_damaged(const std::string& what, std::uint64_t offset) const;

 private:
  Shard() = default;
  std::uint32_t number_ = 0;
  std::string path_;
  OwnedDescriptor file_;
  ShardHeader header_;
  std::uint64_t base_ = 0;
  /// Mappings of the file, of which the last is the longest. Earlier ones stay, as others may be reading them.
  struct Mapped {
    std::shared_ptr<Mapping> mapping;
  };
  const std::shared_ptr<Mapping>& mapping() const noexcept { return current_.load(std::memory_order_acquire)->mapping; }
  void add_mapping(std::shared_ptr<Mapping> mapping) const;
  mutable std::mutex mutex_;  // guards mapped_
  mutable std::vector<std::unique_ptr<const Mapped>> mapped_;
  mutable std::atomic<const Mapped*> current_{nullptr};
  mutable std::atomic<std::uint64_t> known_size_{0};  // that the file surely has
  mutable CheckedRecords checked_;
};

}  // namespace stele

#pragma once
// The index of a cache: a hash table in a file that all processes map and change in place.
//
// Readers take no lock: what they find names a record, which proves itself by its key and checksum. Changes take the
// cache's lock. A slot becomes visible by one store to its state, so that a process that is killed at any point leaves
// a table that others can use; a mark that it leaves too tells the next one to repair the totals.

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "io/descriptor.hpp"
#include "io/replace/folder.hpp"
#include "stele/cache.hpp"
#include "stele/hash.hpp"

namespace stele {

/// Where a record is.
struct CachePlace {
  std::uint32_t segment = 0;
  std::uint32_t offset = 0;
  std::uint32_t length = 0;
  /// Segment and offset.
  std::uint64_t word() const noexcept { return std::uint64_t{segment} << 32 | offset; }
  friend bool operator==(const CachePlace&, const CachePlace&) = default;
};

/// What a slot holds.
struct CacheItem {
  Digest key;
  CachePlace place = {};
  std::uint32_t name_hash = 0;
  std::uint64_t bytes = 0;  // of the record, and of the result's own file
  double created = 0;       // seconds of the system clock, whole ones
  double expires = 0;       // 0: never
  double used = 0;          // with milliseconds
  std::uint64_t hits = 0;
  bool pinned = false;
  bool in_file = false;
};

/// What the cache has counted since it was created; by all processes together.
struct CacheCounters {
  std::atomic<std::uint64_t> hits;
  std::atomic<std::uint64_t> misses;
  std::atomic<std::uint64_t> stored;
  std::atomic<std::uint64_t> evicted;
  std::atomic<std::uint64_t> expired;
  std::atomic<std::uint64_t> damaged;
  std::atomic<std::uint64_t> refused;
  std::atomic<std::uint64_t> saved_us;
  std::atomic<std::uint64_t> remote_hits;
  std::atomic<std::uint64_t> remote_misses;
  std::atomic<std::uint64_t> remote_stored;
  std::atomic<std::uint64_t> remote_failed;
};

class CacheTable {
 public:
  /// Opens the index, or creates it if `writes`. An index that is damaged is replaced by an empty one, if `writes`;
  /// created() then tells, and it is in the middle of a change. Not to be called by two processes at once: hold the
  /// cache's lock. Throws: Error(io), Error(not_found), Error(unsupported) for another version, Error(damaged).
  CacheTable(const Folder& folder, bool writes);
  ~CacheTable();
  CacheTable(const CacheTable&) = delete;
  CacheTable& operator=(const CacheTable&) = delete;
  bool created() const noexcept { return created_; }

  // --- Without the lock. Thread-safe. ---

  std::optional<CacheItem> find(const Digest& key) const;
  /// Counts a use of what took `saved_s` seconds to compute.
  void count_hit(const Digest& key, double now, double saved_s);
  void count(std::atomic<std::uint64_t> CacheCounters::* counter);
  void for_each(const std::function<void(const CacheItem&)>& item) const;
  /// All but `failed`.
  CacheStats stats() const;

  // --- With the lock. ---

  std::uint64_t items() const noexcept;
  /// Of all items.
  std::uint64_t bytes() const noexcept;
  CacheCounters& counters() noexcept;
  /// At most `count` items from a slot that moves on with each call: over many calls all of them.
  void next_items(std::size_t count, const std::function<void(const CacheItem&)>& item);
  /// `now`, or the latest use where the clock was set back: what is used next would be taken for the oldest.
  double next_use(double now) noexcept;
  /// Follows a table that another process has made larger.
  void refresh() const;
  /// After a process was killed: it may have given the name to a larger table and not yet said so.
  void follow_name() const;
  /// Whether a process was killed in the middle of a change, or the machine was restarted, since the last repair().
  bool needs_repair() const noexcept;
  /// Around each change of the table, and of the files that go with it.
  void begin_change() noexcept;
  void end_change() noexcept;
  /// So that the next put() does not throw.
  /// Throws: Error(io), Error(limit_exceeded).
  void make_room();
  /// Drops the items that `stands` is false for, and counts anew.
  void repair(const std::function<bool(const CacheItem&)>& stands, std::uint64_t segment_bytes);
  /// Adds an item or replaces the one of that key, which is returned. Keeps the pin of a replaced one.
  /// Throws: what make_room() throws.
  std::optional<CacheItem> put(const CacheItem& item);
  std::optional<CacheItem> erase(const Digest& key);
  /// Moves the record of a key, if it is still at `from`.
  bool move(const Digest& key, const CachePlace& from, const CachePlace& to) noexcept;
  bool pin(const Digest& key, bool pinned) noexcept;
  std::uint32_t next_segment() noexcept;
  void add_segment_bytes(std::int64_t bytes) noexcept;

 private:
  struct Head;
  struct Slot;
  struct Map;
  class Look;
  Map& map() const;
  std::unique_ptr<Map> open(bool& damaged) const;
  std::unique_ptr<Map> create(unsigned bits, const Map* from) const;
  void take(std::unique_ptr<Map> next) const;
  static Slot* slot_of(const Map& map, const Digest& key) noexcept;
  static Slot* free_slot(const Map& map, const Digest& key) noexcept;
  void grow();
  static std::optional<CacheItem> item_of(const Slot& slot) noexcept;
  static void fill(Slot& slot, const CacheItem& item) noexcept;
  static double later(Head& head, double now) noexcept;

  const Folder& folder_;
  bool writes_;
  bool created_ = false;
  mutable std::atomic<Map*> map_{nullptr};
  mutable std::atomic<std::uint64_t> looks_{0};
  mutable std::mutex taking_;                       // guards what follows
  mutable std::vector<std::unique_ptr<Map>> maps_;  // former ones too, while a thread looks into them
};

}  // namespace stele

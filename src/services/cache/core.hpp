#pragma once
// What a Cache owns, and how its parts work together.

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/process.hpp"
#include "io/replace/folder.hpp"
#include "services/cache/flights.hpp"
#include "services/cache/remote/tier.hpp"
#include "services/cache/segments.hpp"
#include "services/cache/table.hpp"
#include "stele/cache.hpp"

namespace stele {

struct CacheCore {
  static constexpr std::uint64_t no_limit = ~std::uint64_t{0};

  CacheCore(const Path& path, const CacheOptions& options);

  /// Permission to change the index: of all threads and processes one has it.
  class Change {
   public:
    /// Repairs what a killed process left.
    /// Throws: Error(busy) if another process holds it for 30 seconds, Error(read_only), Error(not_found) if the files
    /// were removed, Error(io).
    explicit Change(CacheCore& core);
    ~Change();
    Change(const Change&) = delete;
    Change& operator=(const Change&) = delete;

   private:
    CacheCore& core_;
    std::unique_lock<std::mutex> lock_;
  };

  // These make changes of their own, one after another: others need not wait for all of it.

  /// Removes the items of which `condition` is true; returns their number.
  std::uint64_t clear(const std::function<bool(const CacheItem&)>& condition);
  std::uint64_t prune(const CachePrune& limits, const CacheProgress& progress);
  /// A result at that place could not be used. If it is still there, it is removed, counted and reported; otherwise
  /// it was removed or replaced meanwhile, and nothing is wrong with it.
  void reject(const Digest& key, std::uint64_t place, const Error& error);
  /// Adds a result. Limits take others away. `computed`: here, and not elsewhere.
  /// Throws: what a Change throws, Error(io).
  CacheItem store(const CacheRecord& record, Bytes payload, CacheUnfinished* file, bool pinned, bool computed);
  /// A result is too large to be stored; `replaces`: the one that is there is not the result any more.
  void refuse(const Digest& key, bool replaces);

  // The items below need a Change.

  void put(const CacheItem& item);
  void remove(const CacheItem& item);
  /// Removes the item of a key if its record is still at that place; whether it was.
  bool remove_at(const Digest& key, std::uint64_t place);
  /// Removes some results that have expired, and results beyond the limits, not `added`; so many at most that others
  /// need not wait long. Whether there may be more of them.
  bool enforce(std::uint64_t bytes, std::uint64_t items, const Digest* added);
  /// Copies what counts out of segments that hold little else, and removes them: one, or many if `all`, as above.
  bool reclaim(bool all);
  /// Removes files that no result needs.
  void sweep();
  void sweep(const std::string& part);
  void repair();
  /// Fills a new index from the segments.
  void rebuild();

  /// Slots have whole seconds: up to a second late.
  bool has_expired(const CacheItem& item, double now) const noexcept {
    return has_expired(item.created + 1, item.expires, now);
  }
  bool has_expired(double created, double expires, double now) const noexcept {
    return (expires != 0 && now >= expires) || (options.age_limit_s > 0 && now - created > options.age_limit_s);
  }
  /// Somebody removed the files: there are no results any more, and new ones would be lost.
  bool is_removed() const noexcept;
  void require_files() const;
  std::uint64_t bytes_limit() const noexcept { return options.bytes_limit == 0 ? no_limit : options.bytes_limit; }
  std::uint64_t items_limit() const noexcept { return options.items_limit == 0 ? no_limit : options.items_limit; }
  /// Whether a result has more than its share of the limit.
  bool is_too_large(std::uint64_t bytes) const noexcept {
    return options.bytes_limit != 0 &&
           static_cast<double>(bytes) > static_cast<double>(options.bytes_limit) * options.item_share;
  }
  std::string result_name(const Digest& key) const;  // in the folder
  void warn(const std::string& message) const;
  void warn_useless(const Digest& key, const Error& error) const;
  void count(std::atomic<std::uint64_t> CacheCounters::* counter) const {
    if (writes) {
      table->count(counter);
    }
  }

  Folder folder;
  Folder segments_folder;
  std::string path;  // absolute, with a slash at the end
  CacheOptions options;
  bool writes = true;
  OwnedDescriptor lock_file;
  std::uint32_t token = 0;  // of this object among the processes that have the cache open
  std::atomic<std::uint64_t> unfinished{0};
  std::atomic<std::uint64_t> failed{0};
  ProcessMark process;
  std::unique_ptr<CacheTable> table;
  std::unique_ptr<CacheSegments> segments;
  ProcessOwned<CacheFlights> flights;
  ProcessOwned<CacheFlights> fetches;

 private:
  friend class Change;
  void open_table();
  std::uint64_t erase(const std::function<bool(const CacheItem&)>& condition);
  void reclaim_all();
  bool is_left(const std::string& unfinished_name) const;
  /// The least recently used items, a batch at a time, of about `wanted` if that is many.
  std::optional<CacheItem> next_victim(const Digest* added, std::uint64_t wanted);

  std::mutex change_mutex_;
  struct Victim {
    double used;
    Digest key;
  };
  std::vector<Victim> victims_;
  std::uint64_t dead_bytes_ = 0;  // of records that this object removed since the last reclaim()
  std::uint64_t segment_size_ = 0;

 public:
  ProcessOwned<CacheTier> tier;  // null without a remote. The last member: its thread uses the others
};

/// Seconds since 1970.
double cache_now() noexcept;
std::uint32_t cache_name_hash(std::string_view name) noexcept;

}  // namespace stele

#pragma once
// The remote of a cache: results that machines share, in another Storage.

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/threads/rounds.hpp"
#include "services/cache/segments.hpp"
#include "services/cache/unfinished.hpp"
#include "stele/storage.hpp"

namespace stele {

/// Whether to ask what has failed: not for eight times as long as the failure took, between 5 s and 5 min;
/// then one caller tries. Thread-safe.
class CacheOutage {
 public:
  using Clock = std::chrono::steady_clock;
  bool may_ask();
  /// It has answered.
  void over();
  /// It has failed, asked at `began`. Whether it is the first time since it last answered.
  bool failed(Clock::time_point began);
  /// The next one may ask.
  void forgive();

 private:
  std::mutex mutex_;  // guards the members below
  bool out_ = false;
  Clock::time_point until_;
};

/// Asks the remote for results on the thread of the caller, and writes them to it on a thread of its own. Nothing here
/// but push() and remove() throws for what the remote does: it is never needed. Thread-safe.
class CacheTier {
 public:
  using Clock = std::chrono::steady_clock;

  /// `core` must outlive it.
  CacheTier(CacheCore& core, std::unique_ptr<Storage> storage) : core_(core), storage_(std::move(storage)) {}
  /// close(), without an interruption.
  ~CacheTier();
  CacheTier(const CacheTier&) = delete;
  CacheTier& operator=(const CacheTier&) = delete;

  /// A result of the remote, checked. That of its own file is in `file`, or in `payload` if the cache is read-only.
  struct Taken {
    CacheRecord record;
    std::vector<std::byte> payload;
    std::unique_ptr<CacheUnfinished> file;
  };
  /// Nothing if there is none that can be used.
  /// Throws: what ends a long call early.
  std::optional<Taken> take(const Digest& key);
  /// From here on give() replaces what the remote has of this key, unless take() finds that it has none.
  void forget(const Digest& key);
  /// Begins to write a result of the folder to the remote.
  void give(const Digest& key);
  /// Waits until nothing is left to be written, or a write has failed, or it is `until`. True if all is there.
  /// Throws: what ends a long call early.
  bool flush(Clock::time_point until);
  /// Cache::push().
  std::uint64_t push(const std::function<bool(std::uint64_t, std::uint64_t)>& progress);
  /// Throws: what Storage::remove() throws.
  void remove(const Digest& key);
  /// Cache::close().
  void close();
  std::string path_of(const Digest& key) const;

 private:
  struct Job {
    Digest key;
    bool replaces = false;
    int refusals = 0;  // times that it failed while the remote took others
  };
  /// Nothing if it has expired or is too large. Throws: Unreachable, Local, Error for an object that is damaged.
  std::optional<Taken> read(Source& source, const Digest& key);
  void round();
  /// Whether it was written: not if the remote has one, or the folder has none any more.
  bool write(const Job& job);
  bool put(const std::string& name, Bytes content, bool replaces);
  std::shared_ptr<Rounds> rounds();
  void note_absent(const Digest& key);

  CacheCore& core_;
  const std::unique_ptr<Storage> storage_;
  CacheOutage reads_;
  CacheOutage writes_;
  std::mutex writing_;  // held during a write, so that remove() is not overtaken by one

  std::mutex mutex_;         // guards the members below
  std::set<Digest> absent_;  // the remote had no result of these keys when it was asked
  std::deque<Job> queue_;    // to be written; the first one may be being so
  bool dropped_ = false;     // one that the remote takes in no case, since flush() last told
  bool conditional_ = true;  // the remote can write on a condition
  bool closed_ = false;
  std::shared_ptr<Rounds> rounds_;
};

}  // namespace stele

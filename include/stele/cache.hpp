#pragma once
// The result cache: a folder that keeps what functions returned, by the content of their arguments. Several threads and
// processes may use it at once: each result is computed by one of them. docs/cache.md states what is guaranteed.

#include <chrono>
#include <concepts>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "stele/archive.hpp"
#include "stele/hash.hpp"

namespace stele {

/// What happens when a result cannot be stored. The caller gets its result in any case but the first.
enum class CacheFailure : std::uint8_t {
  raise,   // the Error is thrown
  warn,    // CacheOptions::warn is called
  ignore,  // it is counted (CacheStats::failed)
};

struct CacheOptions {
  /// How results in files of their own come back: Arrays of 4 KiB or more then point into the file. read_write is an
  /// Error(invalid_argument): nobody may change what is cached.
  MapMode map = MapMode::read_only;
  /// The codec of results, by name, and their filter, as in SaveOptions. What is compressed is not mapped.
  std::string codec = "plain";
  std::optional<int> level = std::nullopt;
  std::string filter = "auto";
  /// Results up to this size lie together in files, larger ones in files of their own. At most 1 MiB.
  std::uint64_t small_bytes = 32 << 10;
  /// Limits, 0: none. The results used least recently are removed as new ones come. Files of small results may hold as
  /// much again that is no longer counted.
  std::uint64_t bytes_limit = 0;
  std::uint64_t items_limit = 0;
  /// Seconds after which a result does not count any more.
  double age_limit_s = 0;
  /// A result of more than this share of bytes_limit is not stored, so that it cannot displace all others.
  double item_share = 0.5;
  /// Seconds to wait while another thread or process computes the same result. Then it is computed here too.
  double wait_s = 600;
  CacheFailure on_failure = CacheFailure::raise;
  /// Called with CacheFailure::warn, and of results that were there and could not be read, by any thread.
  std::function<void(const std::string& message)> warn = {};
  /// How much of a result in its own file is checked when it is read. Small ones are checked in full.
  Verify verify = Verify::automatic;
  /// Threads for compression and reading; 0: as many as the machine has, at most 16.
  unsigned threads = 0;
  /// Names of polymorphic types; must outlive the Cache.
  const TypeRegistry* types = nullptr;
  /// Opens an existing cache without writing to it, or to the remote. Without write permission it is so anyway.
  bool read_only = false;
  /// Where machines share results: another folder, or a URL (stele/remote.hpp). A result that is not here is asked for
  /// there, and what is computed here is written there in the background. It is never needed: while it cannot be
  /// reached, the cache does without, and `warn` is called once. Empty: none. docs/cache.md has what is guaranteed.
  std::string remote = {};
  /// Seconds that close() and the destructor wait for what is still to be written there.
  double remote_wait_s = 30;
};

/// The version of a function: a new one gives new results, and those of others stay.
class CacheVersion {
 public:
  template <std::integral I>
  CacheVersion(I number) : text_(std::to_string(number)) {}
  CacheVersion(std::string_view text) : text_(text) {}
  CacheVersion(const std::string& text) : text_(text) {}
  CacheVersion(const char* text) : text_(text) {}
  const std::string& text() const noexcept { return text_; }

 private:
  std::string text_;
};

/// What is known of a cached result. Times are seconds since 1970.
struct CacheEntry {
  Digest key;
  std::string name;
  std::string version;
  double created = 0;
  double duration = 0;      // seconds that it took to compute
  double expires = 0;       // 0: never
  double last_used = 0;     // with milliseconds
  std::uint64_t hits = 0;   // counted up to 2^20 - 1
  std::uint64_t bytes = 0;  // on disk
  bool pinned = false;
  bool from_remote = false;  // taken from a remote: who may write there has made it
  std::string file = {};     // of a result with a file of its own; else empty
  Metadata metadata = {};
};

/// What is called: its name and version, and what else counts for this call.
struct CacheCall {
  std::string_view name;
  CacheVersion version = 0;
  /// Seconds after which the result does not count any more; 0: never.
  double expires_after_s = 0;
  /// Whether a result that is there may be used; where not, it is computed anew and replaced.
  std::function<bool(const CacheEntry& entry)> valid = {};
  /// Kept with the result.
  Metadata metadata = {};
  /// Not removed by the limits.
  bool pinned = false;
};

template <class T>
struct CacheResult {
  T value;
  bool hit = false;
  CacheEntry entry;
};

struct CacheStats {
  std::uint64_t items = 0;
  std::uint64_t bytes = 0;          // of the results that count
  std::uint64_t segment_bytes = 0;  // of the files of small results, with what no longer counts
  // Since the cache was created, by all processes together:
  std::uint64_t hits = 0;
  std::uint64_t misses = 0;
  std::uint64_t stored = 0;
  std::uint64_t evicted = 0;  // removed by limits
  std::uint64_t expired = 0;
  std::uint64_t damaged = 0;    // found damaged, and taken as not there
  std::uint64_t too_large = 0;  // not stored, as they were too large
  std::uint64_t failed = 0;     // could not be stored; of this Cache alone
  double saved_s = 0;           // what the hits took to compute
  // Of the remote, counted as those above:
  std::uint64_t remote_hits = 0;    // taken from there; they are among the hits
  std::uint64_t remote_misses = 0;  // asked for there, and not there or of no use
  std::uint64_t remote_stored = 0;
  std::uint64_t remote_failed = 0;  // requests that failed
};

/// How far prune() goes.
struct CachePrune {
  std::optional<std::uint64_t> bytes = std::nullopt;
  std::optional<std::uint64_t> items = std::nullopt;
  std::optional<double> age_s = std::nullopt;
};

/// What verify() found, one line each: the key, what, where.
struct CacheReport {
  std::uint64_t items = 0;
  std::uint64_t bytes = 0;
  std::vector<std::string> problems = {};
  bool good() const noexcept { return problems.empty(); }
};

/// The progress of a long operation, in items; returning false ends it.
using CacheProgress = std::function<bool(std::uint64_t done, std::uint64_t total)>;

// --- Arguments -------------------------------------------------------------------------------------------------------

/// An argument that does not count for the key: `cache::ignored(threads)`.
template <class T>
struct CacheIgnored {
  const T& value;
};
/// An argument of which only a part or a property counts.
template <class T, class F>
struct CacheProjected {
  const T& value;
  const F& projection;
};
/// An argument whose content hash is known, so that it is not hashed again: of what never changes.
template <class T>
struct CacheDigested {
  const T& value;
  Digest digest;
};

namespace cache {

template <class T>
CacheIgnored<T> ignored(const T& value) {
  return {value};
}
template <class T, class F>
CacheProjected<T, F> key_by(const T& value, const F& projection) {
  return {value, projection};
}
template <class T>
CacheDigested<T> digested(const T& value, const Digest& digest) {
  return {value, digest};
}

template <class T>
const T& value_of(const T& value) {
  return value;
}
template <class T>
const T& value_of(const CacheIgnored<T>& argument) {
  return argument.value;
}
template <class T, class F>
const T& value_of(const CacheProjected<T, F>& argument) {
  return argument.value;
}
template <class T>
const T& value_of(const CacheDigested<T>& argument) {
  return argument.value;
}

/// Calls a function with the arguments, or without any if it takes none.
template <class F, class... Arguments>
decltype(auto) call(F& function, const Arguments&... arguments) {
  if constexpr (std::is_invocable_v<F&, const Arguments&...>) {
    return function(arguments...);
  } else {
    static_assert(std::is_invocable_v<F&>,
                  "stele: the function can be called neither with the arguments nor without any");
    return function();
  }
}

template <class T>
void add_argument(Hasher& hasher, const T& value) {
  hasher.add(value);
}
template <class T>
void add_argument(Hasher&, const CacheIgnored<T>&) {}
template <class T, class F>
void add_argument(Hasher& hasher, const CacheProjected<T, F>& argument) {
  hasher.add(argument.projection(argument.value));
}
template <class T>
void add_argument(Hasher& hasher, const CacheDigested<T>& argument) {
  hasher.add(argument.digest.bytes);
}

}  // namespace cache

struct CacheCore;

/// A result in the cache. Stays readable as long as it is held, whatever becomes of the cache. Const members may be
/// called by several threads.
class CacheFound {
 public:
  const CacheEntry& entry() const noexcept { return entry_; }
  /// Throws: what load() throws.
  template <class T>
  T as() const {
    if (!entry_.file.empty()) {
      return load<T>(Path(entry_.file), file_options_);
    }
    T value = walk::make<T>();
    const std::unique_ptr<Part> part = open();
    read_whole(part->visitor(), value, [&] { part->finish(); });
    return value;
  }
  /// How to load entry().file.
  const LoadOptions& options() const noexcept { return file_options_; }
  /// Reads a small result event by event: what has no static type.
  class Part {
   public:
    virtual ~Part() = default;
    virtual InVisitor& visitor() = 0;
    virtual void finish() = 0;
  };
  std::unique_ptr<Part> open() const;

 private:
  friend class Cache;
  CacheEntry entry_;
  LoadOptions file_options_;
  std::uint64_t place_ = 0;
  bool is_archive_ = false;
  std::shared_ptr<Mapping> mapping_;
  std::uint64_t payload_at_ = 0;
  std::uint64_t payload_size_ = 0;
};

/// The right to compute a result: while it exists, no other thread or process computes the same one.
class CacheFlight {
 public:
  CacheFlight(CacheFlight&& other) noexcept : core_(std::exchange(other.core_, nullptr)), key_(other.key_) {}
  CacheFlight& operator=(CacheFlight&&) = delete;
  ~CacheFlight();
  /// False if another one still computed it when the time was over, or if this thread does already.
  bool alone() const noexcept { return core_ != nullptr; }

 private:
  friend class Cache;
  CacheFlight(CacheCore* core, const Digest& key) : core_(core), key_(key) {}
  CacheCore* core_;
  Digest key_;
};

/// A cache. Several threads may call all members at once. A child of fork() must not use it, but leave() it, and open
/// it there anew.
class Cache {
 public:
  /// Opens a folder, or creates it.
  /// Throws: Error(io), Error(not_found) for a read-only folder that is not a cache, Error(unsupported) for a
  /// cache of another version, Error(invalid_argument).
  static Cache open(const Path& folder, const CacheOptions& options = {});
  ~Cache();
  Cache(Cache&&) noexcept;
  Cache& operator=(Cache&&) noexcept;
  /// In a child of fork(): gives up its part in the parent's locks. As long as a child has it, what the parent computed
  /// when it was killed counts as being computed. Does nothing elsewhere.
  void leave() noexcept;

  /// The result of `function(arguments…)`, or of `function()` if it takes none: from the cache, or computed and stored.
  /// `arguments_and_function` are any number of arguments, hashed by content, and the function. Exceptions of the
  /// function are passed on and never cached; a result that is there and cannot be read as R is computed anew.
  /// Throws: what the function throws; with CacheFailure::raise what save() throws.
  template <class... Pack>
  auto get_or_compute(std::string_view name, const CacheVersion& version, Pack&&... arguments_and_function) {
    return get_or_compute(CacheCall{.name = name, .version = version}, std::forward<Pack>(arguments_and_function)...);
  }
  template <class... Pack>
  auto get_or_compute(const CacheCall& call, Pack&&... arguments_and_function) {
    return apply(call, false, std::index_sequence_for<Pack...>(), std::tie(arguments_and_function...));
  }
  /// Computes and stores, whatever is there.
  template <class... Pack>
  auto force(const CacheCall& call, Pack&&... arguments_and_function) {
    return apply(call, true, std::index_sequence_for<Pack...>(), std::tie(arguments_and_function...));
  }
  template <class... Pack>
  auto force(std::string_view name, const CacheVersion& version, Pack&&... arguments_and_function) {
    return force(CacheCall{.name = name, .version = version}, std::forward<Pack>(arguments_and_function)...);
  }
  /// The result if it is there, or in the remote; nothing is computed.
  template <class R, class... Arguments>
  std::optional<CacheResult<R>> peek(const CacheCall& call, const Arguments&... arguments) {
    return load_valid<R>(call, key(call, arguments...), true);
  }
  template <class R, class... Arguments>
  std::optional<CacheResult<R>> peek(std::string_view name, const CacheVersion& version,
                                     const Arguments&... arguments) {
    return peek<R>(CacheCall{.name = name, .version = version}, arguments...);
  }
  /// The key of a call: a handle, which finds the result in later runs too, as Digest::text() and Digest::parse().
  template <class... Arguments>
  Digest key(const CacheCall& call, const Arguments&... arguments) const {
    Hasher hasher(hash_options());
    add_call(hasher, call, sizeof...(Arguments));
    (cache::add_argument(hasher, arguments), ...);
    return hasher.digest();
  }

  // --- By key, for callers that make keys of their own ---

  /// The result of that key in this folder. Counted as a hit or a miss, if it `counts`.
  std::optional<CacheFound> find(const Digest& key, bool counts = true);
  /// The result of that key, which find() has not found: asks the remote, and keeps here what it has, unless the cache
  /// is read-only. Of several threads and processes one asks, and the others wait, at most CacheOptions::wait_s. Not
  /// counted as a hit or a miss but of the remote. Nothing without a remote.
  std::optional<CacheFound> fetch(const Digest& key, bool pinned = false);
  /// Throws: Error(not_found), and what load() throws.
  template <class R>
  R load(const Digest& key) {
    std::optional<CacheFound> found = find(key, false);
    found = found ? std::move(found) : fetch(key);
    count(found ? &found->entry() : nullptr);
    if (!found) {
      fail_missing(key);
    }
    return found->as<R>();
  }
  /// Waits until nobody else computes the result, at most `wait_s` or CacheOptions::wait_s. find() must follow: it may
  /// be there now; and fetch().
  CacheFlight flight(const Digest& key, std::optional<double> wait_s = std::nullopt);
  /// Stores a result. What it does on failure is CacheOptions::on_failure; the entry's `bytes` are then 0.
  template <class T>
  CacheEntry put(const CacheCall& call, const Digest& key, double duration_s, const T& value) {
    return put_object(call, key, duration_s,
                      {[](OutVisitor& out, const void* v) { stele::write(out, *static_cast<const T*>(v)); }, &value});
  }
  /// Counts a use of a result that find() returned without counting, or a miss.
  void count(const CacheEntry* used);
  /// Call this when a found result cannot be read: removes it, counts and reports it, unless another one has removed or
  /// replaced it meanwhile.
  void reject(const CacheFound& found, const Error& error);

  // --- Care ---

  /// Whether somebody has removed the files of the cache. Then it has no results, and new ones are an Error(not_found):
  /// open it anew.
  bool removed() const noexcept;
  /// Whether there was one here. `also_remote`: erases it in the remote too.
  /// Throws: Error(io), Error(denied) …
  bool erase(const Digest& key, bool also_remote = false);
  /// Erases the results of a function, of all its versions or of one; returns their number.
  std::uint64_t clear(std::string_view name, const std::optional<CacheVersion>& version = std::nullopt);
  /// Erases everything.
  std::uint64_t clear();
  /// A pinned result is not removed by the limits. False if there is none.
  bool pin(const Digest& key, bool pinned = true);
  /// In no order. Those that are stored or removed meanwhile may be among them or not.
  std::vector<CacheEntry> entries() const;
  CacheStats stats() const;
  /// Removes what expired, results down to the limits given, the least recently used first, and files that no result
  /// needs. Returns the number of results that were removed. `progress` has this number and that of all results.
  std::uint64_t prune(const CachePrune& limits = {}, const CacheProgress& progress = {});
  /// Waits until what was stored is written to the remote, at most so many seconds; true if all of it is there.
  bool flush(double wait_s = 1e9);
  /// Writes every result that the remote lacks to it; returns their number. For those of a process that was killed, or
  /// of a time without the remote.
  /// Throws: what the remote's Storage throws; Error(invalid_argument) without a remote, Error(read_only).
  std::uint64_t push(const CacheProgress& progress = {});
  /// Does flush() for CacheOptions::remote_wait_s, and without the remote from here on. So does the destructor.
  void close();
  /// Reads and checks every result in the folder.
  CacheReport verify(const CacheProgress& progress = {}) const;
  const std::string& folder() const noexcept;
  const CacheOptions& options() const noexcept;

 private:
  struct Object {
    void (*walk)(OutVisitor& out, const void* value);
    const void* value;
  };
  explicit Cache(std::unique_ptr<CacheCore> core);
  HashOptions hash_options() const;
  static void add_call(Hasher& hasher, const CacheCall& call, std::size_t arguments);
  CacheEntry put_object(const CacheCall& call, const Digest& key, double duration_s, const Object& object);
  [[noreturn]] static void fail_missing(const Digest& key);

  template <std::size_t... I, class Tuple>
  auto apply(const CacheCall& call, bool force, std::index_sequence<I...>, const Tuple& pack) {
    static_assert(sizeof...(I) >= 1, "stele: get_or_compute() needs a function as its last argument");
    return [&]<std::size_t... A>(std::index_sequence<A...>) {
      auto& function = std::get<sizeof...(I) - 1>(pack);
      const Digest id = key(call, std::get<A>(pack)...);
      const auto compute = [&]() -> decltype(auto) {
        return cache::call(function, cache::value_of(std::get<A>(pack))...);
      };
      return run<std::decay_t<decltype(compute())>>(call, id, force, compute);
    }(std::make_index_sequence<sizeof...(I) - 1>());
  }

  template <class R, class Compute>
  CacheResult<R> run(const CacheCall& call, const Digest& key, bool force, const Compute& compute) {
    static_assert(!std::is_void_v<R>, "stele: a function that returns nothing has no result to be cached");
    if (!force) {
      if (std::optional<CacheResult<R>> found = load_valid<R>(call, key)) {
        return std::move(*found);
      }
    }
    const CacheFlight alone = flight(key);
    if (!force) {
      // Another one has computed it meanwhile, here or elsewhere.
      if (std::optional<CacheResult<R>> found = load_valid<R>(call, key, true)) {
        return std::move(*found);
      }
      count(nullptr);
    }
    const auto start = std::chrono::steady_clock::now();
    R value = compute();
    const std::chrono::duration<double> duration = std::chrono::steady_clock::now() - start;
    CacheEntry entry = put(call, key, duration.count(), value);
    return {std::move(value), false, std::move(entry)};
  }

  template <class R>
  std::optional<CacheResult<R>> load_valid(const CacheCall& call, const Digest& key, bool fetches = false) {
    std::optional<CacheFound> found = find(key, false);
    if (!found && fetches) {
      found = fetch(key, call.pinned);
    }
    if (!found || (call.valid && !call.valid(found->entry()))) {
      return std::nullopt;
    }
    try {
      CacheResult<R> result{found->template as<R>(), true, found->entry()};
      count(&result.entry);
      return result;
    } catch (const Error& error) {
      reject(*found, error);
      return std::nullopt;
    }
  }

  std::unique_ptr<CacheCore> core_;
};

/// A result that can be loaded in another process: saved and loaded as any object.
struct CacheHandle {
  std::string folder;
  std::string key;  // Digest::text()

  /// Writes nothing: it does not count as a use.
  /// Throws: Error(not_found) if the result or its cache is no longer there, and what load() throws.
  template <class R>
  R load() const {
    return Cache::open(folder, {.read_only = true}).load<R>(Digest::parse(key));
  }
};

}  // namespace stele

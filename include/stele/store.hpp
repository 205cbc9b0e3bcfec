#pragma once
// The store: a key-value store in a folder. Values lie in append-only data files and are read by mapping; an index maps
// keys to places. One process writes, many read. docs/store.md states what is guaranteed.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

#include "stele/archive.hpp"
#include "stele/store/items.hpp"
#include "stele/store/key.hpp"
#include "stele/store/options.hpp"
#include "stele/store/value.hpp"

namespace stele {

namespace walk {

/// Contiguous text and bytes without a stored form of their own: a Store keeps them unchanged. A class that only
/// converts to them may hold more.
template <class T>
inline constexpr bool is_store_text = [] {
  if constexpr (std::is_pointer_v<T>) {
    return std::is_convertible_v<T, std::string_view>;
  } else {
    return family<T>() == Family::text && !has_own_way<T> && std::is_convertible_v<const T&, std::string_view>;
  }
}();
template <class T>
inline constexpr bool is_store_bytes = [] {
  constexpr Family f = family<T>();
  if constexpr (f == Family::contiguous || f == Family::fixed || f == Family::array) {
    return std::is_convertible_v<const T&, Bytes> && !has_own_way<T> && !requires { requires T::rank != 1; };
  } else {
    return false;
  }
}();

}  // namespace walk

class StoreBatch;
class StoreExchange;  // the library's own
struct StoreCore;

/// A key-value store. Several threads may call all members at once; writes are serialised. A child of fork() must not
/// use one in a folder: open it there anew.
class Store {
 public:
  /// Opens a folder, or with read_only a file that compact_to() wrote, also at a URL (stele/storage.hpp). Nothing is
  /// locked before the first write.
  /// Throws: Error(not_found), Error(io), Error(damaged) if the index is damaged: then call recover().
  /// Error(unsupported) for a URL that is not to be only read.
  static Store open(const Path& path, StoreMode mode = StoreMode::create, const StoreOptions& options = {});
  /// Commits what was put and not committed, but cannot report a failure: call close().
  ~Store();
  Store(Store&&) noexcept;
  Store& operator=(Store&&) noexcept;

  // --- Writing. Throws: Error(read_only), Error(busy) while another process or Store writes, Error(io),
  // Error(invalid_argument) for a key that is too long, and where a type or the function of an order writes to the
  // store that it is called by. ---

  /// Stores any value that save() takes; contiguous text and bytes unchanged. This Store sees it at once, others after
  /// commit().
  template <class T>
  void put(const StoreKey& key, const T& value) {
    if constexpr (walk::CharArray<T>) {
      put_text(key, walk::text_of(value));
    } else if constexpr (walk::is_store_text<T>) {
      put_text(key, std::string_view(value));
    } else if constexpr (walk::is_store_bytes<T>) {
      put_bytes(key, Bytes(value));
    } else {
      put_object(key, {[](OutVisitor& out, const void* v) { stele::write(out, *static_cast<const T*>(v)); }, &value});
    }
  }
  /// Returns whether the key existed.
  bool erase(const StoreKey& key);
  /// Reads a value, lets `change` modify it and stores it, with no other write in between; false if there is none.
  /// `change` may use the store, but must not begin a batch or a vacuum, release or close it.
  template <class T, class F>
  bool update(const StoreKey& key, F&& change) {
    const Exclusive exclusive(*this);
    const std::optional<StoreValue> old = view(key);
    if (!old) {
      return false;
    }
    T value = old->as<T>(load_options());
    change(value);
    put(key, value);
    return true;
  }
  /// Writes that become visible to other processes as a whole. While the batch exists, all writes belong to it; another
  /// thread's batch or vacuum waits for its end.
  StoreBatch batch();
  /// Makes puts and erasures visible to others; as durable as the options say.
  void commit();
  /// Commits and waits until everything is on the device, whatever the options say.
  void flush();
  /// Commits, and lets others write. The Store stays usable and takes the lock again at its next write.
  void release();
  /// Commits and closes; an open batch is undone. Items and values handed out stay valid, ranges do not.
  void close();

  // --- Reading. Throws: Error(damaged), Error(io); Error(changed) for a file at a URL that was replaced. ---

  /// Throws: Error(not_found), and what load() throws.
  template <class T>
  T get(const StoreKey& key) const {
    const std::optional<StoreValue> found = view(key);
    if (!found) {
      fail_missing(key);
    }
    return found->as<T>(load_options());
  }
  template <class T>
  std::optional<T> find(const StoreKey& key) const {
    const std::optional<StoreValue> found = view(key);
    return found ? std::optional<T>(found->as<T>(load_options())) : std::nullopt;
  }
  /// A view of the value where it lies; a copy if it is not committed.
  std::optional<StoreValue> view(const StoreKey& key) const;
  bool contains(const StoreKey& key) const;
  std::uint64_t size() const;
  bool empty() const { return size() == 0; }
  /// Many values at once, returned in the order of `keys`. They are read in the order in which they lie, with
  /// prefetching.
  template <class T>
  std::vector<std::optional<T>> get_many(std::span<const StoreKey> keys) const {
    std::vector<std::optional<T>> values(keys.size());
    view_many(keys, [&](std::size_t i, const StoreValue& value) { values[i] = value.as<T>(load_options()); });
    return values;
  }
  /// The same for views: calls `found` for each existing key, in the order in which the values lie.
  void view_many(std::span<const StoreKey> keys,
                 const std::function<void(std::size_t index, const StoreValue& value)>& found) const;

  // --- Going through it. What was put and not committed is committed first. ---

  StoreItems items(const StoreKeyRange& range = {}) const;
  StoreKeys keys(const StoreKeyRange& range = {}) const;
  /// In the order of the last put of each key.
  StoreItems by_insertion() const;
  /// From the smallest to the largest; takes 24 bytes of memory a value.
  StoreItems by_size(bool reverse = false) const;
  /// In a secondary order.
  /// Throws: Error(not_found) if the store has none of that name.
  StoreItems by_order(std::string_view name, bool reverse = false) const;
  /// Every item once, in an order drawn from `seed`, the same for the same keys on every machine. Takes 24 bytes of
  /// memory a value.
  StoreItems shuffled(std::uint64_t seed) const;
  /// `count` different items at random, or all where there are fewer.
  StoreItems sample(std::uint64_t count, std::uint64_t seed) const;

  // --- Care ---

  StoreStats stats() const;
  /// Reads and checks everything. Does not throw for damage: the report lists it.
  StoreReport check(const StoreProgress& progress = {}) const;
  /// Does what check() does.
  /// Throws: Error(damaged) where the report would list a problem, with the first one.
  void verify(const StoreProgress& progress = {}) const;
  /// Rewrites shards with dead bytes without them, and joins small shards, while others read and this process writes.
  /// Returns the bytes of the files removed. A crash leaves the store as it was or with a part done.
  std::uint64_t vacuum(const StoreVacuumOptions& options = {});
  /// Trains a zstd dictionary on up to `samples` values; small values are compressed with it from then on.
  /// Throws: Error(unsupported) for other codecs, Error(invalid_argument) if there is too little to train on.
  void train_dictionary(std::uint64_t samples = 10'000, std::size_t bytes = 112'640);
  void drop_order(std::string_view name);
  /// Writes everything to one file that is opened with read_only, as an archive of its own: live values in the order of
  /// their keys, and their index. The file, a local one, appears when it is complete. Secondary orders are left out.
  void compact_to(const Path& file, const StoreProgress& progress = {}) const;
  /// Rebuilds the index of a folder from its shards. Keys get the last whole committed value found. Secondary orders
  /// are dropped.
  /// Throws: Error(busy), Error(io), Error(not_found) if there are no shards.
  static StoreReport recover(const Path& folder, const StoreProgress& progress = {});

 private:
  friend class StoreBatch;
  friend class StoreExchange;
  struct Object {
    void (*walk)(OutVisitor& out, const void* value);
    const void* value;
  };
  /// Holds the lock of writers; may be nested.
  class Exclusive {
   public:
    explicit Exclusive(Store& store);
    ~Exclusive();
    Exclusive(const Exclusive&) = delete;
    Exclusive& operator=(const Exclusive&) = delete;

   private:
    StoreCore* state_;
    bool outermost_;
  };
  explicit Store(std::unique_ptr<StoreCore> state);
  void put_text(const StoreKey& key, std::string_view text);
  void put_bytes(const StoreKey& key, Bytes bytes);
  void put_object(const StoreKey& key, const Object& object);
  LoadOptions load_options() const;
  [[noreturn]] static void fail_missing(const StoreKey& key);
  std::unique_ptr<StoreCore> state_;
};

/// Puts and erasures that become visible together at commit(). The destructor of an uncommitted one undoes them. Must
/// not outlive the Store, which must not be moved meanwhile.
class StoreBatch {
 public:
  StoreBatch(StoreBatch&& other) noexcept : store_(std::exchange(other.store_, nullptr)) {}
  StoreBatch& operator=(StoreBatch&&) = delete;
  ~StoreBatch();
  template <class T>
  void put(const StoreKey& key, const T& value) {
    store().put(key, value);
  }
  bool erase(const StoreKey& key) { return store().erase(key); }
  /// Throws: Error(io); the batch is then undone.
  void commit();

 private:
  friend class Store;
  explicit StoreBatch(Store& store) : store_(&store) {}
  Store& store() const;
  Store* store_;
};

/// A store of values of one type, with a serialiser of one's own: `Serialiser::write(const T&)` returns bytes (a string
/// or a vector of std::byte), `Serialiser::read(Bytes)` a T.
template <class T, class Serialiser>
class SerialisedStore {
 public:
  explicit SerialisedStore(Store& store) : store_(store) {}
  void put(const StoreKey& key, const T& value) { store_.put(key, Serialiser::write(value)); }
  T get(const StoreKey& key) const {
    std::optional<T> found = find(key);
    if (!found) {
      fail(Errc::not_found, message({"the store has no key ", key.describe()}));
    }
    return std::move(*found);
  }
  std::optional<T> find(const StoreKey& key) const {
    const std::optional<StoreValue> value = store_.view(key);
    return value ? std::optional<T>(Serialiser::read(value->bytes())) : std::nullopt;
  }

 private:
  Store& store_;
};

}  // namespace stele

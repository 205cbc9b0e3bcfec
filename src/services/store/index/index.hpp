#pragma once
// The index of a store in LMDB. One database holds key blocks, the table of shards, the store's state and secondary
// orders; the first byte of the key tells which (frozen.hpp).

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "services/store/index/key_block.hpp"
#include "services/store/index/tree.hpp"
#include "services/store/shard/cache.hpp"
#include "stele/store/options.hpp"

struct MDB_cursor;
struct MDB_txn;

namespace stele {

/// The state of a store as a whole.
struct StoreState {
  std::uint64_t store = 0;  // a random number drawn when the store was created
  std::string codec;
  std::optional<int> level;
  std::uint64_t shard_bytes = 0;
  std::uint64_t values = 0;
  std::uint64_t commits = 0;
  std::uint64_t table = 0;  // changes when shards are added or removed
  std::uint32_t next_shard = 1;
  std::uint64_t next_rank = 1;
  std::uint64_t dictionary = 0;  // the newest; 0: none
  struct Order {
    std::uint64_t number = 0;
    std::string name;
  };
  std::vector<Order> orders;
  std::uint64_t next_order = 1;
  std::uint64_t transaction = 0;  // number of the LMDB transaction that wrote it, to detect a wrong first page
};

/// A shard's entry in the index.
struct ShardEntry {
  std::uint32_t number = 0;
  std::uint64_t rank = 0;    // sorts the shards; if a key has several records, the last one counts
  std::uint64_t length = 0;  // committed bytes
  std::uint64_t live_values = 0;
  std::uint64_t live_bytes = 0;   // bytes of live records
  std::uint64_t other_bytes = 0;  // header, fillers, commits, erasures: not live, and not freed by a vacuum
  std::uint64_t mark = 0;         // the checksum of the mark that ends the committed bytes; 0: no mark yet
  friend bool operator==(const ShardEntry&, const ShardEntry&) = default;
  std::uint64_t dead_bytes() const noexcept { return length - std::min(length, live_bytes + other_bytes); }
};

/// Reads the key blocks of one state of the index in order. A block is valid until the second call after it.
class BlockReader {
 public:
  virtual ~BlockReader() = default;
  /// The block that covers a key. Throws: Error(damaged) if there is none.
  virtual KeyBlock covering(std::string_view key) = 0;
  /// The position of a key's record. Throws: Error(damaged). The caller must check that the record has this key.
  virtual std::optional<Position> find(std::string_view key) { return covering(key).find(key); }
  /// The block that ends where `low` begins. `low` is the start of a block, but not lowest_key.
  virtual KeyBlock before(std::string_view low) = 0;
  /// The number of values. Throws: Error(damaged).
  virtual std::uint64_t values() = 0;
  /// Says that these keys, sorted, will be looked up. Throws: Error(io), Error(changed).
  virtual void will_find(std::span<const std::string_view> /*keys*/) {}

  /// Returns the reader to its owner.
  struct Release {
    void operator()(BlockReader* reader) const noexcept { reader->release(); }
  };
  using Handle = std::unique_ptr<BlockReader, Release>;

 protected:
  virtual void release() noexcept { delete this; }
};

class IndexRead;
class IndexWrite;

/// An open index. Thread-safe. There is one per folder and process, shared by all users, because LMDB requires it.
/// Reads bypass LMDB, which only protects the pages being read from being overwritten.
class Index {
 public:
  /// `make`: create the index if there is none. Checks all pages unless `verify` is none or, if automatic, the index is
  /// larger than 64 MiB. A user without write permission for the folder reads without LMDB's lock; reads during a
  /// commit may then have to be repeated.
  /// Throws: Error(not_found), Error(io), Error(damaged).
  static std::shared_ptr<Index> open(const std::string& folder, bool make, bool writable,
                                     const std::string& name = "index.lmdb", Verify verify = Verify::automatic);
  /// Renames a new index and replaces the old one, which is lost. Only the caller may have the new index open.
  static void rename(const std::string& folder, const std::string& from);
  ~Index();
  Index(const Index&) = delete;
  Index& operator=(const Index&) = delete;

  /// A transaction that sees the last commit. It must not outlive the Index.
  std::unique_ptr<IndexRead, BlockReader::Release> read();
  /// Waits for another writer. The first call checks all pages of the index, unless it was opened with Verify::none.
  std::unique_ptr<IndexWrite> write();
  void sync();
  /// Releases shards that idle readers have cached.
  void clear_caches();
  std::uint64_t bytes() const;
  /// Whether this is a child of the process that opened the index; it must not be used there.
  bool in_child() const noexcept;
  /// Throws: Error(invalid_argument) in a child process.
  void require_same_process() const;

 private:
  friend class IndexRead;
  friend class IndexWrite;
  struct Environment;
  explicit Index(std::unique_ptr<Environment> environment);
  void check_pages();
  std::unique_ptr<Environment> environment_;
};

/// Used by one thread at a time. Without LMDB's lock, all functions except id() throw Error(busy) if others have
/// written so much since it was created that its pages may have been overwritten.
class IndexRead final : public BlockReader {
 public:
  ~IndexRead() override;
  /// Passed from one reader to the next.
  ShardCache& cache() noexcept { return cache_; }
  /// Identifies the state.
  std::uint64_t id() const noexcept { return root_.transaction; }
  KeyBlock covering(std::string_view key) override;
  std::optional<Position> find(std::string_view key) override;
  KeyBlock before(std::string_view low) override;
  std::uint64_t values() override { return state().values; }
  StoreState state();
  /// Ordered by rank.
  std::vector<ShardEntry> shards();
  /// Moves to the first or next entry of a secondary order. Returns its key, or nothing at the end.
  std::optional<std::string> first_of_order(std::uint64_t order, bool reverse);
  std::optional<std::string> next_of_order(bool reverse);

 private:
  friend class Index;
  IndexRead(Index& index, MDB_txn* transaction) : index_(index), transaction_(transaction) {}
  void begin();
  bool is_locked() const noexcept { return transaction_ != nullptr; }
  bool may_be_gone() const;
  template <class F>
  auto stable(F&& read) const;
  KeyBlock block(KeyBlock::Check how);
  KeyBlock seek_block(std::string_view key, bool less, KeyBlock::Check how);
  void release() noexcept override;
  std::optional<std::string> order_entry() const;
  Index& index_;
  MDB_txn* transaction_;  // null without LMDB's lock
  IndexRoot root_;
  IndexTree tree_;
  IndexTree order_tree_;
  ShardCache cache_;
  std::string scratch_;
  /// Copies of blocks whose location may change.
  struct Copy {
    std::string low;
    std::vector<std::byte> bytes;
  };
  std::array<Copy, 2> copies_;
  std::size_t copy_ = 0;
  std::uint64_t order_ = 0;
};

/// The write transaction; rolled back unless commit() returns. One thread.
class IndexWrite {
 public:
  ~IndexWrite();
  void put_state(StoreState state);
  void put_shard(const ShardEntry& shard);
  void erase_shard(std::uint32_t number);

  /// A new position for a key, or none. If `only_from` is set, it applies only if the key is at that position now.
  struct Change {
    std::string_view key;
    std::optional<Position> position;
    std::optional<Position> only_from = std::nullopt;
  };
  /// Applies changes sorted by key, no key twice. `was` is called for each applied change with the previous position.
  void apply(const std::vector<Change>& changes,
             const std::function<void(const Change& change, const std::optional<Position>& old)>& was);
  /// Creates the first block of an empty index.
  void make_first_block();
  void put_order(std::uint64_t order, std::string_view value, std::string_view key);
  void erase_order(std::uint64_t order, std::string_view value, std::string_view key);
  void clear_order(std::uint64_t order);
  void commit(bool durable);

 private:
  friend class Index;
  IndexWrite(Index& index, MDB_txn* transaction);
  void check(int code) const;
  void put(std::string_view key, Bytes value, bool append = false);
  void erase(std::string_view key);
  Index& index_;
  MDB_txn* transaction_;
  MDB_cursor* cursor_ = nullptr;
  std::string scratch_;
};

}  // namespace stele

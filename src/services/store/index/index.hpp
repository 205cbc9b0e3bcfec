#pragma once
// The index of a store in LMDB: one database of blocks, the table of shards, the store's state and secondary orders,
// told apart by the first byte of the key (frozen.hpp).

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
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

/// What is known of a store as a whole.
struct StoreState {
  std::uint64_t store = 0;  // the number drawn when it was made
  std::string codec;
  std::optional<int> level;
  std::uint64_t shard_bytes = 0;
  std::uint64_t values = 0;
  std::uint64_t commits = 0;
  std::uint64_t table = 0;  // changes when shards come or go
  std::uint32_t next_shard = 1;
  std::uint64_t next_rank = 1;
  std::uint64_t dictionary = 0;  // the newest; 0: none
  struct Order {
    std::uint64_t number = 0;
    std::string name;
  };
  std::vector<Order> orders;
  std::uint64_t next_order = 1;
  std::uint64_t transaction = 0;  // of LMDB, that wrote it: what a damaged first page leads to says another
};

/// A shard as the index knows it.
struct ShardEntry {
  std::uint32_t number = 0;
  std::uint64_t rank = 0;    // what shards are sorted by: of records of one key the last counts
  std::uint64_t length = 0;  // bytes that are committed
  std::uint64_t live_values = 0;
  std::uint64_t live_bytes = 0;   // of their records
  std::uint64_t other_bytes = 0;  // header, fillers, commits, erasures: neither live nor to be had back
  std::uint64_t mark = 0;         // the check of the mark that ends what is committed; 0: there is none yet
  friend bool operator==(const ShardEntry&, const ShardEntry&) = default;
  std::uint64_t dead_bytes() const noexcept { return length - std::min(length, live_bytes + other_bytes); }
};

/// Blocks in the order of keys, of one state of the index. A block is valid until the second call after it.
class BlockReader {
 public:
  virtual ~BlockReader() = default;
  /// The block that covers a key. Throws: Error(damaged) where there is none.
  virtual KeyBlock covering(std::string_view key) = 0;
  /// Where a key leads. Throws: Error(damaged); a position it gives still has to be that of a record of the key.
  virtual std::optional<Position> find(std::string_view key) { return covering(key).find(key); }
  /// The block that ends where `low` begins. `low` is no block's first; not for lowest_key.
  virtual KeyBlock before(std::string_view low) = 0;
  /// The number of values. Throws: Error(damaged).
  virtual std::uint64_t values() = 0;

  /// Gives it back to where it came from.
  struct Release {
    void operator()(BlockReader* reader) const noexcept { reader->release(); }
  };
  using Handle = std::unique_ptr<BlockReader, Release>;

 protected:
  virtual void release() noexcept { delete this; }
};

class IndexRead;
class IndexWrite;

/// An open index. Thread-safe; one per folder and process, whoever opens it, as LMDB asks. Reading does not go through
/// LMDB, which only keeps what is read from being overwritten.
class Index {
 public:
  /// `make`: where there is none. Its pages are checked unless `verify` is none or, if automatic, they are more than
  /// 64 MiB. Who may not write to the folder reads without LMDB's lock: what is read while others write may then have
  /// to be read again. Throws: Error(not_found), Error(io), Error(damaged).
  static std::shared_ptr<Index> open(const std::string& folder, bool make, bool writable,
                                     const std::string& name = "index.lmdb", Verify verify = Verify::automatic);
  /// Gives a new index of another name, which must be open no more than by the caller, its own; what had that goes.
  static void rename(const std::string& folder, const std::string& from);
  ~Index();
  Index(const Index&) = delete;
  Index& operator=(const Index&) = delete;

  /// A transaction that sees the last commit. Must not outlive the Index.
  std::unique_ptr<IndexRead, BlockReader::Release> read();
  /// Waits for another writer. The first goes through all pages of the index, unless it was opened without any check.
  std::unique_ptr<IndexWrite> write();
  void sync();
  /// Lets go of shards that readers have kept for the next.
  void clear_caches();
  std::uint64_t bytes() const;
  /// Whether this is a child of the process that opened it, where it must not be used.
  bool in_child() const noexcept;
  /// Throws: Error(invalid_argument) in a child.
  void require_same_process() const;

 private:
  friend class IndexRead;
  friend class IndexWrite;
  struct Environment;
  explicit Index(std::unique_ptr<Environment> environment);
  void check_pages();
  std::unique_ptr<Environment> environment_;
};

/// One thread at a time. Without LMDB's lock all but id() throw Error(busy) when others have written so much since it
/// was made that what it sees may be gone.
class IndexRead final : public BlockReader {
 public:
  ~IndexRead() override;
  /// Kept from one reader to the next.
  ShardCache& cache() noexcept { return cache_; }
  /// Tells states apart.
  std::uint64_t id() const noexcept { return root_.transaction; }
  KeyBlock covering(std::string_view key) override;
  std::optional<Position> find(std::string_view key) override;
  KeyBlock before(std::string_view low) override;
  std::uint64_t values() override { return state().values; }
  StoreState state();
  /// In the order of their ranks.
  std::vector<ShardEntry> shards();
  /// Goes through a secondary order from one entry to the next: its key, or nothing at the end.
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
  /// Copies of blocks that may change where they are.
  struct Copy {
    std::string low;
    std::vector<std::byte> bytes;
  };
  std::array<Copy, 2> copies_;
  std::size_t copy_ = 0;
  std::uint64_t order_ = 0;
};

/// The write transaction; undone unless commit() has returned. One thread.
class IndexWrite {
 public:
  ~IndexWrite();
  void put_state(StoreState state);
  void put_shard(const ShardEntry& shard);
  void erase_shard(std::uint32_t number);

  /// A key that is to lead to another place, or to none; if `only_from` is set, only where it leads there by now.
  struct Change {
    std::string_view key;
    std::optional<Position> position;
    std::optional<Position> only_from = std::nullopt;
  };
  /// Applies changes, sorted by their keys, no key twice. `was` is told of each that is applied where it led before.
  void apply(const std::vector<Change>& changes,
             const std::function<void(const Change& change, const std::optional<Position>& old)>& was);
  /// Makes the block of an index without any.
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

#pragma once
// What writes to a store: holds its lock, appends records, and leads keys to them when it commits.

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/process.hpp"
#include "services/store/care/fit.hpp"
#include "services/store/index/index.hpp"
#include "services/store/shard/shards.hpp"
#include "services/store/shard/value_codec.hpp"
#include "services/store/write/appender.hpp"
#include "services/store/write/lock.hpp"
#include "services/store/write/pending.hpp"
#include "services/store/write/spill.hpp"
#include "services/store/write/tally.hpp"
#include "stele/store.hpp"

namespace stele {

/// One thread at a time, but for find_pending().
class StoreWriter {
 public:
  /// What the writer shares with readers of the same Store; must outlive it.
  struct Shared {
    const Folder& folder;
    const StoreOptions& options;
    Index& index;
    Shards& shards;
    const ValueCodec& codec;
    /// The value at a position, for secondary orders.
    std::function<StoreValue(const Position& position)> value;
  };
  /// Takes the lock, takes over the commit that a writer has ended before it died, removes what else that has left,
  /// builds new orders. Throws: Error(busy), Error(io), Error(damaged) where index and shards do not belong together;
  /// then nothing was changed.
  explicit StoreWriter(Shared shared);
  ~StoreWriter();

  // Each throws Error(invalid_argument) where an order of the store lacks its function.
  /// `head` and `payload` are the value's CBOR item.
  void put(const StoreKey& key, Bytes head, Bytes payload);
  void put_object(const StoreKey& key, const std::function<void(Writer& out)>& write);
  /// False where the key leads nowhere.
  bool erase(const StoreKey& key);

  /// Where a key that was put or erased and not committed leads; nothing where neither was done. Thread-safe.
  std::optional<std::optional<Position>> find_pending(std::string_view key) const;
  /// Writes what find_pending() led to, so that it can be read.
  void flush_buffer();
  /// Whether a record is in its file. Thread-safe.
  bool is_written(const Position& position) const noexcept;

  bool has_pending() const;
  /// The next durable commit() waits for all shards, whoever has written them.
  void touch_all();
  void commit(bool durable);
  /// Undoes what is not committed.
  void discard();
  /// A batch: nothing is committed meanwhile but by commit().
  void set_batch(bool open) noexcept {
    batch_ = open;
    batch_thread_ = std::this_thread::get_id();
  }
  /// Held by others while they read what is not committed, so that it is not undone meanwhile.
  std::shared_mutex& undo_mutex() const noexcept { return undo_mutex_; }
  /// Throws: Error(invalid_argument) inside of what the writer calls: a type that is put, the function of an order.
  void require_idle() const;
  /// Gives up the lock; nothing may be written after that.
  void unlock() noexcept;
  bool in_batch() const noexcept { return batch_; }
  bool in_batch_of_this_thread() const noexcept { return batch_ && batch_thread_ == std::this_thread::get_id(); }

  // For vacuum and other care, which work on what is committed.
  StoreState& state() noexcept { return state_; }
  std::vector<ShardEntry>& table() noexcept { return table_; }
  ShardEntry* entry(std::uint32_t number);
  /// The shard that is written to, or 0.
  std::uint32_t active() const noexcept { return appender_ ? active_ : 0; }
  /// No more is appended to the shard that is written to.
  void seal();
  void sync_folder() const { shared_.folder.synchronize(); }
  /// Writes the list of shards; before a file goes that it names.
  void write_list();
  /// The same if it is old; where it fails, the next commit tries again.
  void renew_list() noexcept;
  /// Before a shard goes that has the mark of the last commit: puts it where records are appended; false in a batch,
  /// when it would take in what is not committed.
  bool mark_commit();
  ShardHeader header_of(const ShardEntry& shard) const;
  /// Appends the mark of a commit, or of a part of one, that stands at `offset` of a shard, and notes it there.
  void put_mark(std::vector<std::byte>& out, ShardEntry& shard, std::uint64_t number, std::uint64_t offset);
  /// For a vacuum: nothing is appended to a shard until the end of the reservation.
  void reserve(std::uint32_t number) { reserved_.push_back(number); }
  /// Makes a shard that is to have the place of `source`, reserved as that is.
  std::pair<std::uint32_t, Appender> reserve_shard(std::uint32_t source);
  void end_reservation() noexcept { reserved_.clear(); }
  /// What a commit made by another than this has changed.
  void adopt(Tally tally) noexcept;
  const StoreOrder& order_function(const std::string& name) const;

 private:
  /// While it is there, what is called is not the library's.
  class Calling {
   public:
    explicit Calling(const StoreWriter& writer) noexcept : writer_(writer) { writer_.calling_ = true; }
    ~Calling() { writer_.calling_ = false; }
    Calling(const Calling&) = delete;
    Calling& operator=(const Calling&) = delete;

   private:
    const StoreWriter& writer_;
  };
  void load();
  void take_over();
  void replay(const StoreFit& fit);
  bool is_ours(const std::string& path, std::uint32_t number) const;
  void cut(const ShardEntry& shard) const;
  void clean_up();
  void build_orders();
  void require_orders() const;
  void open_shard(std::uint64_t record_bytes);
  std::uint32_t take_number();
  Position append(Bytes record, std::size_t payload_at);
  void append_mark(std::uint64_t number);
  void commit_pending(bool durable);
  void put_large(const StoreKey& key, LargeHead head, Bytes first, Bytes rest);
  bool put_compressed(const StoreKey& key, Bytes head, Bytes payload);
  void put_archive(const StoreKey& key, Bytes archive);
  void pass_object(const StoreKey& key, const std::function<void(Writer& out)>& write);
  void note(const StoreKey& key, std::optional<Position> position);
  void note_written() noexcept;
  void sync_touched();
  std::string order_value(const StoreState::Order& order, std::string_view key, const Position& position) const;

  Shared shared_;
  WriterLock lock_;
  ProcessMark process_;
  StoreState state_;
  std::vector<ShardEntry> table_;
  std::vector<std::uint32_t> created_;  // shards that no commit knows yet
  std::vector<std::uint32_t> changed_;  // shards whose entries the index does not have as they are
  std::vector<std::uint32_t> touched_;  // shards with bytes that may not be on the device
  std::optional<Appender> appender_;
  std::uint32_t active_ = 0;
  std::vector<std::uint32_t> reserved_;
  mutable std::shared_mutex undo_mutex_;  // held alone to undo what others may read
  mutable std::mutex pending_mutex_;      // guards pending_
  mutable PendingKeys pending_;
  std::uint64_t pending_bytes_ = 0;
  std::atomic<std::uint64_t> written_{0};  // of the shard that is written to
  std::atomic<std::uint32_t> written_shard_{0};
  mutable bool calling_ = false;  // what is not the library's
  bool undoing_ = false;          // clean_up() is to be called
  bool batch_ = false;
  std::thread::id batch_thread_;
  Spill spill_;
  std::unique_ptr<Writer> object_writer_;
  bool list_is_old_ = false;  // the list of shards is to be written
  std::uint64_t mark_id_;
  std::vector<std::byte> scratch_;
  std::vector<std::byte> plain_;
  std::vector<std::byte> compressed_;
};

}  // namespace stele

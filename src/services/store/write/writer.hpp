#pragma once
// The writer of a store: holds its lock, appends records, and updates the index on commit.

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <thread>
#include <vector>

#include "archive/write/item.hpp"
#include "base/process.hpp"
#include "io/replace/writer_lock.hpp"
#include "services/store/care/fit.hpp"
#include "services/store/index/index.hpp"
#include "services/store/shard/shards.hpp"
#include "services/store/shard/value_codec.hpp"
#include "services/store/write/pending.hpp"
#include "services/store/write/shard_appender.hpp"
#include "services/store/write/spill.hpp"
#include "services/store/write/tally.hpp"
#include "stele/store.hpp"

namespace stele {

/// Used by one thread at a time, except find_pending().
class StoreWriter {
 public:
  /// What the writer shares with readers of the same Store. Must outlive the writer.
  struct Shared {
    const Folder& folder;
    const StoreOptions& options;
    Index& index;
    Shards& shards;
    const ValueCodec& codec;
    /// The value at a position, for secondary orders.
    std::function<StoreValue(const Position& position)> value;
  };
  /// Takes the lock, adopts a commit that a dead writer completed, removes what else it left, and builds new orders.
  /// Throws: Error(busy), Error(io), Error(damaged) if index and shards do not belong together; then nothing was
  /// changed.
  explicit StoreWriter(Shared shared);
  ~StoreWriter();

  // These throw Error(invalid_argument) if an order of the store has no function. `head` and `payload` are the CBOR
  // item of the value.
  void put(const StoreKey& key, Bytes head, Bytes payload);
  void put_object(const StoreKey& key, const Walkable& object);
  /// False if the key does not exist.
  bool erase(const StoreKey& key);

  /// The uncommitted position of a key; nothing if it was neither put nor erased. Thread-safe.
  std::optional<std::optional<Position>> find_pending(std::string_view key) const;
  /// Writes buffered records, so that positions from find_pending() can be read.
  void flush_buffer();
  /// Whether a record was written to its file. Thread-safe.
  bool is_written(const Position& position) const noexcept;

  bool has_pending() const;
  /// The next durable commit() syncs all shards, whoever wrote them.
  void touch_all();
  void commit(bool durable);
  /// Undoes uncommitted changes.
  void discard();
  /// A batch: until it ends, only commit() commits.
  void set_batch(bool open) noexcept {
    batch_ = open;
    batch_thread_ = std::this_thread::get_id();
  }
  /// Readers of uncommitted values hold this, so that they are not undone meanwhile.
  std::shared_mutex& undo_mutex() const noexcept { return undo_mutex_; }
  /// Throws: Error(invalid_argument) inside the user's code that the writer calls: the visit of a type, or the function
  /// of an order.
  void require_idle() const;
  /// Releases the lock. Nothing may be written after that.
  void unlock() noexcept;
  bool in_batch() const noexcept { return batch_; }
  bool in_batch_of_this_thread() const noexcept { return batch_ && batch_thread_ == std::this_thread::get_id(); }

  // For vacuum and recovery, which work on the committed state.
  StoreState& state() noexcept { return state_; }
  std::vector<ShardEntry>& table() noexcept { return table_; }
  ShardEntry* entry(std::uint32_t number);
  /// The shard that records are appended to, or 0.
  std::uint32_t active() const noexcept { return appender_ ? active_ : 0; }
  /// Stops appending to the current shard.
  void seal();
  void sync_folder() const { shared_.folder.synchronize(); }
  /// Writes the list of shards. Call before deleting a shard that it names.
  void write_list();
  /// The same if the list is outdated. If it fails, the next commit tries again.
  void renew_list() noexcept;
  /// Call before deleting the shard with the mark of the last commit: writes a mark to the current shard. False in a
  /// batch, where the mark would include uncommitted records.
  bool mark_commit();
  ShardHeader header_of(const ShardEntry& shard) const;
  /// Appends the mark of a commit, or of a part of one, for `offset` of a shard, and records it in the entry.
  void put_mark(std::vector<std::byte>& out, ShardEntry& shard, std::uint64_t number, std::uint64_t offset);
  /// For a vacuum: nothing is appended to the shard until the reservation ends.
  void reserve(std::uint32_t number) { reserved_.push_back(number); }
  /// Creates a shard with the rank of `source`, and reserves it.
  std::pair<std::uint32_t, ShardAppender> reserve_shard(std::uint32_t source);
  void end_reservation() noexcept { reserved_.clear(); }
  /// Takes over the changes of a commit that was made elsewhere.
  void adopt(Tally tally) noexcept;
  const StoreOrder& order_function(const std::string& name) const;

 private:
  /// Marks that user code is being called.
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
  void pass_object(const StoreKey& key, const Walkable& object);
  void note(const StoreKey& key, std::optional<Position> position);
  void note_written() noexcept;
  void sync_touched();
  std::string order_value(const StoreState::Order& order, std::string_view key, const Position& position) const;

  Shared shared_;
  WriterLock lock_;
  ProcessMark process_;
  StoreState state_;
  std::vector<ShardEntry> table_;
  std::vector<std::uint32_t> created_;  // shards that are in no commit yet
  std::vector<std::uint32_t> changed_;  // shards whose entries differ from the index
  std::vector<std::uint32_t> touched_;  // shards with bytes that may not be synced
  std::optional<ShardAppender> appender_;
  std::uint32_t active_ = 0;
  std::vector<std::uint32_t> reserved_;
  mutable std::shared_mutex undo_mutex_;  // locked exclusively to undo what others may be reading
  mutable std::mutex pending_mutex_;      // guards pending_
  mutable PendingKeys pending_;
  std::uint64_t pending_bytes_ = 0;
  std::atomic<std::uint64_t> written_{0};  // bytes of the current shard
  std::atomic<std::uint32_t> written_shard_{0};
  mutable bool calling_ = false;  // user code is being called
  bool undoing_ = false;          // clean_up() must be called
  bool batch_ = false;
  std::thread::id batch_thread_;
  SaveOptions object_options_;
  ItemWriter objects_;
  bool list_is_old_ = false;  // the list of shards must be written
  std::uint64_t mark_id_;
  std::vector<std::byte> scratch_;
  std::vector<std::byte> plain_;
  std::vector<std::byte> compressed_;
};

}  // namespace stele

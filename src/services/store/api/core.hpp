#pragma once
// The implementation of Store.

#include <atomic>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "io/replace/folder.hpp"
#include "services/store/api/packed.hpp"
#include "services/store/index/index.hpp"
#include "services/store/shard/shards.hpp"
#include "services/store/shard/value_codec.hpp"
#include "services/store/write/writer.hpp"
#include "stele/store.hpp"

namespace stele {

/// One state of a store with all its shards open, so that they stay readable. Used by one thread at a time.
struct StoreSnapshot {
  BlockReader::Handle blocks;
  IndexRead* index = nullptr;  // same as `blocks`; null for a store in one file
  std::vector<ShardEntry> table;
  std::unordered_map<std::uint32_t, std::shared_ptr<Shard>> shards;

  const Shard& shard(std::uint32_t number) const;
  /// Whether it is read from another machine.
  bool is_remote() const noexcept { return index == nullptr && shards.at(0)->is_remote(); }
};

struct StoreCore {
  StoreCore(std::string path, StoreMode mode, StoreOptions options);
  ~StoreCore();

  BlockReader::Handle read() const;
  /// `all`: whether a missing shard is an error; otherwise it is left out.
  StoreSnapshot snapshot(bool all = true);
  /// The value at a position. If `key` is not null, the record must have that key.
  StoreValue value(const Shard& shard, const Position& position, const StoreKey* key) const;
  std::optional<StoreValue> view(const StoreKey& key);
  /// A copy of the uncommitted value of a key; nothing if the key has changed since `position` was read.
  std::optional<StoreValue> pending_value(StoreWriter& pending, const StoreKey& key, const Position& position);
  bool contains(const StoreKey& key);
  /// The committed position of a key's value.
  std::optional<Position> locate(BlockReader& blocks, const StoreKey& key) const;

  /// The writer; created by the first call. `write_mutex` must be held.
  StoreWriter& writing();
  std::shared_ptr<StoreWriter> writer() const;
  /// Locks out other writers, after waiting for the batch of another thread to end.
  /// Throws: Error(invalid_argument) while this thread has a batch open.
  std::unique_lock<std::recursive_mutex> without_batch();
  /// Commits pending changes, unless a batch is open. Does nothing for a reader.
  void commit_waiting();
  /// Commits pending changes and releases the writer's lock. `closing`: undoes an open batch; otherwise waits until it
  /// ends.
  void end_writing(bool closing);
  void require_open() const;
  std::vector<std::byte> dictionary(std::uint64_t number) const;
  static std::string dictionary_name(std::uint64_t number);

  std::string path;           // as the user gave it
  std::string absolute_path;  // the same place, whatever the current folder is
  Folder folder;              // for a store in a folder
  StoreMode mode;
  StoreOptions options;
  std::shared_ptr<Index> index;         // for a store in a folder
  std::unique_ptr<PackedStore> packed;  // for a store in one file
  std::unique_ptr<ValueCodec> codec;
  std::unique_ptr<Shards> shards;
  LoadOptions load;
  std::atomic<bool> closed{false};

  /// Throws: Error(invalid_argument) inside an update or a vacuum, where this thread would deadlock.
  void require_outside() const;

  std::recursive_mutex write_mutex;          // held while writing
  std::atomic<std::thread::id> updating{};   // the thread that runs an update
  std::atomic<std::thread::id> vacuuming{};  // the thread that runs a vacuum
  std::mutex vacuum_mutex;                   // held during a vacuum, and while ending writing
  mutable std::mutex writer_mutex;           // guards writer_
  std::atomic<bool> has_writer{false};
  std::atomic<std::uint64_t> seen{0};  // the state of the index that the open shards belong to

 private:
  void open_folder();
  void hold_folder();
  void open_file();
  void refresh(IndexRead& read);
  bool try_to_end_writing(bool closing);
  std::shared_ptr<StoreWriter> writer_;
};

}  // namespace stele

#pragma once
// What a Store is behind its interface.

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

/// One state of a store, with all its shards open, so that nothing of it can go away. One thread at a time.
struct StoreSnapshot {
  BlockReader::Handle blocks;
  IndexRead* index = nullptr;  // `blocks`, but for a store in one file
  std::vector<ShardEntry> table;
  std::unordered_map<std::uint32_t, std::shared_ptr<Shard>> shards;

  const Shard& shard(std::uint32_t number) const;
};

struct StoreCore {
  StoreCore(std::string path, StoreMode mode, StoreOptions options);
  ~StoreCore();

  BlockReader::Handle read() const;
  /// `all`: whether every shard has to be there; else those that are not are left out.
  StoreSnapshot snapshot(bool all = true);
  /// The value at a position, which must be `key`'s if that is not null.
  StoreValue value(const Shard& shard, const Position& position, const StoreKey* key) const;
  std::optional<StoreValue> view(const StoreKey& key);
  /// A copy of what a key leads to that was put and not committed; nothing where that has changed since.
  std::optional<StoreValue> pending_value(StoreWriter& pending, const StoreKey& key, const Position& position);
  bool contains(const StoreKey& key);
  /// Where a key leads by what is committed.
  std::optional<Position> locate(BlockReader& blocks, const StoreKey& key) const;

  /// The writer, made at the first call. `write_mutex` is held.
  StoreWriter& writing();
  std::shared_ptr<StoreWriter> writer() const;
  /// The lock of writers once no batch of another thread is open. Throws: Error(invalid_argument) while this thread's
  /// is.
  std::unique_lock<std::recursive_mutex> without_batch();
  /// Commits what waits, unless a batch is open. Nothing to do for a reader.
  void commit_waiting();
  /// Commits what waits, and lets others write. `closing`: undoes an open batch, else waits for its end.
  void end_writing(bool closing);
  void require_open() const;
  std::vector<std::byte> dictionary(std::uint64_t number) const;
  static std::string dictionary_name(std::uint64_t number);

  std::string path;           // as it was given
  std::string absolute_path;  // of the same place, whatever the current folder is
  Folder folder;              // of a store in one
  StoreMode mode;
  StoreOptions options;
  std::shared_ptr<Index> index;         // a folder
  std::unique_ptr<PackedStore> packed;  // or a file
  std::unique_ptr<ValueCodec> codec;
  std::unique_ptr<Shards> shards;
  LoadOptions load;
  std::atomic<bool> closed{false};

  /// Throws: Error(invalid_argument) where this thread would wait for itself: inside of an update or a vacuum.
  void require_outside() const;

  std::recursive_mutex write_mutex;          // held while something is written
  std::atomic<std::thread::id> updating{};   // the thread inside of an update
  std::atomic<std::thread::id> vacuuming{};  // and of a vacuum
  std::mutex vacuum_mutex;                   // held by a vacuum, and to end writing
  mutable std::mutex writer_mutex;           // guards writer_
  std::atomic<bool> has_writer{false};
  std::atomic<std::uint64_t> seen{0};  // the state of the index that the open shards are of

 private:
  void open_folder();
  void hold_folder();
  void open_file();
  void refresh(IndexRead& read);
  bool try_to_end_writing(bool closing);
  std::shared_ptr<StoreWriter> writer_;
};

}  // namespace stele

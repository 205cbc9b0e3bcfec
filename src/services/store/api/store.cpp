#include "stele/store.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <numeric>
#include <random>
#include <shared_mutex>
#include <thread>

#include "base/bytes.hpp"
#include "base/naming.hpp"
#include "format/cbor.hpp"
#include "format/text/utf8.hpp"
#include "io/storage/urls.hpp"
#include "io/system.hpp"
#include "services/store/api/core.hpp"
#include "services/store/api/prefetch.hpp"
#include "services/store/shard/store_record.hpp"
#include "stele/error.hpp"

namespace stele {
namespace {

constexpr int most_attempts = 100;      // reads while shards are being replaced
constexpr unsigned making_ms = 10'000;  // wait for another process that is creating the store
constexpr std::uint64_t least_shard = std::uint64_t{64} << 10;

void check_key(const StoreKey& key) {
  if (key.sortable().size() > StoreKey::max_size + 1) {
    fail(Errc::invalid_argument, "a key of " + std::to_string(key.sortable().size() - 1) + " bytes; at most " +
                                     std::to_string(StoreKey::max_size) + " are possible");
  }
}

/// Returns if another attempt may succeed: a vacuum may have replaced a shard, or others may have written to an index
/// that is read without a lock. Otherwise rethrows. Called inside the handler.
void pass_for_another_attempt(const Error& error, int attempt) {
  if (error.code() != Errc::not_found && error.code() != Errc::busy) {
    throw;
  }
  if (attempt >= most_attempts) {
    if (error.code() == Errc::not_found) {  // a missing value must be reported
      fail(Errc::damaged, error.message() + "; Store::recover() rebuilds the index without it", {.file = error.file()});
    }
    throw;
  }
}

[[noreturn]] void fail_no_store(const std::string& path) {
  fail(Errc::not_an_archive, path + " is not a store: that is a folder, or a file that compact_to() wrote",
       {.file = path});
}

/// A number that is practically unique to a store.
std::uint64_t new_store_number() {
  std::random_device random;
  return std::uint64_t{random()} << 32 | random();
}

}  // namespace

// --- Opening ---------------------------------------------------------------------------------------------------------

StoreCore::StoreCore(std::string where, StoreMode how, StoreOptions given)
    : path(local_path(where).value_or(where)), mode(how), options(std::move(given)) {
  load.types = options.types;
  if (is_url(path)) {
    if (mode != StoreMode::read_only) {
      fail(Errc::unsupported,
           "cannot write to " + path +
               ": a store is written in a local folder; at a URL a file that "
               "compact_to() wrote is read, with read_only",
           {.file = path});
    }
    absolute_path = path;
    open_file();
    return;
  }
  absolute_path = std::filesystem::absolute(path).string();
  struct stat status;
  if (system_calls().stat(path.c_str(), &status) != 0 || S_ISDIR(status.st_mode)) {
    open_folder();
    return;
  }
  if (!S_ISREG(status.st_mode) || status.st_size == 0) {
    fail_no_store(path);
  }
  open_file();
  if (mode != StoreMode::read_only) {
    fail(Errc::read_only, path + " is a store in one file, which is only read");
  }
}

void StoreCore::open_file() {
  try {
    packed = std::make_unique<PackedStore>(path);
  } catch (const Error& error) {
    switch (error.code()) {
      case Errc::not_an_archive:
      case Errc::malformed:
      case Errc::type_mismatch:
      case Errc::missing_field:
      case Errc::not_mappable:
        fail_no_store(path);
      default:
        throw;
    }
  }
  codec = std::make_unique<ValueCodec>(packed->root().codec, std::nullopt,
                                       [this](std::uint64_t number) { return dictionary(number); });
}

StoreCore::~StoreCore() = default;

void StoreCore::open_folder() {
  const bool writable = mode != StoreMode::read_only;
  const auto has_index = [&] {
    struct stat status;
    return system_calls().stat((path + "/index.lmdb").c_str(), &status) == 0;
  };
  StoreState state;
  if (has_index()) {
    index = Index::open(path, false, writable, "index.lmdb", options.verify);
  } else {
    if (mode != StoreMode::create) {
      fail(Errc::not_found, "there is no store in " + path);
    }
    ValueCodec(options.codec, options.level, nullptr);  // throws for invalid options
    if (options.shard_bytes < least_shard) {
      fail(Errc::invalid_argument, "shards of less than " + std::to_string(least_shard) + " bytes");
    }
    if (system_calls().mkdir(path.c_str(), 0777) != 0 && errno != EEXIST) {
      fail_call("create", path, errno);
    }
    hold_folder();
    const WriterLock lock(folder, std::max(options.wait_ms, making_ms), "the store");
    for (const std::string& file : folder.names()) {
      if (shard_number(file)) {
        fail(Errc::damaged, path + " has shards and no index; Store::recover() rebuilds it");
      }
    }
    if (!has_index()) {  // another process may have been faster
      const std::string name = "index.new";
      system_calls().unlink((path + '/' + name).c_str());
      const std::shared_ptr<Index> made = Index::open(path, true, true, name);
      state.store = new_store_number();
      state.codec = options.codec;
      state.level = options.level;
      state.shard_bytes = options.shard_bytes;
      const std::unique_ptr<IndexWrite> write = made->write();
      write->put_state(state);
      write->make_first_block();
      write->commit(options.durability != StoreDurability::none);
      Index::rename(path, name);
    }
    index = Index::open(path, false, true);
  }
  {
    const auto read = index->read();
    state = read->state();
    seen = read->id();
  }
  codec = std::make_unique<ValueCodec>(state.codec, state.level,
                                       [this](std::uint64_t number) { return dictionary(number); });
  hold_folder();
  shards = std::make_unique<Shards>(folder, state.store, state.shard_bytes + (state.shard_bytes >> 3));
}

/// Keeps the folder open, so that the store is found after chdir() and stays the same if another takes its name.
void StoreCore::hold_folder() {
  folder = Folder::open(path);
  if (!folder.is_open()) {
    fail_call("open", path, errno);
  }
}

std::string StoreCore::dictionary_name(std::uint64_t number) {
  return "dictionary-" + std::to_string(number) + ".zdict";
}

std::vector<std::byte> StoreCore::dictionary(std::uint64_t number) const {
  if (packed != nullptr) {
    if (number == 0 || number > packed->root().dictionaries.size()) {
      fail(Errc::damaged, "the store lacks its dictionary " + std::to_string(number));
    }
    return packed->root().dictionaries[static_cast<std::size_t>(number - 1)];
  }
  const OwnedDescriptor file = folder.open_file(dictionary_name(number), O_RDONLY | O_NONBLOCK | O_NOCTTY);
  if (!file.is_open()) {
    if (errno == ENOENT) {
      fail(Errc::damaged, "the store lacks its dictionary " + std::to_string(number));
    }
    fail_call("read", folder.path() + dictionary_name(number), errno);
  }
  return stele::load<std::vector<std::byte>>(Descriptor{file.get()});
}

Store::Store(std::unique_ptr<StoreCore> state) : state_(std::move(state)) {}
Store::Store(Store&&) noexcept = default;
Store& Store::operator=(Store&& other) noexcept {
  if (this != &other) {
    const Store before(std::move(*this));  // its destructor commits
    state_ = std::move(other.state_);
  }
  return *this;
}

Store Store::open(const Path& path, StoreMode mode, const StoreOptions& options) {
  return naming(path.text(), [&] { return Store(std::make_unique<StoreCore>(path.text(), mode, options)); });
}

Store::~Store() {
  if (state_ != nullptr && !state_->closed) {
    try {
      close();
    } catch (...) {  // only close() reports errors
    }
  }
}

void StoreCore::require_open() const {
  if (closed) {
    fail(Errc::invalid_argument, "the store is closed");
  }
  if (index != nullptr) {
    index->require_same_process();
  }
}

// --- Reading ---------------------------------------------------------------------------------------------------------

const Shard& StoreSnapshot::shard(std::uint32_t number) const {
  const auto found = shards.find(number);
  if (found == shards.end()) {
    fail(Errc::damaged, "the store's index refers to shard " + std::to_string(number) + ", which cannot be read");
  }
  return *found->second;
}

BlockReader::Handle StoreCore::read() const {
  require_open();
  if (packed != nullptr) {
    return packed->read();
  }
  return index->read();
}

/// Closes shards that are no longer in the table.
void StoreCore::refresh(IndexRead& read) {
  const std::uint64_t id = read.id();
  if (seen.load(std::memory_order_relaxed) != id && seen.exchange(id) != id) {
    const std::vector<ShardEntry> table = read.shards();
    if (shards->keep(table)) {
      index->clear_caches();
    }
  }
}

StoreSnapshot StoreCore::snapshot(bool all) {
  for (int attempt = 0;; ++attempt) {
    StoreSnapshot snapshot;
    snapshot.blocks = read();
    if (packed != nullptr) {
      snapshot.shards.emplace(0, packed->shard());
      return snapshot;
    }
    snapshot.index = static_cast<IndexRead*>(snapshot.blocks.get());
    try {
      snapshot.table = snapshot.index->shards();
      for (const ShardEntry& entry : snapshot.table) {
        try {
          snapshot.shards.emplace(entry.number, shards->get(entry.number));
        } catch (const Error& error) {
          if (all || error.code() == Errc::io || (error.code() == Errc::not_found && attempt < most_attempts)) {
            throw;
          }
        }
      }
      return snapshot;
    } catch (const Error& error) {
      pass_for_another_attempt(error, attempt);
    }
  }
}

StoreValue StoreCore::value(const Shard& shard, const Position& position, const StoreKey* key) const {
  Shard::Found found = shard.record(position, options.verify);
  if (key != nullptr && !found.record.is_key(*key)) {
    shard.fail_damaged("has another key than the index says", position.offset);
  }
  return StoreRecord::value(std::move(found), *codec, load.limits);
}

std::shared_ptr<StoreWriter> StoreCore::writer() const {
  if (!has_writer) {
    return nullptr;
  }
  const std::lock_guard lock(writer_mutex);
  return writer_;
}

std::optional<Position> StoreCore::locate(BlockReader& blocks, const StoreKey& key) const {
  return blocks.find(key.sortable());
}

std::optional<StoreValue> StoreCore::view(const StoreKey& key) {
  for (int attempt = 0;; ++attempt) {
    require_open();
    if (const std::shared_ptr<StoreWriter> pending = writer()) {
      if (const auto found = pending->find_pending(key.sortable())) {
        if (!*found) {
          return std::nullopt;
        }
        if (std::optional<StoreValue> copied = pending_value(*pending, key, **found)) {
          return copied;
        }
        continue;
      }
    }
    const BlockReader::Handle blocks = read();
    try {
      const std::optional<Position> position = locate(*blocks, key);
      if (!position) {
        return std::nullopt;
      }
      if (packed != nullptr) {
        return value(*packed->shard(), *position, &key);
      }
      auto& reader = static_cast<IndexRead&>(*blocks);
      refresh(reader);
      return value(shards->get(position->shard, reader.cache()), *position, &key);
    } catch (const Error& error) {
      pass_for_another_attempt(error, attempt);
    }
  }
}

std::optional<StoreValue> StoreCore::pending_value(StoreWriter& pending, const StoreKey& key,
                                                   const Position& position) {
  if (!pending.is_written(position)) {
    const std::lock_guard lock(write_mutex);
    pending.flush_buffer();
  }
  const std::shared_lock kept(pending.undo_mutex());
  if (pending.find_pending(key.sortable()) != std::optional(std::optional(position)) || !pending.is_written(position)) {
    return std::nullopt;
  }
  return StoreRecord::copy(value(*shards->get(position.shard), position, &key));
}

bool StoreCore::contains(const StoreKey& key) {
  if (const std::shared_ptr<StoreWriter> pending = writer()) {
    if (const auto found = pending->find_pending(key.sortable())) {
      return found->has_value();
    }
  }
  for (int attempt = 0;; ++attempt) {
    const BlockReader::Handle blocks = read();
    try {
      return locate(*blocks, key).has_value();
    } catch (const Error& error) {
      pass_for_another_attempt(error, attempt);
    }
  }
}

std::optional<StoreValue> Store::view(const StoreKey& key) const {
  return naming(state_->path, [&] { return state_->view(key); });
}
bool Store::contains(const StoreKey& key) const {
  return naming(state_->path, [&] { return state_->contains(key); });
}

std::uint64_t Store::size() const {
  state_->commit_waiting();
  for (int attempt = 0;; ++attempt) {
    try {
      return state_->read()->values();
    } catch (const Error& error) {
      pass_for_another_attempt(error, attempt);
    }
  }
}

void Store::view_many(std::span<const StoreKey> keys,
                      const std::function<void(std::size_t, const StoreValue&)>& found) const {
  state_->commit_waiting();
  const StoreSnapshot snapshot = state_->snapshot();
  struct Wanted {
    Position position;
    std::size_t index;
  };
  std::vector<Wanted> wanted;
  wanted.reserve(keys.size());
  std::vector<std::size_t> order(keys.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  const bool is_remote = snapshot.is_remote();
  if (is_remote) {
    std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return keys[a] < keys[b]; });
  }
  constexpr std::size_t looked_up = 256;  // at once
  std::vector<std::string_view> sorted;
  for (std::size_t at = 0; at < order.size(); ++at) {
    if (is_remote && at % looked_up == 0) {
      sorted.clear();
      for (std::size_t i = at; i < std::min(at + looked_up, order.size()); ++i) {
        sorted.push_back(keys[order[i]].sortable());
      }
      snapshot.blocks->will_find(sorted);
    }
    const std::size_t i = order[at];
    if (const std::optional<Position> position = state_->locate(*snapshot.blocks, keys[i])) {
      wanted.push_back({*position, i});
    }
  }
  std::sort(wanted.begin(), wanted.end(), [](const Wanted& a, const Wanted& b) {
    return a.position.shard != b.position.shard ? a.position.shard < b.position.shard
                                                : a.position.offset < b.position.offset;
  });
  constexpr std::size_t ahead = 64;
  Prefetcher prefetcher;
  std::vector<Position> next;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (i % ahead == 0) {
      next.clear();
      for (std::size_t j = i; j < std::min(i + 2 * ahead, wanted.size()); ++j) {
        next.push_back(wanted[j].position);
      }
      prefetcher.ahead(snapshot, next);
    }
    const Position& position = wanted[i].position;
    found(wanted[i].index, state_->value(snapshot.shard(position.shard), position, &keys[wanted[i].index]));
  }
}

LoadOptions Store::load_options() const { return state_->load; }

void Store::fail_missing(const StoreKey& key) { fail(Errc::not_found, "the store has no key " + key.describe()); }

// --- Writing ---------------------------------------------------------------------------------------------------------

StoreWriter& StoreCore::writing() {
  require_open();
  if (writer_ != nullptr) {
    writer_->require_idle();
    return *writer_;
  }
  if (mode == StoreMode::read_only) {
    fail(Errc::read_only, "the store in " + path + " was opened read_only");
  }
  const auto value_at = [this](const Position& position) {
    return value(*shards->get(position.shard), position, nullptr);
  };
  auto made = std::make_shared<StoreWriter>(StoreWriter::Shared{folder, options, *index, *shards, *codec, value_at});
  const std::lock_guard lock(writer_mutex);
  writer_ = std::move(made);
  has_writer = true;
  return *writer_;
}

void StoreCore::require_outside() const {
  const std::thread::id self = std::this_thread::get_id();
  if (updating == self || vacuuming == self) {
    fail(Errc::invalid_argument, "not possible inside of an update or a vacuum of the same store");
  }
}

std::unique_lock<std::recursive_mutex> StoreCore::without_batch() {
  for (;;) {
    std::unique_lock lock(write_mutex);
    StoreWriter& pending = writing();
    if (!pending.in_batch()) {
      return lock;
    }
    if (pending.in_batch_of_this_thread()) {
      fail(Errc::invalid_argument, "a batch is open; commit it first");
    }
    lock.unlock();
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

void StoreCore::commit_waiting() {
  require_open();
  if (!has_writer) {
    return;
  }
  const std::lock_guard lock(write_mutex);
  if (writer_ != nullptr && !writer_->in_batch() && writer_->has_pending()) {
    writer_->commit(options.durability != StoreDurability::none);
  }
}

void StoreCore::end_writing(bool closing) {
  require_outside();
  {
    const std::lock_guard lock(write_mutex);
    if (writer_ != nullptr) {
      writer_->require_idle();
    }
  }
  while (!try_to_end_writing(closing)) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

/// False if it must wait for the batch of another thread.
bool StoreCore::try_to_end_writing(bool closing) {
  const std::lock_guard vacuum_lock(vacuum_mutex);
  const std::lock_guard lock(write_mutex);
  if (writer_ != nullptr) {
    writer_->require_idle();
    if (writer_->in_batch() && !closing) {
      if (writer_->in_batch_of_this_thread()) {
        fail(Errc::invalid_argument, "a batch is open; commit it first");
      }
      return false;
    }
    if (writer_->in_batch()) {
      writer_->discard();
      writer_->set_batch(false);
    }
    writer_->commit(options.durability != StoreDurability::none);
    writer_->unlock();  // even if a reader still holds it
    const std::lock_guard writer_lock(writer_mutex);
    has_writer = false;
    writer_ = nullptr;
  }
  closed = closed || closing;
  return true;
}

Store::Exclusive::Exclusive(Store& store) : state_(store.state_.get()) {
  std::unique_lock lock(state_->write_mutex);
  state_->writing();  // before anything is read: otherwise index and shards may not match
  lock.release();
  outermost_ = state_->updating.exchange(std::this_thread::get_id()) == std::thread::id();
}
Store::Exclusive::~Exclusive() {
  if (outermost_) {
    state_->updating = std::thread::id();
  }
  state_->write_mutex.unlock();
}

void Store::put_text(const StoreKey& key, std::string_view text) {
  check_key(key);
  std::array<std::byte, cbor::max_head> head;
  const bool valid = is_utf8(text);
  std::byte* const end = cbor::put_head(head.data(), valid ? cbor::Major::text : cbor::Major::bytes, text.size());
  const std::lock_guard lock(state_->write_mutex);
  state_->writing().put(key, std::span(head).first(static_cast<std::size_t>(end - head.data())),
                        std::as_bytes(std::span(text)));
}

void Store::put_bytes(const StoreKey& key, Bytes bytes) {
  check_key(key);
  std::array<std::byte, cbor::max_head> head;
  std::byte* const end = cbor::put_head(head.data(), cbor::Major::bytes, bytes.size());
  const std::lock_guard lock(state_->write_mutex);
  state_->writing().put(key, std::span(head).first(static_cast<std::size_t>(end - head.data())), bytes);
}

void Store::put_object(const StoreKey& key, const Object& object) {
  check_key(key);
  const std::lock_guard lock(state_->write_mutex);
  naming(state_->path, [&] { state_->writing().put_object(key, {object.walk, object.value}); });
}

bool Store::erase(const StoreKey& key) {
  check_key(key);
  const std::lock_guard lock(state_->write_mutex);
  StoreWriter& writer = state_->writing();
  return state_->contains(key) && writer.erase(key);
}

void Store::commit() {
  const std::lock_guard lock(state_->write_mutex);
  StoreWriter& writer = state_->writing();
  if (writer.in_batch()) {
    fail(Errc::invalid_argument, "a batch is open; commit that");
  }
  writer.commit(state_->options.durability != StoreDurability::none);
}

void Store::flush() {
  const std::lock_guard lock(state_->write_mutex);
  StoreWriter& writer = state_->writing();
  if (writer.in_batch()) {
    fail(Errc::invalid_argument, "a batch is open; commit that");
  }
  writer.touch_all();
  writer.commit(true);
}

void Store::release() {
  state_->require_open();
  state_->end_writing(false);
}

void Store::close() {
  if (state_->closed) {
    return;
  }
  state_->end_writing(true);
}

StoreBatch Store::batch() {
  if (state_->updating == std::this_thread::get_id()) {
    state_->require_outside();
  }
  const std::unique_lock lock = state_->without_batch();
  StoreWriter& writer = state_->writing();
  writer.commit(state_->options.durability != StoreDurability::none);
  writer.set_batch(true);
  return StoreBatch(*this);
}

Store& StoreBatch::store() const {
  if (store_ == nullptr || store_->state_ == nullptr) {
    fail(Errc::invalid_argument, "the batch has ended, or its store was moved");
  }
  return *store_;
}

StoreBatch::~StoreBatch() {
  if (store_ == nullptr || store_->state_ == nullptr) {
    return;
  }
  StoreCore& state = *store_->state_;
  const std::lock_guard lock(state.write_mutex);
  if (const std::shared_ptr<StoreWriter> writer = state.writer(); writer != nullptr && writer->in_batch()) {
    try {
      writer->set_batch(false);
      writer->discard();
    } catch (...) {  // the next write reads the state of the index again, or fails in the same way
    }
  }
}

void StoreBatch::commit() {
  StoreCore& state = *store().state_;
  const std::lock_guard lock(state.write_mutex);
  StoreWriter& writer = state.writing();
  store_ = nullptr;
  writer.set_batch(false);
  try {
    writer.commit(state.options.durability != StoreDurability::none);
  } catch (...) {
    writer.discard();
    throw;
  }
}

}  // namespace stele

#include "services/store/index.hpp"

#include <lmdb.h>
#include <sys/stat.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>
#include <thread>

#include "base/bytes.hpp"
#include "base/process.hpp"
#include "services/store/frozen.hpp"
#include "services/store/index_pages.hpp"
#include "services/store/state_record.hpp"
#include "src/io/system.hpp"
#include "stele/error.hpp"

namespace stele {
namespace {

using namespace store_frozen;

constexpr std::size_t largest_map = std::size_t{256} << 30;  // of address space, not of memory
constexpr std::size_t smallest_map = std::size_t{1} << 30;
constexpr std::uint64_t checked_size = std::uint64_t{64} << 20;
constexpr unsigned most_readers = 2048;
constexpr MDB_dbi database_number = 1;  // the one without a name

[[noreturn]] void fail_index(const char* action, int code) {
  const std::string message = std::string("cannot ") + action + " the store's index: " + ::mdb_strerror(code);
  switch (code) {
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
    case MDB_PANIC:
    case MDB_BAD_TXN:
    case MDB_INCOMPATIBLE:
      fail(Errc::damaged, message);
    case MDB_VERSION_MISMATCH:
      fail(Errc::unsupported, message);
    case MDB_MAP_FULL:
    case MDB_READERS_FULL:
      fail(Errc::limit_exceeded, message);
    default:
      fail(Errc::io, message);
  }
}

void check(int code, const char* action) {
  if (code != MDB_SUCCESS) {
    fail_index(action, code);
  }
}

MDB_val value_of(std::string_view text) { return {text.size(), const_cast<char*>(text.data())}; }
MDB_val value_of(Bytes bytes) { return {bytes.size(), const_cast<std::byte*>(bytes.data())}; }
std::string_view text_of(const MDB_val& value) { return {static_cast<const char*>(value.mv_data), value.mv_size}; }
Bytes bytes_of(const MDB_val& value) { return {static_cast<const std::byte*>(value.mv_data), value.mv_size}; }

const std::string state_key(1, index_state);

std::string shard_key(std::uint32_t number) {
  std::array<std::byte, 4> big;
  store_be<std::uint32_t>(big.data(), number);
  return index_shard + std::string(reinterpret_cast<const char*>(big.data()), big.size());
}

constexpr std::size_t order_prefix = 1 + 4;
std::string order_key(std::uint64_t order) {
  std::array<std::byte, 4> big;
  store_be<std::uint32_t>(big.data(), static_cast<std::uint32_t>(order));
  return index_order + std::string(reinterpret_cast<const char*>(big.data()), big.size());
}

/// Moves a cursor; false at the end.
bool move(MDB_cursor* cursor, MDB_cursor_op operation, MDB_val& key, MDB_val& value) {
  const int code = ::mdb_cursor_get(cursor, &key, &value, operation);
  if (code == MDB_NOTFOUND) {
    return false;
  }
  check(code, "read");
  return true;
}

/// The block with the greatest low that is `key` or less, or less if `less`.
KeyBlock seek_block(MDB_cursor* cursor, std::string_view key, bool less, std::string& scratch,
                    KeyBlock::Check how = KeyBlock::Check::checked) {
  scratch.assign(1, index_block);
  scratch += key;
  MDB_val at = value_of(scratch);
  MDB_val value{};
  bool found = move(cursor, MDB_SET_RANGE, at, value);
  if (!found) {
    found = move(cursor, MDB_LAST, at, value);
  } else if (less || text_of(at) != scratch) {
    found = move(cursor, MDB_PREV, at, value);
  }
  if (!found || at.mv_size < 2 || text_of(at)[0] != index_block) {
    fail(Errc::damaged, "the store's index has no block for a key");
  }
  return KeyBlock(text_of(at).substr(1), bytes_of(value), how);
}

KeyBlock covering_block(MDB_cursor* cursor, std::string_view key, std::string& scratch) {
  const KeyBlock block = seek_block(cursor, key, false, scratch);
  if (!block.covers(key)) {
    fail(Errc::damaged, "the store's index has no block for a key");
  }
  return block;
}

StoreState read_state(MDB_txn* transaction) {
  MDB_val key = value_of(state_key);
  MDB_val value{};
  const int code = ::mdb_get(transaction, database_number, &key, &value);
  if (code == MDB_NOTFOUND) {
    fail(Errc::damaged, "the store's index is empty");
  }
  check(code, "read");
  return decode_state(bytes_of(value));
}

std::vector<ShardEntry> read_shards(MDB_cursor* cursor) {
  std::vector<ShardEntry> shards;
  const std::string first(1, index_shard);
  MDB_val key = value_of(first);
  MDB_val value{};
  for (bool found = move(cursor, MDB_SET_RANGE, key, value); found && text_of(key)[0] == index_shard;
       found = move(cursor, MDB_NEXT, key, value)) {
    shards.push_back(decode_shard(bytes_of(value)));
  }
  std::sort(shards.begin(), shards.end(), [](const ShardEntry& a, const ShardEntry& b) {
    return a.rank != b.rank ? a.rank < b.rank : a.number < b.number;
  });
  return shards;
}

}  // namespace

struct Index::Environment {
  MDB_env* env = nullptr;
  bool writable = false;
  /// Readers for the next to come. Threads have different ones, mostly, so that they do not wait for each other.
  struct alignas(64) Idle {
    std::mutex mutex;
    std::vector<std::unique_ptr<IndexRead>> readers;
  };
  std::array<Idle, 8> idle;
  ProcessMark process;
  Idle& mine() noexcept { return idle[std::hash<std::thread::id>{}(std::this_thread::get_id()) % idle.size()]; }
  ~Environment() {
    if (process.in_child()) {  // closing it would take the parent's readers out of the table that all share
      return;
    }
    if (env != nullptr) {
      ::mdb_env_close(env);
    }
  }
};

namespace {

/// What tells a file from others.
using FileId = std::pair<std::uint64_t, std::uint64_t>;

std::optional<FileId> id_of(const std::string& path, std::uint64_t* size = nullptr) {
  struct stat status;
  if (system_calls().stat(path.c_str(), &status) != 0) {
    return std::nullopt;
  }
  if (size != nullptr) {
    *size = static_cast<std::uint64_t>(status.st_size);
  }
  return FileId{status.st_dev, status.st_ino};
}

/// LMDB's locks are the process's: a file that were opened twice would lose them when it is closed once. So all that
/// open one share it.
struct OpenIndexes {
  ProcessMark process;
  std::mutex mutex;
  std::map<FileId, std::weak_ptr<Index>> indexes;
};
OpenIndexes& open_indexes() {
  static constinit std::atomic<OpenIndexes*> all{nullptr};
  OpenIndexes* open = all.load();
  while (open == nullptr || open->process.in_child()) {  // where a thread of the parent may have held the lock
    auto made = std::make_unique<OpenIndexes>();
    if (all.compare_exchange_strong(open, made.get())) {
      leave_behind(open);
      open = made.release();
    }
  }
  return *open;
}

void open_environment(MDB_env*& env, const std::string& path, bool& writable) {
  int code = 0;
  for (std::size_t map = largest_map; map >= smallest_map; map /= 2) {
    check(::mdb_env_create(&env), "open");
    check(::mdb_env_set_mapsize(env, map), "open");
    check(::mdb_env_set_maxreaders(env, most_readers), "open");
    constexpr unsigned flags = MDB_NOSUBDIR | MDB_NOTLS | MDB_NORDAHEAD | MDB_NOMEMINIT | MDB_NOSYNC;
    code = ::mdb_env_open(env, path.c_str(), flags | (writable ? 0 : MDB_RDONLY), 0666);
    if (code == MDB_SUCCESS) {
      return;
    }
    ::mdb_env_close(env);
    env = nullptr;
    if ((code == EACCES || code == EROFS || code == EPERM) && writable) {
      writable = false;
      map *= 2;
    } else if (code != ENOMEM) {
      break;
    }
  }
  fail_index("open", code);
}

}  // namespace

namespace {

/// Once for all transactions: it sets how keys are compared.
void open_database(MDB_env* env) {
  MDB_txn* transaction = nullptr;
  check(::mdb_txn_begin(env, nullptr, MDB_RDONLY, &transaction), "open");
  MDB_dbi database = 0;
  const int code = ::mdb_dbi_open(transaction, nullptr, 0, &database);
  ::mdb_txn_abort(transaction);
  check(code, "open");
}

void check_pages(MDB_env* env, const std::string& path, std::uint64_t page_size) {
  constexpr int most_attempts = 10;  // while others commit all the time
  const std::shared_ptr<Mapping> mapping = Mapping::open(path, MapMode::read_only);
  for (int attempt = 0; attempt < most_attempts; ++attempt) {
    MDB_txn* transaction = nullptr;
    check(::mdb_txn_begin(env, nullptr, MDB_RDONLY, &transaction), "open");
    const std::unique_ptr<MDB_txn, decltype(&::mdb_txn_abort)> held(transaction, &::mdb_txn_abort);
    const std::uint64_t id = ::mdb_txn_id(transaction);
    if (id == 0 || check_index_pages(mapping->bytes(), {id, page_size})) {
      return;
    }
  }
}

}  // namespace

std::shared_ptr<Index> Index::open(const std::string& folder, bool make, bool writable, const std::string& name,
                                   Verify verify) {
  const std::string path = folder + '/' + name;
  const std::lock_guard lock(open_indexes().mutex);
  auto& open = open_indexes().indexes;
  std::optional<FileId> id = id_of(path);
  if (!id && !make) {
    fail(Errc::not_found, "there is no store in " + folder);
  }
  if (id) {
    if (const auto known = open.find(*id); known != open.end()) {
      if (std::shared_ptr<Index> index = known->second.lock(); index != nullptr && !index->in_child()) {
        return index;
      }
      open.erase(known);
    }
  }
  auto environment = std::make_unique<Environment>();
  environment->writable = true;
  open_environment(environment->env, path, environment->writable);
  if (writable && !environment->writable) {
    fail(Errc::io, "cannot write to the store in " + folder);
  }
  MDB_envinfo info;
  MDB_stat stat;
  check(::mdb_env_info(environment->env, &info), "open");
  check(::mdb_env_stat(environment->env, &stat), "open");
  std::uint64_t size = 0;
  id = id_of(path, &size);
  if (!id) {
    fail(Errc::io, "the index of " + folder + " went away while it was opened");
  }
  if (size / stat.ms_psize < info.me_last_pgno) {  // reading behind the end would end the program
    fail(Errc::damaged, "the store's index is cut off: " + path);
  }
  int dead = 0;
  ::mdb_reader_check(environment->env, &dead);
  open_database(environment->env);
  if (verify == Verify::full || (verify != Verify::none && size <= checked_size)) {
    check_pages(environment->env, path, stat.ms_psize);
  }
  const std::shared_ptr<Index> index(new Index(std::move(environment)));
  open[*id] = index;
  return index;
}

void Index::rename(const std::string& folder, const std::string& from) {
  const std::string source = folder + '/' + from;
  const std::string target = folder + "/index.lmdb";
  system_calls().unlink((source + "-lock").c_str());
  if (system_calls().rename(source.c_str(), target.c_str()) != 0) {
    fail(Errc::io, "cannot rename " + source + ": " + std::strerror(errno));
  }
}

Index::Index(std::unique_ptr<Environment> environment) : environment_(std::move(environment)) {}
Index::~Index() {
  for (Environment::Idle& some : environment_->idle) {
    some.readers.clear();
  }
}

bool Index::in_child() const noexcept { return environment_->process.in_child(); }

void Index::require_same_process() const { environment_->process.require_same_process("the store"); }

std::unique_ptr<IndexRead, BlockReader::Release> Index::read() {
  require_same_process();
  std::unique_ptr<IndexRead> idle;
  {
    Environment::Idle& mine = environment_->mine();
    const std::lock_guard lock(mine.mutex);
    if (!mine.readers.empty()) {
      idle = std::move(mine.readers.back());
      mine.readers.pop_back();
    }
  }
  if (idle != nullptr) {
    check(::mdb_txn_renew(idle->transaction_), "read");
    check(::mdb_cursor_renew(idle->transaction_, idle->cursor_), "read");
  } else {
    MDB_txn* transaction = nullptr;
    int code = ::mdb_txn_begin(environment_->env, nullptr, MDB_RDONLY, &transaction);
    if (code == MDB_READERS_FULL) {  // perhaps of programs that are gone
      int dead = 0;
      ::mdb_reader_check(environment_->env, &dead);
      code = ::mdb_txn_begin(environment_->env, nullptr, MDB_RDONLY, &transaction);
    }
    check(code, "read");
    idle.reset(new IndexRead(*this, transaction));
    check(::mdb_cursor_open(transaction, database_number, &idle->cursor_), "read");
  }
  return std::unique_ptr<IndexRead, BlockReader::Release>(idle.release());
}

std::unique_ptr<IndexWrite> Index::write() {
  require_same_process();
  MDB_txn* transaction = nullptr;
  check(::mdb_txn_begin(environment_->env, nullptr, 0, &transaction), "write to");
  return std::unique_ptr<IndexWrite>(new IndexWrite(*this, transaction));
}

void Index::sync() { check(::mdb_env_sync(environment_->env, 1), "write"); }

void Index::clear_caches() {
  for (Environment::Idle& some : environment_->idle) {
    const std::lock_guard lock(some.mutex);
    for (const std::unique_ptr<IndexRead>& reader : some.readers) {
      reader->cache().clear();
    }
  }
}

std::uint64_t Index::bytes() const {
  mdb_filehandle_t file = -1;  // not by its name, which may lead elsewhere by now
  struct stat status;
  if (::mdb_env_get_fd(environment_->env, &file) != MDB_SUCCESS || system_calls().fstat(file, &status) != 0) {
    return 0;
  }
  return static_cast<std::uint64_t>(status.st_size);
}

// --- Reading ---------------------------------------------------------------------------------------------------------

IndexRead::IndexRead(Index& index, MDB_txn* transaction) : index_(index), transaction_(transaction) {}

IndexRead::~IndexRead() {
  if (index_.in_child()) {  // it is the parent's
    return;
  }
  for (MDB_cursor* const cursor : {cursor_, order_cursor_}) {
    if (cursor != nullptr) {
      ::mdb_cursor_close(cursor);
    }
  }
  ::mdb_txn_abort(transaction_);
}

/// Keeps it for the next reader.
void IndexRead::release() noexcept {
  std::unique_ptr<IndexRead> own(this);
  if (index_.in_child()) {
    return;
  }
  if (order_cursor_ != nullptr) {
    ::mdb_cursor_close(std::exchange(order_cursor_, nullptr));
  }
  ::mdb_txn_reset(transaction_);
  Index::Environment::Idle& mine = index_.environment_->mine();
  const std::lock_guard lock(mine.mutex);
  try {
    mine.readers.push_back(std::move(own));
  } catch (const std::bad_alloc&) {  // then it is closed
  }
}

std::uint64_t IndexRead::id() const noexcept { return ::mdb_txn_id(transaction_); }

KeyBlock IndexRead::covering(std::string_view key) { return covering_block(cursor_, key, scratch_); }

std::optional<Position> IndexRead::find(std::string_view key) {
  // A record proves that it is the key's; only that there is none has to be proved by the block.
  const KeyBlock block = seek_block(cursor_, key, false, scratch_, KeyBlock::Check::unchecked);
  if (const std::optional<Position> position = block.find(key)) {
    return position;
  }
  return covering(key).find(key);
}

KeyBlock IndexRead::before(std::string_view low) {
  const KeyBlock block = seek_block(cursor_, low, true, scratch_);
  if (block.high() != low) {
    fail(Errc::damaged, "the store's index lacks a block");
  }
  return block;
}

StoreState IndexRead::state() { return read_state(transaction_); }

std::vector<ShardEntry> IndexRead::shards() { return read_shards(cursor_); }

std::optional<std::string> IndexRead::first_of_order(std::uint64_t order, bool reverse) {
  order_ = order;
  if (order_cursor_ == nullptr) {
    check(::mdb_cursor_open(transaction_, database_number, &order_cursor_), "read");
  }
  const std::string bound = order_key(reverse ? order + 1 : order);
  MDB_val key = value_of(bound);
  MDB_val value{};
  bool found = move(order_cursor_, MDB_SET_RANGE, key, value);
  if (reverse) {
    found = move(order_cursor_, found ? MDB_PREV : MDB_LAST, key, value);
  }
  return order_entry(found);
}

std::optional<std::string> IndexRead::next_of_order(bool reverse) {
  MDB_val key{};
  MDB_val value{};
  return order_entry(move(order_cursor_, reverse ? MDB_PREV : MDB_NEXT, key, value));
}

std::optional<std::string> IndexRead::order_entry(bool found) const {
  if (!found) {
    return std::nullopt;
  }
  MDB_val key{};
  MDB_val value{};
  check(::mdb_cursor_get(order_cursor_, &key, &value, MDB_GET_CURRENT), "read");
  const std::string_view entry = text_of(key);
  if (entry.substr(0, order_prefix) != order_key(order_)) {
    return std::nullopt;
  }
  const Bytes size = bytes_of(value);  // of the value to sort by
  if (size.size() != 1 || order_prefix + std::to_integer<std::size_t>(size[0]) > entry.size()) {
    fail(Errc::damaged, "the store's index: an entry of an order has another form");
  }
  return std::string(entry.substr(order_prefix + std::to_integer<std::size_t>(size[0])));
}

// --- Writing ---------------------------------------------------------------------------------------------------------

IndexWrite::IndexWrite(Index& index, MDB_txn* transaction) : index_(index), transaction_(transaction) {
  const int code = ::mdb_cursor_open(transaction_, database_number, &cursor_);
  if (code != MDB_SUCCESS) {
    ::mdb_txn_abort(transaction_);
    fail_index("write to", code);
  }
}

IndexWrite::~IndexWrite() {
  if (index_.in_child()) {
    return;
  }
  if (cursor_ != nullptr) {
    ::mdb_cursor_close(cursor_);
  }
  if (transaction_ != nullptr) {
    ::mdb_txn_abort(transaction_);
  }
}

void IndexWrite::put(std::string_view key, Bytes value, bool append) {
  MDB_val at = value_of(key);
  MDB_val stored = value_of(value);
  check(::mdb_cursor_put(cursor_, &at, &stored, append ? MDB_APPEND : 0), "write to");
}

void IndexWrite::erase(std::string_view key) {
  MDB_val at = value_of(key);
  const int code = ::mdb_del(transaction_, database_number, &at, nullptr);
  if (code != MDB_NOTFOUND) {
    check(code, "write to");
  }
}

void IndexWrite::put_state(const StoreState& state) { put(state_key, encode_state(state)); }
void IndexWrite::put_shard(const ShardEntry& shard) { put(shard_key(shard.number), encode_shard(shard)); }
void IndexWrite::erase_shard(std::uint32_t number) { erase(shard_key(number)); }

void IndexWrite::make_first_block() {
  write_blocks(lowest_key, std::nullopt, {}, true,
               [&](std::string_view low, Bytes block) { put(index_block + std::string(low), block); });
}

void IndexWrite::apply(const std::vector<Change>& changes,
                       const std::function<void(const Change&, const std::optional<Position>&)>& was) {
  constexpr std::size_t few = 16;  // blocks of fewer entries are joined with the next
  std::vector<BlockEntry> old;
  std::vector<BlockEntry> entries;
  std::deque<std::string> arenas;
  std::string block_key;
  for (std::size_t i = 0; i < changes.size();) {
    entries.clear();
    arenas.clear();
    std::string low;
    std::optional<std::string> high;
    bool filling = false;
    bool changed = false;
    const auto take = [&](const KeyBlock& block) {
      block.entries(old, arenas.emplace_back());
      if (arenas.size() == 1) {
        low = block.low();
      }
      high = block.high() ? std::optional<std::string>(*block.high()) : std::nullopt;
      filling = !high && (old.empty() || old.back().key < changes[std::min(i, changes.size() - 1)].key);
      std::size_t at = 0;
      for (; i < changes.size() && (!high || changes[i].key < *high); ++i) {
        const Change& change = changes[i];
        while (at < old.size() && old[at].key < change.key) {
          entries.push_back(old[at++]);
        }
        std::optional<Position> before;
        if (at < old.size() && old[at].key == change.key) {
          before = old[at].position;
        }
        if (change.only_from && change.only_from != before) {
          continue;
        }
        was(change, before);
        changed = true;
        if (change.position) {
          entries.push_back({change.key, *change.position});
        }
        at += before ? 1 : 0;
      }
      entries.insert(entries.end(), old.begin() + static_cast<std::ptrdiff_t>(at), old.end());
    };
    take(covering_block(cursor_, changes[i].key, scratch_));
    if (!changed) {
      continue;
    }
    while (high && entries.size() < few) {
      const KeyBlock next = covering_block(cursor_, *high, scratch_);
      const std::string next_key = index_block + std::string(next.low());
      take(next);
      erase(next_key);
    }
    bool first = true;
    write_blocks(low, high ? std::optional<std::string_view>(*high) : std::nullopt, entries, filling,
                 [&](std::string_view block_low, Bytes block) {
                   block_key.assign(1, index_block);
                   block_key += block_low;
                   put(block_key, block, !first && !high);
                   first = false;
                 });
  }
}

void IndexWrite::put_order(std::uint64_t order, std::string_view value, std::string_view key) {
  const std::byte size{static_cast<unsigned char>(value.size())};
  std::string entry = order_key(order);
  entry += value;
  entry += key;
  put(entry, {&size, 1});
}

void IndexWrite::erase_order(std::uint64_t order, std::string_view value, std::string_view key) {
  std::string entry = order_key(order);
  entry += value;
  entry += key;
  erase(entry);
}

void IndexWrite::clear_order(std::uint64_t order) {
  const std::string prefix = order_key(order);
  MDB_val key = value_of(prefix);
  MDB_val value{};
  for (bool found = move(cursor_, MDB_SET_RANGE, key, value);
       found && text_of(key).substr(0, order_prefix) == prefix;) {
    check(::mdb_cursor_del(cursor_, 0), "write to");
    key = value_of(prefix);
    found = move(cursor_, MDB_SET_RANGE, key, value);
  }
}

void IndexWrite::commit(bool durable) {
  ::mdb_cursor_close(cursor_);
  cursor_ = nullptr;
  check(::mdb_env_set_flags(index_.environment_->env, MDB_NOSYNC, durable ? 0 : 1), "write to");
  MDB_txn* const transaction = std::exchange(transaction_, nullptr);
  check(::mdb_txn_commit(transaction), "write to");
}

}  // namespace stele

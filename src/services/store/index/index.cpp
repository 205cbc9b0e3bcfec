#include "services/store/index/index.hpp"

#include <fcntl.h>
#include <lmdb.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <array>
#include <atomic>
#include <bit>
#include <cerrno>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>
#include <thread>

#include "base/bytes.hpp"
#include "base/process.hpp"
#include "io/replace/writer_lock.hpp"
#include "io/system.hpp"
#include "services/store/frozen.hpp"
#include "services/store/index/pages.hpp"
#include "services/store/index/state_record.hpp"
#include "services/store/shard/growing_file.hpp"
#include "stele/error.hpp"

namespace stele {
namespace {

using namespace store_frozen;

constexpr std::size_t largest_map = std::size_t{256} << 30;  // in bytes of address space, not of memory
constexpr std::size_t smallest_map = std::size_t{64} << 20;
constexpr std::uint64_t index_reserve = std::uint64_t{16} << 30;  // mapped for reading; also address space
constexpr int most_attempts = 100;                                // while others commit
constexpr std::uint64_t checked_size = std::uint64_t{64} << 20;
constexpr unsigned most_readers = 2048;
constexpr MDB_dbi database_number = 1;  // LMDB's unnamed database

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

[[noreturn]] void fail_no_block() { fail(Errc::damaged, "the store's index has no block for a key"); }

/// The block that contains a key's range. Throws: Error(damaged).
KeyBlock covering_block(MDB_cursor* cursor, std::string_view key, std::string& scratch) {
  scratch.assign(1, index_block);
  scratch += key;
  MDB_val at = value_of(scratch);
  MDB_val value{};
  bool found = move(cursor, MDB_SET_RANGE, at, value);
  if (!found) {
    found = move(cursor, MDB_LAST, at, value);
  } else if (text_of(at) != scratch) {
    found = move(cursor, MDB_PREV, at, value);
  }
  if (!found || at.mv_size < 2 || text_of(at)[0] != index_block) {
    fail_no_block();
  }
  const KeyBlock block(text_of(at).substr(1), bytes_of(value));
  if (!block.covers(key)) {
    fail_no_block();
  }
  return block;
}

}  // namespace

struct Index::Environment {
  MDB_env* env = nullptr;  // null: reads without LMDB's lock
  GrowingFile file;
  bool writable = false;
  bool checks = true;                // a writer must verify all pages before it writes
  std::atomic<bool> checked{false};  // it has done so
  std::atomic<bool> broken{false};   // LMDB has failed an assertion in the middle of an operation
  /// Idle readers for reuse. Threads mostly use different lists, so that they do not wait for each other.
  struct alignas(64) Idle {
    std::mutex mutex;
    std::vector<std::unique_ptr<IndexRead>> readers;
  };
  std::array<Idle, 8> idle;
  ProcessMark process;
  Idle& mine() noexcept { return idle[std::hash<std::thread::id>{}(std::this_thread::get_id()) % idle.size()]; }
  ~Environment() {
    if (process.in_child() || broken) {  // closing it would remove the parent's readers from the shared table
      return;
    }
    if (env != nullptr) {
      ::mdb_env_close(env);
    }
  }
};

namespace {

/// Identifies a file: device and inode.
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

/// LMDB's locks belong to the process: a file that is opened twice loses them when one of the two is closed. So all
/// users in a process share one open index.
struct OpenIndexes {
  ProcessMark process;
  std::mutex mutex;
  std::map<FileId, std::weak_ptr<Index>> indexes;
};
OpenIndexes& open_indexes() {
  static constinit std::atomic<OpenIndexes*> all{nullptr};
  OpenIndexes* open = all.load();
  while (open == nullptr || open->process.in_child()) {  // a parent's thread may have held its lock
    auto made = std::make_unique<OpenIndexes>();
    if (all.compare_exchange_strong(open, made.get())) {
      leave_behind(open);
      open = made.release();
    }
  }
  return *open;
}

/// The initial size of LMDB's map: the largest size of an index, unless the process may not map so much.
std::size_t first_map() {
  struct rlimit limit{};
  if (::getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur / 4 >= largest_map) {
    return largest_map;
  }
  return std::max(smallest_map, std::bit_floor(static_cast<std::size_t>(limit.rlim_cur / 4)));
}

/// Replaces LMDB's handler, which aborts the program.
void fail_assertion(MDB_env* env, const char* text) {
  static_cast<std::atomic<bool>*>(::mdb_env_get_userctx(env))->store(true);
  fail(Errc::damaged, std::string("the store's index is damaged (LMDB: ") + text + "); Store::recover() rebuilds it");
}

int try_to_open(MDB_env*& env, const std::string& path, unsigned flags) {
  int code = ENOMEM;
  for (std::size_t map = first_map(); code == ENOMEM && map >= smallest_map; map /= 2) {
    check(::mdb_env_create(&env), "open");
    check(::mdb_env_set_mapsize(env, map), "open");
    check(::mdb_env_set_maxreaders(env, most_readers), "open");
    code = ::mdb_env_open(env, path.c_str(), flags, 0666);
    if (code != MDB_SUCCESS) {
      ::mdb_env_close(env);
      env = nullptr;
    }
  }
  return code;
}

/// Leaves `env` null if the index is read-only and LMDB's lock file cannot be used.
void open_environment(MDB_env*& env, const std::string& path, bool must_write, bool& writable) {
  constexpr unsigned flags = MDB_NOSUBDIR | MDB_NOTLS | MDB_NORDAHEAD | MDB_NOMEMINIT | MDB_NOSYNC;
  writable = true;
  int code = try_to_open(env, path, flags);
  if (code == MDB_SUCCESS) {
    return;
  }
  if (must_write) {
    fail_index("open", code);
  }
  writable = false;
  if (code == EACCES || code == EPERM) {  // the lock file may still be writable
    code = try_to_open(env, path, flags | MDB_RDONLY);
  }
  if (code != MDB_SUCCESS && code != EACCES && code != EPERM && code != EROFS && code != ENOMEM) {
    fail_index("open", code);
  }
}

/// Called once for all transactions: sets the comparison of keys.
void open_database(MDB_env* env) {
  MDB_txn* transaction = nullptr;
  check(::mdb_txn_begin(env, nullptr, MDB_RDONLY, &transaction), "open");
  MDB_dbi database = 0;
  const int code = ::mdb_dbi_open(transaction, nullptr, 0, &database);
  ::mdb_txn_abort(transaction);
  check(code, "open");
}

/// Opens the file for reading and checks whether LMDB can open it safely.
void open_file(GrowingFile& file, const std::string& path) {
  OwnedDescriptor descriptor = open_descriptor(path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  if (!descriptor.is_open()) {
    fail_call("open", path, errno);
  }
  struct stat status;
  if (system_calls().fstat(descriptor.get(), &status) != 0) {
    fail_call("read the size of", path, errno);
  }
  if (!S_ISREG(status.st_mode)) {
    fail(Errc::damaged, path + " is not a regular file");
  }
  file.open(std::move(descriptor), path, index_reserve);
  const IndexRoot root = last_of(index_roots(file.all(0)));
  check_index_root(root, file.all((root.last_page + 1) * root.page_size));
}

/// If the first page is damaged, an older state may look like the latest; the state before it is then the newer one.
void check_state_before(const GrowingFile& file) {
  const std::array<IndexRoot, 2> roots = index_roots(file.all(0));
  const IndexRoot& last = last_of(roots);
  const IndexRoot& before = &last == &roots[0] ? roots[1] : roots[0];
  std::uint64_t written = 0;
  try {
    IndexTree tree;
    check_index_root(before, file.all(0));
    tree.open(file.all(0), before);
    if (tree.seek(state_key) && tree.key() == state_key) {
      written = decode_state(tree.value()).transaction;
    }
  } catch (const Error&) {  // its pages were reused
  }
  const bool is_still_last = last_of(index_roots(file.all(0))).transaction == last.transaction;
  if (written > last.transaction && is_still_last) {
    lmdb::fail_page(before.transaction % 2);
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
        if (writable && !index->environment_->writable) {
          fail(Errc::io, "cannot write to the store in " + folder);
        }
        return index;
      }
      open.erase(known);
    }
  }
  auto environment = std::make_unique<Environment>();
  if (id) {
    open_file(environment->file, path);
  }
  open_environment(environment->env, path, writable, environment->writable);
  if (!id) {
    open_file(environment->file, path);
  }
  std::uint64_t size = 0;
  id = id_of(path, &size);
  if (!id) {
    fail(Errc::io, "the index of " + folder + " disappeared while it was opened");
  }
  if (environment->env != nullptr) {
    check(::mdb_env_set_userctx(environment->env, &environment->broken), "open");
    check(::mdb_env_set_assert(environment->env, &fail_assertion), "open");
    int dead = 0;
    ::mdb_reader_check(environment->env, &dead);
    open_database(environment->env);
  }
  if (!WriterLock::is_held(Folder::open(folder))) {  // a writer may be overwriting the state before the last
    check_state_before(environment->file);
  }
  environment->checks = verify != Verify::none;
  const bool checks_now = verify == Verify::full || (verify != Verify::none && size <= checked_size);
  const std::shared_ptr<Index> index(new Index(std::move(environment)));
  if (checks_now) {
    index->check_pages();
  }
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
    if (idle->transaction_ != nullptr) {
      check(::mdb_txn_renew(idle->transaction_), "read");
    }
  } else {
    MDB_txn* transaction = nullptr;
    if (environment_->env != nullptr) {
      int code = ::mdb_txn_begin(environment_->env, nullptr, MDB_RDONLY, &transaction);
      if (code == MDB_READERS_FULL) {  // the readers may belong to dead processes
        int dead = 0;
        ::mdb_reader_check(environment_->env, &dead);
        code = ::mdb_txn_begin(environment_->env, nullptr, MDB_RDONLY, &transaction);
      }
      check(code, "read");
    }
    idle.reset(new IndexRead(*this, transaction));
  }
  idle->begin();
  return std::unique_ptr<IndexRead, BlockReader::Release>(idle.release());
}

/// Checks the latest state while others may commit.
void Index::check_pages() {
  for (int attempt = 0;; ++attempt) {
    const auto read = this->read();
    try {
      const IndexRoot& root = read->root_;
      check_index_pages(environment_->file.all((root.last_page + 1) * root.page_size), root);
      environment_->checked = true;
      return;
    } catch (const Error&) {
      if (!read->may_be_gone() || attempt == most_attempts) {
        throw;
      }
    }
  }
}

std::unique_ptr<IndexWrite> Index::write() {
  require_same_process();
  if (environment_->broken) {
    fail(Errc::damaged, "the store's index is damaged; Store::recover() rebuilds it");
  }
  MDB_txn* transaction = nullptr;
  check(::mdb_txn_begin(environment_->env, nullptr, 0, &transaction), "write to");
  std::unique_ptr<IndexWrite> write(new IndexWrite(*this, transaction));
  if (environment_->checks && !environment_->checked) {
    check_pages();  // nobody else can commit now, so the latest state does not change
  }
  return write;
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

std::uint64_t Index::bytes() const { return environment_->file.size(); }

// --- Reading ---------------------------------------------------------------------------------------------------------

/// Finds the root of the state that the transaction sees.
void IndexRead::begin() {
  if (is_locked() && root_.page_size > 0 && root_.transaction == ::mdb_txn_id(transaction_)) {
    return;  // the state it saw last is still the latest, so none of its pages was overwritten
  }
  const GrowingFile& file = index_.environment_->file;
  for (int attempt = 0;; ++attempt) {
    const std::array<IndexRoot, 2> roots = index_roots(file.all(0));
    if (!is_locked()) {
      root_ = last_of(roots);
      break;
    }
    const std::uint64_t wanted = ::mdb_txn_id(transaction_);
    if (roots[0].transaction == wanted || roots[1].transaction == wanted) {
      root_ = roots[roots[0].transaction == wanted ? 0 : 1];
      break;
    }
    if (attempt == most_attempts) {
      fail(Errc::damaged, "the store's index and its lock do not belong together; Store::recover() rebuilds it");
    }
    ::mdb_txn_reset(transaction_);  // others have committed twice meanwhile
    check(::mdb_txn_renew(transaction_), "read");
  }
  const Bytes all = file.all((root_.last_page + 1) * root_.page_size);
  check_index_root(root_, all);
  tree_.open(all, root_);
  order_tree_.open(all, root_);
}

/// Whether pages of this state may have been overwritten: LMDB reuses them two commits later, when the next write
/// begins.
bool IndexRead::may_be_gone() const {
  return !is_locked() && last_of(index_roots(index_.environment_->file.all(0))).transaction > root_.transaction + 1;
}

/// Returns the result of `read` if it was read from one state.
template <class F>
auto IndexRead::stable(F&& read) const {
  if (is_locked()) {
    return read();
  }
  try {
    auto result = read();
    if (!may_be_gone()) {
      return result;
    }
  } catch (const Error&) {
    if (!may_be_gone()) {
      throw;
    }
  }
  fail(Errc::busy, "the store was written to while it was read without a lock; read again");
}

IndexRead::~IndexRead() {
  if (transaction_ != nullptr && !index_.in_child()) {  // otherwise it belongs to the parent
    ::mdb_txn_abort(transaction_);
  }
}

/// Keeps this object for the next reader.
void IndexRead::release() noexcept {
  std::unique_ptr<IndexRead> own(this);
  if (index_.in_child()) {
    return;
  }
  if (transaction_ != nullptr) {
    ::mdb_txn_reset(transaction_);
  }
  Index::Environment::Idle& mine = index_.environment_->mine();
  const std::lock_guard lock(mine.mutex);
  try {
    mine.readers.push_back(std::move(own));
  } catch (const std::bad_alloc&) {  // not kept, but closed
  }
}

/// The current block of the tree.
KeyBlock IndexRead::block(KeyBlock::Check how) {
  std::string_view key = tree_.key();
  if (key.size() < 2 || key[0] != index_block) {
    fail_no_block();
  }
  key.remove_prefix(1);
  const Bytes bytes = tree_.value();
  if (is_locked()) {
    return KeyBlock(key, bytes, how);
  }
  Copy& copy = copies_[copy_++ % copies_.size()];
  copy.low = key;
  copy.bytes.assign(bytes.begin(), bytes.end());
  return KeyBlock(copy.low, copy.bytes);
}

/// The block with the greatest low that is at most `key`, or that is smaller if `less`.
KeyBlock IndexRead::seek_block(std::string_view key, bool less, KeyBlock::Check how) {
  scratch_.assign(1, index_block);
  scratch_ += key;
  if (!tree_.seek_back(scratch_, less)) {
    fail_no_block();
  }
  return block(how);
}

KeyBlock IndexRead::covering(std::string_view key) {
  return stable([&] {
    const KeyBlock block = seek_block(key, false, KeyBlock::Check::checked);
    if (!block.covers(std::string_view(scratch_).substr(1))) {
      fail_no_block();
    }
    return block;
  });
}

std::optional<Position> IndexRead::find(std::string_view key) {
  // A record proves that it belongs to the key. Only a missing key must be proved by the block.
  const std::optional<Position> position =
      stable([&] { return seek_block(key, false, KeyBlock::Check::unchecked).find(key); });
  return position ? position : covering(key).find(key);
}

KeyBlock IndexRead::before(std::string_view low) {
  return stable([&] {
    const KeyBlock block = seek_block(low, true, KeyBlock::Check::checked);
    if (block.high() != std::string_view(scratch_).substr(1)) {
      fail(Errc::damaged, "the store's index lacks a block");
    }
    return block;
  });
}

StoreState IndexRead::state() {
  return stable([&] {
    if (!tree_.seek(state_key) || tree_.key() != state_key) {
      fail(Errc::damaged, "the store's index is empty");
    }
    StoreState state = decode_state(tree_.value());
    if (state.transaction != root_.transaction) {
      lmdb::fail_page(root_.transaction % 2);
    }
    return state;
  });
}

std::vector<ShardEntry> IndexRead::shards() {
  return stable([&] {
    std::vector<ShardEntry> shards;
    for (bool found = tree_.seek({&index_shard, 1}); found && tree_.key()[0] == index_shard; found = tree_.next()) {
      shards.push_back(decode_shard(tree_.value()));
    }
    std::sort(shards.begin(), shards.end(), [](const ShardEntry& a, const ShardEntry& b) {
      return a.rank != b.rank ? a.rank < b.rank : a.number < b.number;
    });
    return shards;
  });
}

std::optional<std::string> IndexRead::first_of_order(std::uint64_t order, bool reverse) {
  order_ = order;
  return stable([&]() -> std::optional<std::string> {
    const bool found = reverse ? order_tree_.seek_back(order_key(order + 1), true) : order_tree_.seek(order_key(order));
    return found ? order_entry() : std::nullopt;
  });
}

std::optional<std::string> IndexRead::next_of_order(bool reverse) {
  return stable([&]() -> std::optional<std::string> {
    return (reverse ? order_tree_.previous() : order_tree_.next()) ? order_entry() : std::nullopt;
  });
}

std::optional<std::string> IndexRead::order_entry() const {
  const std::string_view entry = order_tree_.key();
  if (entry.substr(0, order_prefix) != order_key(order_)) {
    return std::nullopt;
  }
  const Bytes size = order_tree_.value();  // size of the value to sort by
  if (size.size() != 1 || order_prefix + std::to_integer<std::size_t>(size[0]) > entry.size()) {
    fail(Errc::damaged, "the store's index: an entry of an order has an unknown form");
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
  if (index_.in_child() || index_.environment_->broken) {
    return;
  }
  if (cursor_ != nullptr) {
    ::mdb_cursor_close(cursor_);
  }
  if (transaction_ != nullptr) {
    ::mdb_txn_abort(transaction_);
  }
}

/// LMDB returns EIO for a short write.
void IndexWrite::check(int code) const {
  if (code == EIO) {
    const int file = index_.environment_->file.descriptor();
    constexpr std::uint64_t little = std::uint64_t{1} << 20;
    struct statvfs disk{};
    struct rlimit limit{};
    if (::fstatvfs(file, &disk) == 0 && std::uint64_t{disk.f_bavail} * disk.f_frsize < little) {
      code = ENOSPC;
    } else if (::getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur < index_.bytes() + little) {
      code = EFBIG;
    }
  }
  stele::check(code, "write to");
}

void IndexWrite::put(std::string_view key, Bytes value, bool append) {
  MDB_val at = value_of(key);
  MDB_val stored = value_of(value);
  check(::mdb_cursor_put(cursor_, &at, &stored, append ? MDB_APPEND : 0));
}

void IndexWrite::erase(std::string_view key) {
  MDB_val at = value_of(key);
  const int code = ::mdb_del(transaction_, database_number, &at, nullptr);
  if (code != MDB_NOTFOUND) {
    check(code);
  }
}

void IndexWrite::put_state(StoreState state) {
  state.transaction = ::mdb_txn_id(transaction_);
  put(state_key, encode_state(state));
}
void IndexWrite::put_shard(const ShardEntry& shard) { put(shard_key(shard.number), encode_shard(shard)); }
void IndexWrite::erase_shard(std::uint32_t number) { erase(shard_key(number)); }

void IndexWrite::make_first_block() {
  write_blocks(lowest_key, std::nullopt, {}, true,
               [&](std::string_view low, Bytes block) { put(index_block + std::string(low), block); });
}

void IndexWrite::apply(const std::vector<Change>& changes,
                       const std::function<void(const Change&, const std::optional<Position>&)>& was) {
  constexpr std::size_t few = 16;  // blocks with fewer entries are joined with the next
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
    check(::mdb_cursor_del(cursor_, 0));
    key = value_of(prefix);
    found = move(cursor_, MDB_SET_RANGE, key, value);
  }
}

void IndexWrite::commit(bool durable) {
  ::mdb_cursor_close(cursor_);
  cursor_ = nullptr;
  check(::mdb_env_set_flags(index_.environment_->env, MDB_NOSYNC, durable ? 0 : 1));
  MDB_txn* const transaction = std::exchange(transaction_, nullptr);
  check(::mdb_txn_commit(transaction));
}

}  // namespace stele

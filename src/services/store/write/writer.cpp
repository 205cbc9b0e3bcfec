#include "services/store/write/writer.hpp"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <random>

#include "format/cbor.hpp"
#include "format/cursor.hpp"
#include "io/replace/temporary.hpp"
#include "io/system.hpp"
#include "services/store/shard/list.hpp"
#include "stele/error.hpp"

namespace stele {
namespace {

using namespace store_frozen;

constexpr std::size_t record_head = 3 * cbor::max_head;  // most bytes of a record besides key and value
constexpr std::size_t kept_object = large_value + (std::size_t{8} << 10);  // with the rest of its archive

bool names_all(const std::optional<ShardList>& list, const std::vector<ShardEntry>& table) {
  const auto number = [](const ShardEntry& entry) { return entry.number; };
  return list && std::ranges::equal(list->table, table, {}, number, number);
}

std::uint64_t random_number() {
  std::random_device random;
  return std::uint64_t{random()} << 32 | random();
}

/// Errors have the place in the object where they arose.
void write_whole(OutVisitor& out, const Walkable& object) {
  try {
    object.walk(out, object.value);
  } catch (const Error& error) {
    out.rethrow(error, object.walk, object.value);
  }
}

}  // namespace

StoreWriter::StoreWriter(Shared shared)
    : shared_(std::move(shared)),
      lock_(shared_.folder, shared_.options.wait_ms, "the store"),
      object_options_{.types = shared_.options.types},
      objects_(object_options_, kept_object),
      mark_id_(random_number()) {
  load();
  take_over();
  build_orders();
}

StoreWriter::~StoreWriter() = default;

void StoreWriter::load() {
  const auto read = shared_.index.read();
  state_ = read->state();
  table_ = read->shards();
}

/// Bytes after the last commit of the index must not become part of a later commit.
void StoreWriter::take_over() {
  list_is_old_ = !names_all(read_shard_list(shared_.folder), table_);
  const FitState known{state_, table_};
  const StoreFit fit = fit_store(shared_.folder, known, Tails::mapped, [&] { return known; });
  if (!fit.problems.empty()) {
    fail(Errc::damaged, not_fitting(shared_.folder.path(), fit.problems.front()));
  }
  state_.next_shard = std::max(state_.next_shard, fit.next_number);
  renew_list();
  if (fit.has_next_commit) {
    replay(fit);
  }
  for (const ShardEntry& shard : table_) {
    cut(shard);
  }
  remove_leftovers(shared_.folder);
  for (const std::string& name : shared_.folder.names()) {
    if (name.starts_with("index.new") || name.starts_with("index.recovered")) {  // made under the lock
      shared_.folder.unlink(name);
    }
  }
  std::vector<std::uint32_t> gone = fit.unbegun;
  for (const ShardTail& stranger : fit.strangers) {
    gone.push_back(stranger.shard->number());
  }
  for (const std::uint32_t number : gone) {
    if (entry(number) == nullptr) {
      shared_.shards.forget(number);
      shared_.folder.unlink(Shards::name(number));  // if this fails, only space is lost
    }
  }
}

/// Commits a commit that is complete in the shards but not in the index.
void StoreWriter::replay(const StoreFit& fit) {
  std::vector<ShardTail> parts = fit.tails;
  parts.insert(parts.end(), fit.strangers.begin(), fit.strangers.end());
  std::erase_if(parts, [](const ShardTail& part) { return part.end == part.begin; });
  std::sort(parts.begin(), parts.end(), [](const ShardTail& a, const ShardTail& b) {
    const std::uint64_t rank = a.shard->header().rank;
    const std::uint64_t other = b.shard->header().rank;
    return rank != other ? rank < other : a.shard->number() < b.shard->number();
  });
  for (const ShardTail& part : parts) {
    const std::uint32_t number = part.shard->number();
    if (entry(number) == nullptr) {
      ShardEntry made;
      made.number = number;
      made.rank = part.shard->header().rank;
      made.length = made.other_bytes = header_bytes;
      table_.push_back(made);  // its rank is the greatest
      state_.next_rank = std::max(state_.next_rank, made.rank + 1);
      ++state_.table;
    }
    ShardEntry& shard = *entry(number);
    const Bytes bytes = part.shard->part(part.begin, part.end - part.begin).bytes;
    for (std::uint64_t at = part.begin; at < part.end;) {
      const Bytes rest = bytes.subspan(static_cast<std::size_t>(at - part.begin));
      if (rest[0] == filler) {
        ++at;
        ++shard.other_bytes;
        continue;
      }
      const Record record = parse_record(rest, at);
      if (record.holds_value()) {
        if (!record.value_is_whole()) {
          fail(Errc::damaged,
               not_fitting(shared_.folder.path(),
                           "the index lacks a commit, and a value of it is damaged in " + part.shard->path()));
        }
        pending_.set(record.decode_key().sortable(), Position{number, at, record.length});
      } else {
        shard.other_bytes += record.length;
        if (record.items == record_erased) {
          pending_.set(record.decode_key().sortable(), std::nullopt);
        }
      }
      at += record.length;
    }
    shard.length = part.end;
    shard.mark = part.mark;
    changed_.push_back(number);
    touched_.push_back(number);
  }
  const bool durable = shared_.options.durability != StoreDurability::none;
  if (durable) {
    sync_touched();
    sync_folder();
  }
  commit_pending(durable);
}

/// Whether a file is a shard of this store, or was going to be one. Other files, and those with a damaged header, may
/// hold data that exists nowhere else.
bool StoreWriter::is_ours(const std::string& name, std::uint32_t number) const {
  try {
    return Shard::open(shared_.folder, name, number, 0)->header().store == state_.store;
  } catch (const Error& error) {
    if (error.code() == Errc::io) {  // unknown
      throw;
    }
    return error.code() == Errc::truncated;  // the writer died before the first record
  }
}

void StoreWriter::cut(const ShardEntry& shard) const {
  const std::string name = Shards::name(shard.number);
  struct stat status;
  if (shared_.folder.status(name, status) == 0 && static_cast<std::uint64_t>(status.st_size) > shard.length &&
      is_ours(name, shard.number)) {  // or its name refers to another file
    ShardAppender::open(shared_.folder, name, shard.length);
    shared_.shards.forget(shard.number);  // also forgets what it knew of bytes that are gone
  }
}

const StoreOrder& StoreWriter::order_function(const std::string& name) const {
  for (const StoreOrder& order : shared_.options.orders) {
    if (order.name == name) {
      return order;
    }
  }
  fail(Errc::invalid_argument,
       "the store keeps an order \"" + name + "\", and its function is not among the options; a writer needs it");
}

std::string StoreWriter::order_value(const StoreState::Order& order, std::string_view key,
                                     const Position& position) const {
  const StoreValue value = shared_.value(position);
  const Calling calling(*this);
  return order_function(order.name).by(StoreKey::from_sortable(key), value).sortable();
}

void StoreWriter::build_orders() {
  for (const StoreOrder& wanted : shared_.options.orders) {
    const auto same = [&](const StoreState::Order& order) { return order.name == wanted.name; };
    if (std::any_of(state_.orders.begin(), state_.orders.end(), same)) {
      continue;
    }
    const StoreState::Order order{state_.next_order++, wanted.name};
    state_.orders.push_back(order);
    const auto read = shared_.index.read();
    const std::unique_ptr<IndexWrite> write = shared_.index.write();
    std::string low(lowest_key);
    std::string key;
    for (bool more = true; more;) {
      const KeyBlock block = read->covering(low);
      for (std::size_t i = 0; i < block.size(); ++i) {
        block.key(i, key);
        write->put_order(order.number, order_value(order, key, block.position(i)), key);
      }
      more = block.high().has_value();
      if (more) {
        low = *block.high();
      }
    }
    write->put_state(state_);
    write->commit(shared_.options.durability != StoreDurability::none);
  }
}

ShardEntry* StoreWriter::entry(std::uint32_t number) { return find_entry(table_, number); }

// --- Records ---------------------------------------------------------------------------------------------------------

void StoreWriter::note_written() noexcept {
  const auto note = [](auto& known, auto now) {
    if (known != now) {  // usually not, and storing costs more than comparing
      known = now;
    }
  };
  note(written_, appender_ ? appender_->written() : 0);
  note(written_shard_, appender_ ? active_ : 0);
}

ShardHeader StoreWriter::header_of(const ShardEntry& shard) const {
  return {state_.store, shard.number, shard.rank, state_.shard_bytes, state_.codec, state_.level};
}

/// Ensures that there is a shard to append to, with room for a record.
void StoreWriter::open_shard(std::uint64_t record_bytes) {
  if (undoing_) {
    clean_up();
  }
  const std::uint64_t limit = state_.shard_bytes;
  const auto has_room = [&](std::uint64_t length) {
    return length <= header_bytes || length + record_bytes + alignment + mark_bytes <= limit;
  };
  if (appender_) {
    if (has_room(appender_->position())) {
      return;
    }
    seal();
  }
  const auto is_reserved = [&](std::uint32_t number) {
    return std::find(reserved_.begin(), reserved_.end(), number) != reserved_.end();
  };
  if (!table_.empty() && !is_reserved(table_.back().number)) {
    const ShardEntry& last = table_.back();
    const std::string name = Shards::name(last.number);
    struct stat status;
    const bool stands = shared_.folder.status(name, status) == 0 && S_ISREG(status.st_mode);
    // a shorter file has lost bytes, and another store's file is an error: leave both alone
    if (stands && static_cast<std::uint64_t>(status.st_size) >= last.length && has_room(last.length) &&
        is_ours(name, last.number)) {
      appender_.emplace(ShardAppender::open(shared_.folder, name, last.length));
      active_ = last.number;
      changed_.push_back(active_);
      note_written();
      return;
    }
  }
  ShardEntry made;
  made.number = take_number();
  made.rank = state_.next_rank;
  made.length = header_bytes;
  made.other_bytes = header_bytes;
  created_.reserve(created_.size() + 1);
  table_.reserve(table_.size() + 1);
  appender_.emplace(ShardAppender::create(shared_.folder, Shards::name(made.number), header_of(made)));
  created_.push_back(made.number);
  table_.push_back(made);
  ++state_.next_rank;
  ++state_.table;
  active_ = made.number;
  changed_.push_back(active_);
  note_written();
}

/// Numbers are never reused, even if the shard is not kept, so that no file is mistaken for another.
std::uint32_t StoreWriter::take_number() {
  if (state_.next_shard == 0 || state_.next_shard > most_shards) {
    fail(Errc::limit_exceeded, "the store in " + shared_.folder.path() + " has no number left for another shard");
  }
  return state_.next_shard++;
}

void StoreWriter::seal() {
  if (!appender_) {
    return;
  }
  if (has_pending()) {  // a partial mark: the commit can be completed from it if the index is rebuilt
    std::vector<std::byte> mark;
    put_mark(mark, *entry(active_), (state_.commits + 1) | commit_part, appender_->position());
    appender_->append(mark);
    entry(active_)->other_bytes += mark.size();
  }
  appender_->flush();
  entry(active_)->length = appender_->position();
  touched_.push_back(active_);
  appender_.reset();
  active_ = 0;
  note_written();
}

Position StoreWriter::append(Bytes record, std::size_t payload_at) {
  open_shard(record.size());
  const std::uint64_t before = appender_->position();
  const std::uint64_t at = appender_->append(record, payload_at);
  if (at > before) {
    entry(active_)->other_bytes += at - before;
  }
  note_written();
  return {active_, at, record.size()};
}

void StoreWriter::put_mark(std::vector<std::byte>& out, ShardEntry& shard, std::uint64_t number, std::uint64_t offset) {
  shard.mark = put_commit(out, number, ++mark_id_, {state_.store, shard.number, offset});
}

/// Ends the records of a commit with a mark. It is then in the file, and the shard's entry refers to it.
void StoreWriter::append_mark(std::uint64_t number) {
  open_shard(mark_bytes);
  ShardEntry& shard = *entry(active_);
  const std::uint64_t before = shard.mark;
  const std::uint64_t at = appender_->position();
  scratch_.clear();
  put_mark(scratch_, shard, number, at);
  try {
    append(scratch_, 0);
    appender_->flush();
  } catch (...) {
    appender_->undo(at);
    note_written();
    shard.mark = before;
    throw;
  }
  shard.other_bytes += mark_bytes;
  note_written();
  shard.length = appender_->position();
}

void StoreWriter::note(const StoreKey& key, std::optional<Position> position) {
  if (position) {
    pending_bytes_ += position->length;
  }
  {
    const std::lock_guard lock(pending_mutex_);
    pending_.set(key.sortable(), position);
  }
  if (batch_) {
    return;
  }
  const StoreOptions& options = shared_.options;
  if (options.durability == StoreDurability::put) {
    commit(true);
  } else if (pending_.size() >= options.group_values || pending_bytes_ >= options.group_bytes) {
    commit(options.durability != StoreDurability::none);
  }
}

void StoreWriter::require_orders() const {
  for (const StoreState::Order& order : state_.orders) {
    order_function(order.name);
  }
}

void StoreWriter::put(const StoreKey& key, Bytes head, Bytes payload) {
  require_orders();
  if (shared_.codec.compresses() && head.size() + payload.size() >= compressed_least &&
      put_compressed(key, head, payload)) {
    return;
  }
  if (payload.size() > large_value) {
    LargeHead large;
    const auto major = static_cast<cbor::Major>(static_cast<unsigned>(head[0]) >> 5);
    large.form = major == cbor::Major::text  ? LargeHead::Form::text
                 : major == cbor::Major::tag ? LargeHead::Form::archive
                                             : LargeHead::Form::bytes;
    put_large(key, large, {}, payload);
    return;
  }
  if (payload.size() >= aligned_value) {
    scratch_.clear();
    put_plain(scratch_, key, head, payload);
    note(key, append(scratch_, scratch_.size() - payload.size()));
    return;
  }
  open_shard(record_head + key.sortable().size() + head.size() + payload.size());
  const std::uint64_t at =
      appender_->append_small([&](std::vector<std::byte>& out) { put_plain(out, key, head, payload); });
  note_written();
  note(key, Position{active_, at, appender_->position() - at});
}

bool StoreWriter::put_compressed(const StoreKey& key, Bytes head, Bytes payload) {
  plain_.assign(head.begin(), head.end());
  plain_.insert(plain_.end(), payload.begin(), payload.end());
  const std::uint64_t dictionary = plain_.size() <= large_value ? state_.dictionary : 0;
  if (!shared_.codec.compress(plain_, dictionary, compressed_)) {
    return false;
  }
  if (compressed_.size() <= large_value) {
    scratch_.clear();
    put_packed(scratch_, key, dictionary, plain_.size(), compressed_);
    note(key, append(scratch_, 0));
    return true;
  }
  std::array<std::byte, 8> size;
  store_le<std::uint64_t>(size.data(), plain_.size());
  LargeHead large;
  large.dictionary = dictionary;
  put_large(key, large, size, compressed_);
  return true;
}

void StoreWriter::put_large(const StoreKey& key, LargeHead head, Bytes first, Bytes rest) {
  Xxh3 hash;
  hash.update(first);
  hash.update(rest);
  head.size = first.size() + rest.size();
  head.value_check = hash.digest64();
  scratch_.clear();
  put_large_head(scratch_, key, head);
  const std::uint64_t length = scratch_.size() + head.size;
  open_shard(length);
  const std::uint64_t before = appender_->position();
  const std::uint64_t at = appender_->begin(scratch_);
  try {
    appender_->piece(first);
    appender_->piece(rest);
  } catch (...) {
    appender_->undo(before);
    throw;
  }
  entry(active_)->other_bytes += at - before;
  note_written();
  note(key, Position{active_, at, length});
}

void StoreWriter::put_object(const StoreKey& key, const Walkable& object) {
  require_orders();
  Bytes item;
  bool is_archive = false;
  try {
    const Calling calling(*this);
    objects_.begin(object);
    write_whole(objects_, object);
    item = objects_.item();
    is_archive = objects_.lists_arrays() || item.size() > large_value;
    if (is_archive) {
      item = objects_.archive();
    }
  } catch (const ItemMemory::Full&) {
    pass_object(key, object);
    return;
  }
  if (is_archive) {
    put_archive(key, item);
    return;
  }
  const auto major = static_cast<cbor::Major>(static_cast<unsigned>(item[0]) >> 5);
  if (major == cbor::Major::array || major == cbor::Major::map || major == cbor::Major::tag) {
    std::array<std::byte, 2 * cbor::max_head> head;
    std::byte* end = cbor::put_head(head.data(), cbor::Major::tag, tag_item);
    end = cbor::put_head(end, cbor::Major::bytes, item.size());
    put(key, std::span(head).first(static_cast<std::size_t>(end - head.data())), item);
  } else if (major == cbor::Major::bytes || major == cbor::Major::text) {
    cbor::Cursor cursor(item);
    cursor.head();
    const auto head = static_cast<std::size_t>(cursor.position());
    put(key, item.first(head), item.subspan(head));
  } else {
    put(key, item, {});
  }
}

/// Stores an archive whose arrays can be mapped, unless values are compressed.
void StoreWriter::put_archive(const StoreKey& key, Bytes archive) {
  std::array<std::byte, 2 * cbor::max_head> head;
  std::byte* end = cbor::put_head(head.data(), cbor::Major::tag, tag_archive);
  end = cbor::put_head(end, cbor::Major::bytes, archive.size());
  const Bytes head_bytes = std::span(head).first(static_cast<std::size_t>(end - head.data()));
  if (archive.size() > large_value && !shared_.codec.compresses()) {
    put_large(key, {.form = LargeHead::Form::archive}, {}, archive);
  } else {
    put(key, head_bytes, archive);
  }
}

/// Stores an object by streaming its archive to the shard; compressed by blocks, if at all.
void StoreWriter::pass_object(const StoreKey& key, const Walkable& object) {
  Spill spill;
  std::uint64_t before = 0;
  const auto pass = [&](std::uint64_t most_length) {
    scratch_.clear();
    LargeHead head{.form = LargeHead::Form::archive};
    put_large_head(scratch_, key, head);
    open_shard(scratch_.size());
    before = appender_->position();
    spill.begin(*appender_, scratch_, most_length);
    const std::unique_ptr<CompressingSink> compressor = shared_.codec.sink(spill, 0);
    Sink& sink = compressor != nullptr ? static_cast<Sink&>(*compressor) : spill;
    Encoder out(sink, compressor.get(), object_options_, false);
    {
      const Calling calling(*this);
      out.begin(object);
      write_whole(out, object);
      out.finish();
    }
    if (compressor != nullptr) {
      compressor->close();
    }
    head.size = spill.passed();
    head.value_check = spill.checksum();
    scratch_.clear();
    put_large_head(scratch_, key, head);
    appender_->end(spill.record_at(), scratch_);
  };
  try {
    try {
      open_shard(large_value);
      const bool alone = appender_->position() <= header_bytes;
      pass(alone ? ~std::uint64_t{0} : std::max(state_.shard_bytes, appender_->position() + large_value));
    } catch (const Spill::Restart&) {  // it does not fit this shard, so it gets the next one alone
      appender_->undo(before);
      seal();
      open_shard(state_.shard_bytes);
      pass(~std::uint64_t{0});
    }
  } catch (...) {
    if (appender_ && before > 0) {
      appender_->undo(before);
      note_written();
    }
    throw;
  }
  const std::uint64_t at = spill.record_at();
  entry(active_)->other_bytes += at - before;
  note_written();
  note(key, Position{active_, at, scratch_.size() + spill.passed()});
}

bool StoreWriter::erase(const StoreKey& key) {
  require_orders();
  scratch_.clear();
  put_erased(scratch_, key);
  const Position at = append(scratch_, 0);
  entry(active_)->other_bytes += at.length;
  note(key, std::nullopt);
  return true;
}

// --- What is not committed -------------------------------------------------------------------------------------------

std::optional<std::optional<Position>> StoreWriter::find_pending(std::string_view key) const {
  const std::lock_guard lock(pending_mutex_);
  return pending_.find(key);
}

bool StoreWriter::is_written(const Position& position) const noexcept {
  return written_shard_ != position.shard || position.offset + position.length <= written_;
}

void StoreWriter::flush_buffer() {
  if (appender_) {
    appender_->flush();
    note_written();
  }
}

bool StoreWriter::has_pending() const {
  const std::lock_guard lock(pending_mutex_);
  return !pending_.empty();
}

void StoreWriter::touch_all() {
  touched_.clear();
  for (const ShardEntry& shard : table_) {
    touched_.push_back(shard.number);
  }
}

void StoreWriter::sync_touched() {
  for (const std::uint32_t number : touched_) {
    if (entry(number) == nullptr) {
      continue;  // a vacuum has replaced it
    }
    const OwnedDescriptor file = shared_.folder.open_file(Shards::name(number), O_RDONLY);
    if (!file.is_open()) {
      fail_call("open", shared_.shards.path(number), errno);
    }
    if (system_calls().fsync(file.get()) != 0) {
      fail_call("write", shared_.shards.path(number), errno);
    }
  }
  touched_.clear();
  if (appender_) {
    appender_->sync();
  }
}

void StoreWriter::write_list() {
  list_is_old_ = true;
  write_shard_list(shared_.folder, state_.store, table_);
  list_is_old_ = false;
}

void StoreWriter::renew_list() noexcept {
  if (list_is_old_) {
    try {
      write_list();
    } catch (...) {  // the operation itself has succeeded
    }
  }
}

void StoreWriter::require_idle() const {
  if (calling_) {
    fail(Errc::invalid_argument, "a type that is put or the function of an order writes to the store that called it");
  }
}

void StoreWriter::commit(bool durable) {
  require_idle();
  process_.require_same_process("the store");
  if (undoing_) {
    clean_up();
  }
  if (!has_pending()) {
    if (durable) {
      sync_touched();
      shared_.index.sync();
    }
    return;
  }
  append_mark(state_.commits + 1);
  if (durable) {
    sync_touched();
    if (!created_.empty()) {
      sync_folder();
    }
  }
  commit_pending(durable);
}

/// Writes the pending changes to the index.
void StoreWriter::commit_pending(bool durable) {
  const std::vector<IndexWrite::Change> changes = pending_.changes();
  Tally next{state_, table_};
  ++next.state.commits;
  const std::unique_ptr<IndexWrite> write = shared_.index.write();
  std::vector<Tally::Moved> moved;
  next.apply(*write, changes, next.state.orders.empty() ? nullptr : &moved);
  for (const StoreState::Order& order : next.state.orders) {
    for (const Tally::Moved& change : moved) {
      if (change.from) {
        try {
          write->erase_order(order.number, order_value(order, change.key, *change.from), change.key);
        } catch (const Error& error) {
          if (error.code() != Errc::damaged) {
            throw;
          }  // the old value cannot be read, so its place in the order is unknown; iteration skips the stale entry
        }
      }
      if (change.to) {
        write->put_order(order.number, order_value(order, change.key, *change.to), change.key);
      }
    }
  }
  next.write(*write, changed_);
  write->commit(durable);
  adopt(std::move(next));
  list_is_old_ = list_is_old_ || !created_.empty();
  created_.clear();
  changed_.clear();
  if (appender_) {
    changed_.push_back(active_);
  }
  {
    const std::lock_guard lock(pending_mutex_);
    pending_.clear();
    pending_bytes_ = 0;
  }
  renew_list();
}

void StoreWriter::adopt(Tally tally) noexcept {
  state_ = std::move(tally.state);
  table_ = std::move(tally.table);
}

bool StoreWriter::mark_commit() {
  if (has_pending()) {
    if (batch_) {
      return false;
    }
    commit(true);
    return true;
  }
  append_mark(state_.commits);
  const ShardEntry& shard = *entry(active_);
  sync_touched();
  sync_folder();
  const std::unique_ptr<IndexWrite> write = shared_.index.write();
  write->put_shard(shard);
  write->put_state(state_);
  write->commit(true);
  created_.clear();
  return true;
}

std::pair<std::uint32_t, ShardAppender> StoreWriter::reserve_shard(std::uint32_t source) {
  if (undoing_) {
    clean_up();
  }
  if (appender_ && entry(active_)->rank == entry(source)->rank) {
    seal();  // the copies get a later rank, so later records must not go to the current shard
  }
  ShardEntry made;
  made.number = take_number();
  reserve(made.number);
  made.rank = entry(source)->rank;
  made.length = header_bytes;
  made.other_bytes = header_bytes;
  ShardAppender appender = ShardAppender::create(shared_.folder, Shards::name(made.number), header_of(made));
  sync_folder();
  Tally next{state_, table_};
  ++next.state.table;
  const auto behind = [](const ShardEntry& a, const ShardEntry& b) { return a.rank < b.rank; };
  next.table.insert(std::upper_bound(next.table.begin(), next.table.end(), made, behind), made);
  const std::unique_ptr<IndexWrite> write = shared_.index.write();
  next.write(*write, {});
  write->commit(false);
  adopt(std::move(next));
  return {made.number, std::move(appender)};
}

void StoreWriter::unlock() noexcept {
  appender_.reset();
  lock_.release();
}

void StoreWriter::discard() {
  require_idle();
  process_.require_same_process("the store");
  const std::unique_lock undoing(undo_mutex_);
  if (appender_) {
    touched_.push_back(active_);
  }
  appender_.reset();
  active_ = 0;
  note_written();
  {
    const std::lock_guard lock(pending_mutex_);
    pending_.clear();
    pending_bytes_ = 0;
  }
  undoing_ = true;
  clean_up();
}

/// The rest of discard(). If it fails, it is repeated before the next write: undone records must not be found when the
/// index is rebuilt.
void StoreWriter::clean_up() {
  while (!created_.empty()) {
    shared_.shards.forget(created_.back());
    if (shared_.folder.unlink(Shards::name(created_.back())) != 0 && errno != ENOENT) {
      fail_call("remove", shared_.shards.path(created_.back()), errno);
    }
    std::erase(touched_, created_.back());
    created_.pop_back();
  }
  changed_.clear();
  const std::uint32_t next = state_.next_shard;
  load();
  state_.next_shard = std::max(state_.next_shard, next);
  for (const ShardEntry& shard : table_) {
    const auto is_reserved = std::find(reserved_.begin(), reserved_.end(), shard.number) != reserved_.end();
    if (!is_reserved) {
      cut(shard);
    }
  }
  undoing_ = false;
}

}  // namespace stele

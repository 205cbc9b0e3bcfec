// Rebuilds the index of a store from its shards.

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <map>
#include <system_error>

#include "io/replace/writer_lock.hpp"
#include "io/storage/urls.hpp"
#include "io/system.hpp"
#include "services/store/care/fit.hpp"
#include "services/store/care/report.hpp"
#include "services/store/shard/list.hpp"
#include "services/store/shard/shards.hpp"
#include "services/store/write/tally.hpp"
#include "stele/error.hpp"
#include "stele/store.hpp"

namespace stele {
namespace {

using namespace store_frozen;

constexpr std::size_t group_changes = 100'000;
constexpr std::uint64_t read_ahead = std::uint64_t{8} << 20;

/// The position of a record among all records. If a key has several records, the one with the last place counts.
struct Place {
  std::uint64_t rank = 0;
  std::uint32_t number = 0;
  std::uint64_t offset = 0;
  friend auto operator<=>(const Place&, const Place&) = default;
};

/// Collects what is lost.
class Losses {
 public:
  explicit Losses(StoreReport& report) : report_(report) {}
  /// `before`: the place of the lost bytes; they came after it.
  void add(std::uint64_t bytes, const Place& before, std::string problem) {
    report_.lost_bytes += bytes;
    last_ = std::max(last_, before);
    any_ = true;
    note_problem(report_, std::move(problem));
  }
  void add_shard(std::uint64_t bytes, const Place& before, std::string problem) {
    ++report_.lost_shards;
    add(bytes, before, std::move(problem));
  }
  StoreReport& report() noexcept { return report_; }
  bool any() const noexcept { return any_; }
  const Place& last() const noexcept { return last_; }

 private:
  StoreReport& report_;
  Place last_;
  bool any_ = false;
};

/// The records of one shard, up to its last commit. Skips damaged bytes.
class Scan {
 public:
  Scan(const Shard& shard, Losses& losses) : shard_(shard), losses_(losses), all_(shard.part(0, shard.size())) {
    find_commits();
  }
  /// The last commit whose mark is in this shard, not counting partial marks.
  std::uint64_t last_commit() const noexcept { return last_commit_; }
  /// Whether the shard has no record.
  bool is_empty() const noexcept { return last_record_end_ <= header_bytes; }
  /// Records count up to the last mark of a commit, or the last partial mark whose commit is not later than `last`, the
  /// last of all shards. With `is_passed` all records count: a later shard has a later commit.
  void set_last_commit(std::uint64_t last, bool is_passed) noexcept {
    committed_ = part_ <= last ? std::max(part_end_, end_) : end_;
    if (is_passed) {
      committed_ = std::max(committed_, all_.bytes.size());
    }
  }
  /// Records count at least up to `length`, which the index had committed.
  void set_committed(std::uint64_t length) noexcept {
    committed_ = std::max<std::uint64_t>(committed_, std::min<std::uint64_t>(length, all_.bytes.size()));
  }
  /// Whether a commit mark is in it.
  bool has_mark() const noexcept { return std::max(end_, part_end_) > header_bytes; }
  /// A vacuum was killed while it wrote this shard: its records are copies, and the last one may be cut off.
  void set_unfinished() noexcept { is_unfinished_ = true; }
  std::uint64_t committed() const noexcept { return committed_; }
  std::uint64_t other_bytes() const noexcept { return other_bytes_; }
  // Valid after the last record: where the records end, and the checksum of the mark that ends them, or 0.
  std::uint64_t records_end() const noexcept { return records_end_; }
  std::uint64_t mark() const noexcept { return mark_end_ == records_end_ ? mark_ : 0; }
  const Shard& shard() const noexcept { return shard_; }

  /// The next valid record; false at the end.
  bool next(Record& record, std::uint64_t& at) {
    while (at_ < committed_) {
      if (byte(at_) == filler) {
        ++at_;
        ++other_bytes_;
        continue;
      }
      if (parse(at_, record)) {
        at = at_;
        at_ += record.length;
        records_end_ = at_;
        if (!record.holds_value()) {
          other_bytes_ += record.length;
        }
        if (record.items == record_commit) {
          mark_ = record.check;
          mark_end_ = at_;
        }
        return true;
      }
      pass_damage();
    }
    return false;
  }

 private:
  std::byte byte(std::uint64_t at) const { return all_.bytes[static_cast<std::size_t>(at)]; }
  bool may_begin(std::uint64_t at) const {
    const auto first = std::to_integer<unsigned>(byte(at));
    return first > 0x80 && first <= 0x80 + record_large && at + 1 < all_.bytes.size() &&
           byte(at + 1) == (first == 0x81 ? std::byte{0x58} : std::byte{0x48});
  }
  bool parse(std::uint64_t at, Record& record) const {
    if (!may_begin(at)) {
      return false;
    }
    try {
      record = parse_record(all_.bytes.subspan(static_cast<std::size_t>(at)), at);
      return is_mark(record, {shard_.header().store, shard_.number(), at}) ||
             (record.is_whole() && record.value_is_whole());
    } catch (const Error&) {
      return false;
    }
  }
  void pass_damage() {
    const std::uint64_t from = at_;
    Record record;
    do {
      ++at_;
    } while (at_ < committed_ && !parse(at_, record));
    if (is_unfinished_ && at_ == all_.bytes.size()) {
      return;
    }
    losses_.add(at_ - from, {shard_.header().rank, shard_.number(), from},
                shard_.path() + ": " + std::to_string(at_ - from) + " bytes are no record (offset " +
                    std::to_string(from) + ')');
  }
  /// Searches for marks from the start of the shard.
  void find_commits() {
    std::uint64_t at = header_bytes;
    Record record;
    std::uint64_t asked = 0;
    while (at < all_.bytes.size()) {
      if (at >= asked) {
        shard_.prefetch(at, 2 * read_ahead);
        asked = at + read_ahead;
      }
      if (!parse(at, record)) {
        ++at;
        continue;
      }
      at += record.length;
      if (record.items != record_commit) {
        last_record_end_ = at;
        continue;
      }
      if ((record.commit & commit_part) != 0) {  // a partial mark is the last record of its shard
        part_ = record.commit & ~commit_part;
        part_end_ = at;
      } else {
        end_ = at;
        last_commit_ = std::max(last_commit_, record.commit);
      }
    }
  }

  const Shard& shard_;
  Losses& losses_;
  Shard::Part all_;
  std::uint64_t last_record_end_ = 0;
  std::uint64_t records_end_ = header_bytes;
  std::uint64_t mark_ = 0;
  std::uint64_t mark_end_ = 0;
  std::uint64_t at_ = header_bytes;
  std::uint64_t end_ = header_bytes;  // end of the last commit
  std::uint64_t last_commit_ = 0;
  std::uint64_t part_ = 0;  // the last commit with a partial mark here, and the end of that mark
  std::uint64_t part_end_ = 0;
  std::uint64_t committed_ = 0;
  bool is_unfinished_ = false;
  std::uint64_t other_bytes_ = header_bytes;
};

/// Collects the places of keys and writes them to the index in groups.
class Rebuild {
 public:
  explicit Rebuild(std::shared_ptr<Index> index) : index_(std::move(index)) {}
  Index& index() noexcept { return *index_; }
  void add(const StoreKey& key, std::optional<Position> position) {
    changes_.insert_or_assign(key.sortable(), position);
    if (changes_.size() >= group_changes) {
      write();
    }
  }
  void write() {
    std::vector<IndexWrite::Change> changes;
    changes.reserve(changes_.size());
    for (const auto& [key, position] : changes_) {
      changes.push_back({key, position});
    }
    Tally next{state, table};
    const std::unique_ptr<IndexWrite> write = index_->write();
    next.apply(*write, changes, nullptr);
    std::vector<std::uint32_t> all;
    for (const ShardEntry& entry : next.table) {
      all.push_back(entry.number);
    }
    next.write(*write, all);
    write->commit(false);
    state = std::move(next.state);
    table = std::move(next.table);
    changes_.clear();
  }
  StoreState state;
  std::vector<ShardEntry> table;

 private:
  std::shared_ptr<Index> index_;
  std::map<std::string, std::optional<Position>> changes_;
};

/// The number in the name of a dictionary file; 0 for other names.
std::uint64_t dictionary_number(std::string_view name) {
  constexpr std::string_view before = "dictionary-";
  constexpr std::string_view behind = ".zdict";
  std::uint32_t number = 0;
  if (!name.starts_with(before) || !name.ends_with(behind)) {
    return 0;
  }
  const char* const end = name.data() + name.size() - behind.size();
  const auto [stop, error] = std::from_chars(name.data() + before.size(), end, number);
  return stop == end && error == std::errc{} ? number : 0;
}

/// What was known of the store before the recovery.
struct Known {
  std::shared_ptr<Index> index;  // the old index, if it is intact
  StoreState state;              // the state in the old index
  std::vector<ShardEntry> table;
  std::optional<ShardList> list;
  /// Whether nothing was written after the index: then keys that it does not have were erased.
  bool is_last = false;
};

Known what_was_known(const std::string& path, const Folder& folder) {
  Known known;
  known.list = read_shard_list(folder);
  try {
    known.index = Index::open(path, false, false, "index.lmdb", Verify::full);
    const auto read = known.index->read();
    known.state = read->state();
    known.table = read->shards();
  } catch (const Error&) {  // it is damaged, or there is none
    known.index = nullptr;
    known.table.clear();
  }
  return known;
}

class FoundShards {
 public:
  /// Throws: Error(not_found) if there are no shards.
  explicit FoundShards(const Folder& folder) : folder_(folder) {
    for (const std::string& name : folder.names()) {
      dictionary = std::max(dictionary, dictionary_number(name));
      if (const std::optional<std::uint32_t> number = shard_number(name)) {
        next_number = std::max(next_number, *number + 1);
        open(name, *number);
      }
    }
    if (shards.empty()) {
      fail(Errc::not_found, "there are no shards in " + folder.path());
    }
    std::sort(shards.begin(), shards.end(), [](const auto& a, const auto& b) {
      const std::uint64_t rank = a->header().rank;
      const std::uint64_t other = b->header().rank;
      return rank != other ? rank < other : a->number() < b->number();
    });
  }
  /// Leaves shards of other stores alone. The store is the one of the old index if it has a shard here, else the one
  /// with the most bytes.
  void choose_store(const Known& known, StoreReport& report) {
    std::map<std::uint64_t, std::uint64_t> bytes;
    for (const auto& shard : shards) {
      bytes[shard->header().store] += shard->size();
    }
    const auto most =
        std::max_element(bytes.begin(), bytes.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
    const bool has_known = known.index != nullptr && bytes.contains(known.state.store);
    const std::uint64_t store = has_known ? known.state.store : most->first;
    std::erase_if(shards, [&](const std::shared_ptr<Shard>& shard) {
      const bool foreign = shard->header().store != store;
      if (foreign) {
        note_problem(report, shard->path() + " is of another store and was left alone");
      }
      return foreign;
    });
  }
  const Shard* find(std::uint32_t number) const {
    const auto found =
        std::find_if(shards.begin(), shards.end(), [&](const auto& shard) { return shard->number() == number; });
    return found == shards.end() ? nullptr : found->get();
  }
  /// Reports what is missing from shards that are known to have existed.
  void compare(const std::vector<ShardEntry>& table, Losses& losses) {
    for (const ShardEntry& entry : table) {
      const Shard* const shard = find(entry.number);
      const Place place{entry.rank, entry.number, shard == nullptr ? 0 : shard->size()};
      const std::string path = folder_.path() + Shards::name(entry.number);
      if (shard == nullptr) {
        std::erase_if(unreadable_, [&](const Unreadable& file) {  // reported here
          if (file.number == entry.number) {
            note_problem(losses.report(), file.problem);
          }
          return file.number == entry.number;
        });
        losses.add_shard(entry.length, place,
                         "the shard " + path + " is lost: " + std::to_string(entry.live_values) + " values in " +
                             std::to_string(entry.length) + " bytes");
      } else if (shard->size() < entry.length) {
        losses.add(entry.length - shard->size(), place,
                   path + ": " + std::to_string(entry.length - shard->size()) + " bytes are lost at its end");
      }
    }
  }
  /// Reports unreadable shards as lost, unless nothing was written to them.
  void tell_unreadable(Losses& losses, StoreReport& report) const {
    constexpr Place anywhere{~std::uint64_t{0}, 0, 0};
    for (const Unreadable& file : unreadable_) {
      if (file.is_begun) {
        losses.add_shard(file.size, anywhere, file.problem);
      } else {
        report.lost_bytes += file.size;
        note_problem(report, file.problem);
      }
    }
  }

  std::vector<std::shared_ptr<Shard>> shards;  // sorted by rank
  std::uint64_t dictionary = 0;
  std::uint32_t next_number = 1;

 private:
  void open(const std::string& name, std::uint32_t number) {
    try {
      shards.push_back(Shard::open(folder_, name, number, 0));
    } catch (const Error& problem) {
      struct stat status;
      const bool is_file = folder_.status(name, status) == 0 && S_ISREG(status.st_mode);
      if (problem.code() == Errc::io && is_file) {
        throw;  // it may be readable another time
      }
      const bool is_begun = is_file && problem.code() != Errc::truncated;
      unreadable_.push_back(
          {number, is_file ? static_cast<std::uint64_t>(status.st_size) : 0, is_begun, problem.what()});
    }
  }
  struct Unreadable {
    std::uint32_t number = 0;
    std::uint64_t size = 0;
    bool is_begun = false;  // its header was complete
    std::string problem;
  };
  const Folder& folder_;
  std::vector<Unreadable> unreadable_;
};

/// Whether the old index has the latest state of the shards.
bool is_last_state(const Known& known, const FoundShards& found, const std::vector<Scan>& scans) {
  if (known.index == nullptr || scans.empty() || scans.front().shard().header().store != known.state.store) {
    return false;
  }
  std::vector<ShardEntry> table = known.table;
  for (const Scan& scan : scans) {
    const Shard& shard = scan.shard();
    const ShardEntry* const entry = find_entry(table, shard.number());
    const bool is_newer = entry == nullptr && shard.number() >= known.state.next_shard && !scan.is_empty();
    if (scan.last_commit() > known.state.commits || is_newer ||
        (entry != nullptr && shard.size() >= entry->length && !fits(shard, *entry))) {
      return false;
    }
  }
  // a shard that a vacuum removed has passed its rank to another one
  return std::all_of(table.begin(), table.end(), [&](const ShardEntry& entry) {
    return found.find(entry.number) != nullptr || std::none_of(scans.begin(), scans.end(), [&](const Scan& scan) {
             return scan.shard().header().rank == entry.rank && find_entry(table, scan.shard().number()) == nullptr;
           });
  });
}

/// Iterates over the keys of an index.
class Entries {
 public:
  explicit Entries(BlockReader& blocks) : blocks_(blocks), block_(blocks.covering(lowest_key)) { settle(); }
  bool at_end() const noexcept { return at_end_; }
  const std::string& key() const noexcept { return key_; }
  Position position() const { return block_.position(index_); }
  void next() {
    ++index_;
    settle();
  }

 private:
  void settle() {
    while (index_ == block_.size()) {
      if (!block_.high()) {
        at_end_ = true;
        return;
      }
      block_ = blocks_.covering(*block_.high());
      index_ = 0;
    }
    block_.key(index_, key_);
  }
  BlockReader& blocks_;
  KeyBlock block_;
  std::size_t index_ = 0;
  std::string key_;
  bool at_end_ = false;
};

/// Reports keys whose current value may differ from the one found.
class Uncertain {
 public:
  explicit Uncertain(StoreReport& report) : report_(report) {}
  void older(const std::string& key) {
    constexpr std::size_t most = 1000;
    ++report_.uncertain_count;
    if (report_.uncertain.size() < most) {
      report_.uncertain.push_back(StoreKey::from_sortable(key));
    }
  }
  void lost(const std::string& key) {
    ++report_.lost_values;
    note_problem(report_, "the value of " + StoreKey::from_sortable(key).describe() + " is lost");
  }
  void finish() {
    if (report_.uncertain_count > 0) {
      note_problem(report_, std::to_string(report_.uncertain_count) +
                                (report_.uncertain_count == 1 ? " key" : " keys") +
                                " may have an older value, or may have been erased");
    }
  }

 private:
  StoreReport& report_;
};

/// Compares with an intact old index. It knows all keys: those that it does not have had been erased.
void compare_keys(const Known& known, Rebuild& rebuild, Uncertain& uncertain) {
  std::vector<std::string> erased;
  {
    const auto old_blocks = known.index->read();
    const auto new_blocks = rebuild.index().read();
    Entries old(*old_blocks);
    Entries now(*new_blocks);
    while (!old.at_end() || !now.at_end()) {
      const int order = old.at_end() ? 1 : now.at_end() ? -1 : old.key().compare(now.key());
      if (order < 0) {
        uncertain.lost(old.key());
      } else if (order > 0) {
        erased.push_back(now.key());
      } else if (old.position() != now.position()) {
        uncertain.older(old.key());
      }
      if (order <= 0) {
        old.next();
      }
      if (order >= 0) {
        now.next();
      }
    }
  }
  for (const std::string& key : erased) {
    rebuild.add(StoreKey::from_sortable(key), std::nullopt);
  }
  rebuild.write();
}

/// Without an intact old index: reports all keys whose value was written before a loss.
void look_for_uncertain(const Place& last_loss, Rebuild& rebuild, Uncertain& uncertain) {
  std::map<std::uint32_t, std::uint64_t> ranks;
  for (const ShardEntry& entry : rebuild.table) {
    ranks[entry.number] = entry.rank;
  }
  const auto blocks = rebuild.index().read();
  for (Entries now(*blocks); !now.at_end(); now.next()) {
    const Position position = now.position();
    if (Place{ranks[position.shard], position.shard, position.offset} < last_loss) {
      uncertain.older(now.key());
    }
  }
}

}  // namespace

StoreReport Store::recover(const Path& where, const StoreProgress& progress) {
  StoreReport report;
  const std::string path = require_local(where.text(), "a store is recovered in its local folder");
  const Folder folder = Folder::open(path);
  if (!folder.is_open()) {
    fail(Errc::not_found, "there is no store in " + path + ": " + std::generic_category().message(errno));
  }
  static_cast<void>(FoundShards(folder));  // fails if there are none, before anything is locked or written
  const WriterLock lock(folder, 0, "the store");
  Losses losses(report);
  FoundShards found(folder);
  Known known = what_was_known(path, folder);
  found.choose_store(known, report);
  const ShardHeader& header = found.shards.back()->header();
  StoreState state;
  state.store = header.store;
  state.codec = header.codec;
  state.level = header.level;
  state.shard_bytes = header.shard_bytes;
  state.dictionary = found.dictionary;
  state.next_shard = found.next_number;
  std::uint64_t total = 0;
  std::vector<Scan> scans;
  for (const std::shared_ptr<Shard>& shard : found.shards) {
    total += shard->size();
    state.next_rank = std::max(state.next_rank, shard->header().rank + 1);
    scans.emplace_back(*shard, losses);
    state.commits = std::max(state.commits, scans.back().last_commit());
  }
  known.is_last = is_last_state(known, found, scans);
  if (known.is_last) {
    state.commits = std::max(state.commits, known.state.commits);
    state.next_shard = std::max(state.next_shard, known.state.next_shard);
    state.next_rank = std::max(state.next_rank, known.state.next_rank);
    found.compare(known.table, losses);
  } else if (known.list && known.list->store == state.store) {
    found.compare(known.list->table, losses);
    for (const ShardEntry& entry : known.list->table) {
      state.next_shard = std::max(state.next_shard, entry.number + 1);
      state.next_rank = std::max(state.next_rank, entry.rank + 1);
    }
  }
  found.tell_unreadable(losses, report);
  std::uint64_t later = 0;  // the last commit of the later shards
  for (auto scan = scans.rbegin(); scan != scans.rend(); ++scan) {
    const bool is_passed = later > scan->last_commit();
    scan->set_last_commit(state.commits, is_passed);
    // A new shard that no commit has reached would be the last one, unless a vacuum made it.
    if (is_passed && !scan->has_mark() && known.list && known.list->store == state.store &&
        find_entry(known.list->table, scan->shard().number()) == nullptr) {
      scan->set_unfinished();
    }
    later = std::max(later, scan->last_commit());
    if (const ShardEntry* const entry = find_entry(known.table, scan->shard().number());
        known.is_last && entry != nullptr) {
      scan->set_committed(entry->length);
    }
  }

  const std::string name = "index.recovered";
  const auto remove_unfinished = [&] {
    system_calls().unlink((path + '/' + name).c_str());
    system_calls().unlink((path + '/' + name + "-lock").c_str());
  };
  remove_unfinished();
  const std::shared_ptr<Index> index = Index::open(path, true, true, name);
  Rebuild rebuild(index);
  rebuild.state = state;
  {
    const std::unique_ptr<IndexWrite> write = index->write();
    write->put_state(rebuild.state);
    write->make_first_block();
    write->commit(false);
  }
  std::uint64_t done = 0;
  for (Scan& scan : scans) {
    const Shard& shard = scan.shard();
    ShardEntry made;
    made.number = shard.number();
    made.rank = shard.header().rank;
    rebuild.table.push_back(made);
    Record record;
    std::uint64_t at = 0;
    while (scan.next(record, at)) {
      if (record.holds_value()) {
        rebuild.add(record.decode_key(), Position{shard.number(), at, record.length});
      } else if (record.items == record_erased) {
        rebuild.add(record.decode_key(), std::nullopt);
      }
    }
    ShardEntry& entry = *find_entry(rebuild.table, made.number);
    entry.length = scan.records_end();
    entry.other_bytes = scan.other_bytes();
    entry.mark = scan.mark();
    rebuild.write();
    done += shard.size();
    report.bytes += shard.size();
    if (progress && !progress(done, total)) {
      remove_unfinished();
      return report;
    }
  }
  ++rebuild.state.table;
  rebuild.write();
  if (losses.any()) {
    Uncertain uncertain(report);
    known.is_last ? compare_keys(known, rebuild, uncertain) : look_for_uncertain(losses.last(), rebuild, uncertain);
    uncertain.finish();
  }
  report.values = rebuild.state.values;
  index->sync();
  known.index = nullptr;
  system_calls().unlink((path + "/index.lmdb-lock").c_str());
  Index::rename(path, name);
  write_shard_list(folder, rebuild.state.store, rebuild.table);
  return report;
}

}  // namespace stele

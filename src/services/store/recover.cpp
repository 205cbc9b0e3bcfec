// The index of a store made anew from its shards.

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <map>
#include <system_error>

#include "services/store/report.hpp"
#include "services/store/shards.hpp"
#include "services/store/tally.hpp"
#include "services/store/writer_lock.hpp"
#include "src/io/system.hpp"
#include "stele/error.hpp"
#include "stele/store.hpp"

namespace stele {
namespace {

using namespace store_frozen;

constexpr std::size_t group_changes = 100'000;
constexpr std::uint64_t read_ahead = std::uint64_t{8} << 20;

/// The records of one shard, up to its last commit, past what is damaged.
class Scan {
 public:
  Scan(const Shard& shard, StoreReport& report) : shard_(shard), report_(report), all_(shard.part(0, shard.size())) {
    find_commits();
  }
  /// The last commit whose mark is here, but for those that are a part.
  std::uint64_t last_commit() const noexcept { return last_commit_; }
  /// Records count up to the last mark of a commit, or of a part of one that is not behind `last` of all shards.
  void set_last_commit(std::uint64_t last) noexcept { committed_ = part_ <= last ? std::max(part_end_, end_) : end_; }
  std::uint64_t committed() const noexcept { return committed_; }
  std::uint64_t other_bytes() const noexcept { return other_bytes_; }
  const Shard& shard() const noexcept { return shard_; }

  /// The next whole record before that; false at the end.
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
        if (!record.holds_value()) {
          other_bytes_ += record.length;
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
           byte(at + 1) == (first == 0x81 ? std::byte{0x50} : std::byte{0x48});
  }
  bool parse(std::uint64_t at, Record& record) const {
    if (!may_begin(at)) {
      return false;
    }
    try {
      record = parse_record(all_.bytes.subspan(static_cast<std::size_t>(at)), at);
      return record.is_whole() && record.value_is_whole();
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
    report_.lost_bytes += at_ - from;
    note_problem(report_, shard_.path() + ": " + std::to_string(at_ - from) + " bytes are no record (offset " +
                              std::to_string(from) + ')');
  }
  /// Marks are looked for from the front, as records are.
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
        continue;
      }
      if ((record.commit & commit_part) != 0) {  // the last thing in its shard
        part_ = record.commit & ~commit_part;
        part_end_ = at;
      } else {
        end_ = at;
        last_commit_ = std::max(last_commit_, record.commit);
      }
    }
  }

  const Shard& shard_;
  StoreReport& report_;
  Shard::Part all_;
  std::uint64_t at_ = header_bytes;
  std::uint64_t end_ = header_bytes;  // of the last commit
  std::uint64_t last_commit_ = 0;
  std::uint64_t part_ = 0;  // the last commit that has a part here, and where that ends
  std::uint64_t part_end_ = 0;
  std::uint64_t committed_ = 0;
  std::uint64_t other_bytes_ = header_bytes;
};

/// Leads keys to places, many at a time.
class Rebuild {
 public:
  explicit Rebuild(std::shared_ptr<Index> index) : index_(std::move(index)) {}
  void add(const Key& key, std::optional<Position> position) {
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

/// The number in the name of a dictionary's file, or 0 where it is none's.
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

struct Found {
  std::shared_ptr<Shard> shard;
  std::uint64_t rank = 0;
};

std::vector<Found> find_shards(const Folder& folder, StoreReport& report, StoreState& state) {
  std::vector<Found> found;
  for (const std::string& name : folder.names()) {
    state.dictionary = std::max(state.dictionary, dictionary_number(name));
    const std::optional<std::uint32_t> number = shard_number(name);
    if (!number) {
      continue;
    }
    state.next_shard = std::max(state.next_shard, *number + 1);
    try {
      std::shared_ptr<Shard> shard = Shard::open(folder, name, *number, 0);
      found.push_back({shard, shard->header().rank});
    } catch (const Error& problem) {
      struct stat status;
      const bool is_file = folder.status(name, status) == 0 && S_ISREG(status.st_mode);
      if (problem.code() == Errc::io && is_file) {
        throw;  // it may be readable another time
      }
      note_problem(report, problem.what());
      report.lost_bytes += is_file ? static_cast<std::uint64_t>(status.st_size) : 0;
    }
  }
  if (found.empty()) {
    fail(Errc::not_found, "there are no shards in " + folder.path());
  }
  std::sort(found.begin(), found.end(), [](const Found& a, const Found& b) {
    return a.rank != b.rank ? a.rank < b.rank : a.shard->number() < b.shard->number();
  });
  return found;
}

}  // namespace

StoreReport Store::recover(const Path& where, const StoreProgress& progress) {
  StoreReport report;
  const std::string& path = where.text();
  const Folder folder = Folder::open(path);
  if (!folder.is_open()) {
    fail(Errc::not_found, "there is no store in " + path + ": " + std::generic_category().message(errno));
  }
  StoreState state;
  {
    StoreReport ignored;
    find_shards(folder, ignored, state);  // nothing is locked or written where there are none
  }
  const WriterLock lock(folder, 0);
  const std::vector<Found> shards = find_shards(folder, report, state);
  const ShardHeader& header = shards.back().shard->header();
  state.store = header.store;
  state.codec = header.codec;
  state.level = header.level;
  state.shard_bytes = header.shard_bytes;
  std::uint64_t total = 0;
  for (const Found& found : shards) {
    total += found.shard->size();
    state.next_rank = std::max(state.next_rank, found.rank + 1);
  }

  const std::string name = "index.recovered";
  system_calls().unlink((path + '/' + name).c_str());
  system_calls().unlink((path + '/' + name + "-lock").c_str());
  const std::shared_ptr<Index> index = Index::open(path, true, true, name);
  Rebuild rebuild(index);
  rebuild.state = state;
  {
    const std::unique_ptr<IndexWrite> write = index->write();
    write->put_state(rebuild.state);
    write->make_first_block();
    write->commit(false);
  }
  std::vector<Scan> scans;
  for (const Found& found : shards) {
    if (found.shard->header().store != state.store) {
      note_problem(report, found.shard->path() + " is of another store and was left alone");
      continue;
    }
    scans.emplace_back(*found.shard, report);
    rebuild.state.commits = std::max(rebuild.state.commits, scans.back().last_commit());
  }
  std::uint64_t done = 0;
  for (Scan& scan : scans) {
    const Shard& shard = scan.shard();
    scan.set_last_commit(rebuild.state.commits);
    ShardEntry entry;
    entry.number = shard.number();
    entry.rank = shard.header().rank;
    entry.length = scan.committed();
    rebuild.table.push_back(entry);
    Record record;
    std::uint64_t at = 0;
    while (scan.next(record, at)) {
      if (record.holds_value()) {
        rebuild.add(record.decode_key(), Position{shard.number(), at, record.length});
      } else if (record.items == record_erased) {
        rebuild.add(record.decode_key(), std::nullopt);
      }
    }
    find_entry(rebuild.table, entry.number)->other_bytes = scan.other_bytes();
    rebuild.write();
    done += shard.size();
    report.bytes += shard.size();
    if (progress && !progress(done, total)) {
      system_calls().unlink((path + '/' + name).c_str());
      system_calls().unlink((path + '/' + name + "-lock").c_str());
      return report;
    }
  }
  report.values = rebuild.state.values;
  ++rebuild.state.table;
  rebuild.write();
  index->sync();
  system_calls().unlink((path + "/index.lmdb-lock").c_str());
  Index::rename(path, name);
  return report;
}

}  // namespace stele

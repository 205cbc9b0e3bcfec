#include "services/store/care/fit.hpp"

#include <algorithm>
#include <cstring>

#include "services/store/shard/shards.hpp"
#include "services/store/write/tally.hpp"
#include "stele/error.hpp"

namespace stele {
namespace {

using namespace store_frozen;

std::uint64_t number_of(const Record& mark) noexcept { return mark.commit & ~commit_part; }

/// The commit marks found in a part of a shard.
struct Marks {
  std::uint64_t newest = 0;    // the greatest commit number
  std::uint64_t end = 0;       // end of the last mark of commit `next`, or 0
  std::uint64_t check = 0;     // checksum of that mark
  bool ends_next = false;      // one of its marks is not a partial one
  bool is_damaged = false;     // there is damage before the last mark of `next` or of a later commit
  bool has_committed = false;  // there is a mark of an earlier commit after records: written by a vacuum
};

/// Scans the records from `at` on.
class MarkScan {
 public:
  MarkScan(const Shard& shard, std::uint64_t from, std::uint64_t next, bool mapped)
      : shard_(shard), next_(next), from_(from), at_(from) {
    const std::uint64_t size = shard.size();
    const std::uint64_t length = size - std::min(from, size);
    part_ = mapped ? shard.part(from, length) : shard.read(from, length);
    end_ = from + length;
  }

  Marks run() {
    bool damaged = false;
    bool records = false;
    while (at_ < end_) {
      if (behind(at_)[0] == filler) {
        ++at_;
        continue;
      }
      Record record;
      if (!parse(record)) {
        damaged = true;
        if (!find_mark(record)) {
          break;
        }
      }
      at_ += record.length;
      if (record.items == record_commit) {
        note(record, damaged, records);
      } else {
        records = true;
      }
    }
    return marks_;
  }

 private:
  Bytes behind(std::uint64_t at) const { return part_.bytes.subspan(static_cast<std::size_t>(at - from_)); }
  bool parse(Record& record) const {
    try {
      record = parse_record(behind(at_), at_);
      return record.items == record_commit ? is_mark_here(record) : record.is_whole();
    } catch (const Error&) {
      return false;
    }
  }
  bool is_mark_here(const Record& record) const {
    return is_mark(record, {shard_.header().store, shard_.number(), at_});
  }
  /// The next valid mark; skips bytes that are not a record.
  bool find_mark(Record& record) {
    static constexpr std::byte head[] = {std::byte{0x81}, std::byte{0x58}, std::byte{mark_bytes - 3}};
    for (;;) {
      const Bytes rest = behind(at_);
      const auto found = std::search(rest.begin(), rest.end(), std::begin(head), std::end(head));
      if (found == rest.end()) {
        return false;
      }
      at_ += static_cast<std::uint64_t>(found - rest.begin());
      if (parse(record)) {
        return true;
      }
      ++at_;
    }
  }
  void note(const Record& mark, bool damaged, bool records) {
    const std::uint64_t number = number_of(mark);
    marks_.newest = std::max(marks_.newest, number);
    if (number < next_) {
      marks_.has_committed = marks_.has_committed || records;
      return;
    }
    marks_.is_damaged = marks_.is_damaged || damaged;
    if (number == next_) {
      marks_.end = at_;
      marks_.check = mark.check;
      marks_.ends_next = marks_.ends_next || (mark.commit & commit_part) == 0;
    }
  }

  const Shard& shard_;
  std::uint64_t next_;
  std::uint64_t from_;
  std::uint64_t end_ = 0;
  std::uint64_t at_;
  Shard::Part part_;
  Marks marks_;
};

class Fit {
 public:
  Fit(const Folder& folder, const FitState& known, Tails how, const std::function<FitState()>& now)
      : folder_(folder), known_(known), how_(how), now_(now) {}

  StoreFit run() {
    for (const ShardEntry& entry : known_.table) {
      known_shard(entry);
    }
    bool foreign = false;
    for (const std::string& name : folder_.names()) {
      const std::optional<std::uint32_t> number = shard_number(name);
      fit_.next_number = std::max(fit_.next_number, number.value_or(0) + 1);
      struct stat status;
      if (number && find_entry(known_.table, *number) == nullptr && folder_.status(name, status) == 0 &&
          S_ISREG(status.st_mode)) {
        foreign = stranger(name, *number) || foreign;
      }
    }
    if (foreign && known_.table.empty()) {
      problem("the index has no shard, and those in the folder are of another store");
    }
    return std::move(fit_);
  }

 private:
  void problem(std::string what) { fit_.problems.push_back(std::move(what)); }

  void known_shard(const ShardEntry& entry) {
    const std::string path = folder_.path() + Shards::name(entry.number);
    std::shared_ptr<Shard> shard;
    try {
      shard = Shard::open(folder_, Shards::name(entry.number), entry.number, 0);
    } catch (const Error& error) {
      if (error.code() == Errc::io) {
        throw;
      }
      std::vector<ShardEntry> table = now_().table;
      if (error.code() != Errc::not_found || find_entry(table, entry.number) != nullptr) {  // no vacuum
        problem(error.code() == Errc::not_found ? path + " is missing: " + std::to_string(entry.live_values) +
                                                      " values in " + std::to_string(entry.length) + " bytes"
                                                : std::string(error.what()));
      }
      return;
    }
    if (shard->header().store != known_.state.store || shard->header().rank != entry.rank) {
      problem(path + " is of another store");
      return;
    }
    const std::uint64_t size = shard->size();
    if (size < entry.length) {
      problem(path + " has " + std::to_string(size) + " bytes; by the index it should have " +
              std::to_string(entry.length));
      return;
    }
    if (!fits(*shard, entry)) {
      problem(path + " does not have a commit mark where the index says (offset " +
              std::to_string(entry.length - mark_bytes) + ')');
      return;
    }
    ShardTail tail{std::move(shard), entry.length, entry.length, entry.mark};
    if (size > entry.length && how_ != Tails::left_alone) {
      tail_of(tail);
      fit_.tails.push_back(std::move(tail));
    }
  }

  /// Scans what follows `tail.begin` and sets the other members.
  Marks tail_of(ShardTail& tail) {
    const std::uint64_t next = known_.state.commits + 1;
    const Marks marks = MarkScan(*tail.shard, tail.begin, next, how_ == Tails::mapped).run();
    if (marks.end > 0) {
      tail.end = marks.end;
      tail.mark = marks.check;
    }
    const std::string& path = tail.shard->path();
    if (marks.newest > next) {
      const std::uint64_t committed = now_().state.commits;  // others may have written meanwhile
      if (marks.newest > committed + 1) {
        problem("the index is older than the shards: it knows " + std::to_string(committed) + " commits, and " + path +
                " has one with the number " + std::to_string(marks.newest));
        return marks;
      }
    }
    if (marks.is_damaged && now_().state.commits == known_.state.commits) {
      problem("the index is older than the shards, and what it lacks is damaged in " + path);
    }
    fit_.has_next_commit = fit_.has_next_commit || marks.ends_next;
    return marks;
  }

  /// Handles a shard that the index does not know. True if it belongs to another store.
  bool stranger(const std::string& name, std::uint32_t number) {
    ShardTail tail;
    try {
      tail.shard = Shard::open(folder_, name, number, 0);
    } catch (const Error& error) {
      if (error.code() == Errc::io) {  // it is unknown what the file is
        throw;
      }
      if (error.code() == Errc::truncated) {  // the writer died before the first record
        fit_.unbegun.push_back(number);
      }
      return false;  // other files, and files with a damaged header, may hold data that exists nowhere else
    }
    if (tail.shard->header().store != known_.state.store) {
      return true;
    }
    tail.begin = tail.end = header_bytes;
    if (how_ == Tails::left_alone) {
      return false;
    }
    const Marks marks = tail_of(tail);
    if (marks.has_committed) {
      FitState last = now_();
      if (number >= last.state.next_shard && find_entry(last.table, number) == nullptr) {
        problem("the index is older than the shards: it does not know " + tail.shard->path() +
                ", which a vacuum has made");
      }
    }
    fit_.strangers.push_back(std::move(tail));
    return false;
  }
  const Folder& folder_;
  FitState known_;
  Tails how_;
  const std::function<FitState()>& now_;
  StoreFit fit_;
};

}  // namespace

bool fits(const Shard& shard, const ShardEntry& entry) {
  if (entry.mark == 0) {
    return true;
  }
  if (entry.length < header_bytes + mark_bytes) {
    return false;
  }
  const std::uint64_t at = entry.length - mark_bytes;
  try {
    const Shard::Part part = shard.part(at, mark_bytes);
    const Record record = parse_record(part.bytes, at);
    return record.check == entry.mark && is_mark(record, {shard.header().store, shard.number(), at});
  } catch (const Error& error) {
    if (error.code() == Errc::io) {
      throw;
    }
    return false;
  }
}

StoreFit fit_store(const Folder& folder, const FitState& known, Tails how, const std::function<FitState()>& now) {
  return Fit(folder, known, how, now).run();
}

std::string not_fitting(const std::string& folder, const std::string& problem) {
  return "the index and the shards in " + folder + " do not belong together: " + problem +
         "; Store::recover() rebuilds the index";
}

}  // namespace stele

#include "services/store/shard/shard.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <ctime>
#include <map>
#include <mutex>
#include <optional>

#include "io/descriptor.hpp"
#include "io/system.hpp"
#include "stele/error.hpp"

namespace stele {
namespace {

constexpr std::uint64_t lazy_value = std::uint64_t{1} << 20;
constexpr std::uint64_t page_bytes = 4096;

/// Remembers which records of closed files were found intact. Thread-safe.
class CheckedBefore {
 public:
  void keep(const GrowingFile& file, std::shared_ptr<CheckedRecords> checked) {
    constexpr std::int64_t settled = 2;  // seconds; a change right after another may leave the same time stamp
    const std::optional<State> state = state_of(file);
    const std::lock_guard lock(mutex_);
    if (!state || std::time(nullptr) - state->seconds <= settled) {
      return;
    }
    memory_ += checked->memory();
    if (memory_ > most_memory || files_.size() > most_files) {
      files_.clear();
      memory_ = checked->memory();
    }
    files_.insert_or_assign(std::pair(state->device, state->file), File{*state, std::move(checked)});
  }
  /// Null if there are none, or the file has changed since.
  std::shared_ptr<CheckedRecords> take(const GrowingFile& file) {
    const std::optional<State> state = state_of(file);
    const std::lock_guard lock(mutex_);
    const auto found = state ? files_.find(std::pair(state->device, state->file)) : files_.end();
    return found == files_.end() || found->second.state != *state ? nullptr : found->second.checked;
  }

 private:
  static constexpr std::uint64_t most_memory = std::uint64_t{64} << 20;  // one bit for 64 bytes: enough for 32 GiB
  static constexpr std::size_t most_files = 4096;
  /// Identifies a file and its last change.
  struct State {
    std::uint64_t device, file, size, reserved;
    std::int64_t seconds, nanoseconds;  // of the last change
    friend bool operator==(const State&, const State&) = default;
  };
  static std::optional<State> state_of(const GrowingFile& file) {
    struct stat status;
    if (file.descriptor() < 0 || system_calls().fstat(file.descriptor(), &status) != 0) {
      return std::nullopt;
    }
    return State{status.st_dev,   status.st_ino,         static_cast<std::uint64_t>(status.st_size),
                 file.reserved(), status.st_ctim.tv_sec, status.st_ctim.tv_nsec};
  }
  struct File {
    State state;
    std::shared_ptr<CheckedRecords> checked;
  };
  std::mutex mutex_;
  std::map<std::pair<std::uint64_t, std::uint64_t>, File> files_;
  std::uint64_t memory_ = 0;  // approximate: one may be counted twice
};
CheckedBefore& checked_before() {
  static CheckedBefore& before = *new CheckedBefore;  // never destroyed, for shards that are closed last
  return before;
}

}  // namespace

Shard::~Shard() {
  try {
    if (checked_ != nullptr) {
      checked_before().keep(file_, std::move(checked_));
    }
  } catch (const std::exception&) {  // it is checked again next time
  }
}

std::shared_ptr<Shard> Shard::open(const Folder& folder, const std::string& name, std::uint32_t number,
                                   std::uint64_t reserve) {
  const std::string path = folder.path() + name;
  std::shared_ptr<Shard> shard(new Shard);
  shard->number_ = number;
  OwnedDescriptor file = folder.open_file(name, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  if (!file.is_open()) {
    if (errno == ENOENT) {
      fail(Errc::not_found, "there is no shard " + path, {.file = path});
    }
    fail_call("open", path, errno);
  }
  std::array<std::byte, store_frozen::header_bytes> first;
  std::size_t got = 0;
  while (got < first.size()) {
    const std::size_t more = read_some_at(file.get(), got, std::span(first).subspan(got), path);
    if (more == 0) {
      fail(Errc::truncated, path + " ends inside its header", {{}, got, path});
    }
    got += more;
  }
  try {
    shard->header_ = decode_header(first);
  } catch (const Error& error) {
    rethrow_at(error, {.file = path});
  }
  if (shard->header_.number != number) {
    fail(Errc::damaged, path + " is shard " + std::to_string(shard->header_.number) + " by its header", {{}, 0, path});
  }
  shard->file_.open(std::move(file), path, reserve);
  shard->checked_ = checked_before().take(shard->file_);
  if (shard->checked_ == nullptr) {
    shard->checked_ = std::make_shared<CheckedRecords>(shard->file_.reserved());
  }
  return shard;
}

Shard::Shard(std::shared_ptr<Mapping> mapping, std::uint64_t base, std::uint64_t size, std::uint32_t number)
    : number_(number), base_(base), checked_(std::make_shared<CheckedRecords>(size)) {
  const std::string name = mapping->name();
  file_.set(std::move(mapping), name, base + size);
}

Shard::Shard(std::shared_ptr<const SourcePieces> pieces, std::string path, std::uint64_t base, std::uint64_t size,
             std::uint32_t number)
    : number_(number), base_(base), checked_(std::make_shared<CheckedRecords>()) {
  file_.set(std::move(pieces), std::move(path), base + size);
}

void Shard::fetch(std::vector<Extent> ranges) const {
  for (Extent& range : ranges) {
    range.offset += base_;
  }
  file_.pieces()->fetch(ranges);
}

Shard::Found Shard::record(const Position& position, Verify verify) const {
  Part at = part(position.offset, position.length);
  Found found{std::move(at.mapping), at.bytes, {}};
  Record& record = found.record;
  try {
    record = parse_record(at.bytes, position.offset);
  } catch (const Error& error) {
    fail_damaged("is not a record: " + error.message(), position.offset);
  }
  if (record.length != position.length || !record.holds_value()) {
    fail_damaged("differs from what the index says", position.offset);
  }
  if (verify == Verify::none) {
    return found;
  }
  const bool is_short = record.length < CheckedRecords::least;
  if (!is_short && verify != Verify::full && checked_->has(position.offset)) {
    return found;
  }
  if (record.length > 4 * page_bytes) {  // avoids reads of single pages from the device
    prefetch(position.offset, std::min(record.length, lazy_value));
  }
  if (!record.is_whole()) {
    fail_damaged("does not match its checksum", position.offset);
  }
  const bool lazy = verify != Verify::full && record.value_check && record.length > lazy_value;
  if (!lazy && !record.value_is_whole()) {
    fail_damaged("has a value that does not match its checksum", position.offset);
  }
  if (!is_short && !lazy) {
    checked_->add(position.offset);
  }
  return found;
}

void Shard::fail_damaged(const std::string& what, std::uint64_t offset) const {
  fail(Errc::damaged, "the record " + what, {{}, offset, path()});
}

CheckedRecords::CheckedRecords(std::uint64_t bytes) : words_(bytes / least / 64 + 1) {
  // pages of zeros take memory only when they are touched
  bits_.reset(static_cast<std::atomic<std::uint64_t>*>(
      std::calloc(static_cast<std::size_t>(words_), sizeof(std::atomic<std::uint64_t>))));
  if (bits_ == nullptr) {
    words_ = 0;
  }
}

void CheckedRecords::Free::operator()(std::atomic<std::uint64_t>* bits) const noexcept { std::free(bits); }

bool CheckedRecords::has(std::uint64_t offset) const noexcept {
  const std::uint64_t bit = offset / least;
  return bit / 64 < words_ && (bits_[bit / 64].load(std::memory_order_relaxed) >> (bit % 64) & 1) != 0;
}

void CheckedRecords::add(std::uint64_t offset) noexcept {
  const std::uint64_t bit = offset / least;
  if (bit / 64 < words_) {
    bits_[bit / 64].fetch_or(std::uint64_t{1} << (bit % 64), std::memory_order_relaxed);
  }
}

}  // namespace stele

#include "services/cache/remote/tier.hpp"

#include <algorithm>
#include <utility>

#include "base/threads/interruption.hpp"
#include "services/cache/core.hpp"
#include "services/cache/remote/parcel.hpp"
#include "stele/archive.hpp"
#include "stele/error.hpp"

namespace stele {

namespace {

using std::chrono::seconds;

constexpr auto shortest_pause = seconds(5);
constexpr auto longest_pause = seconds(300);
constexpr std::uint64_t most_put = std::uint64_t{8} << 20;  // bytes that are written by one request, from memory
constexpr std::size_t most_absent = 4096;
constexpr std::size_t most_queued = 65'536;
constexpr int most_refusals = 3;

/// What the remote has failed with, and not its object.
struct Unreachable {
  Error error;
};
/// What this machine has failed with.
struct Local {
  Error error;
};

/// Tells faults of the way from those of the object.
class RemoteSource final : public Source {
 public:
  explicit RemoteSource(Source& from) : from_(from) {}
  std::size_t read(MutableBytes into) override {
    try {
      return from_.read(into);
    } catch (const Error& error) {
      if (error.code() == Errc::truncated || error.code() == Errc::damaged || error.code() == Errc::changed) {
        throw;
      }
      throw Unreachable{error};
    }
  }
  std::optional<std::uint64_t> size() const override { return from_.size(); }
  void will_read(std::uint64_t offset, std::uint64_t size) const override { from_.will_read(offset, size); }

 private:
  Source& from_;
};

template <class F>
auto locally(F&& action) {
  try {
    return action();
  } catch (const Error& error) {
    throw Local{error};
  }
}

}  // namespace

// --- Outages ---------------------------------------------------------------------------------------------------------

bool CacheOutage::may_ask() {
  const std::lock_guard lock(mutex_);
  if (!out_) {
    return true;
  }
  const Clock::time_point now = Clock::now();
  if (now < until_) {
    return false;
  }
  until_ = now + longest_pause;  // the others do not try beside this one
  return true;
}

void CacheOutage::over() {
  const std::lock_guard lock(mutex_);
  out_ = false;
}

bool CacheOutage::failed(Clock::time_point began) {
  const std::lock_guard lock(mutex_);
  const Clock::time_point now = Clock::now();
  until_ = now + std::clamp<Clock::duration>(8 * (now - began), shortest_pause, longest_pause);
  return !std::exchange(out_, true);
}

void CacheOutage::forgive() {
  const std::lock_guard lock(mutex_);
  until_ = Clock::time_point::min();
}

// --- Asking ----------------------------------------------------------------------------------------------------------

std::string CacheTier::path_of(const Digest& key) const { return storage_->path_of(parcel_name(key)); }

void CacheTier::forget(const Digest& key) {
  const std::lock_guard lock(mutex_);
  absent_.erase(key);
}

void CacheTier::note_absent(const Digest& key) {
  const std::lock_guard lock(mutex_);
  if (absent_.size() >= most_absent) {
    absent_.clear();
  }
  absent_.insert(key);
}

std::optional<CacheTier::Taken> CacheTier::take(const Digest& key) {
  {
    const std::lock_guard lock(mutex_);
    if (closed_) {
      return std::nullopt;
    }
  }
  if (!reads_.may_ask()) {
    note_absent(key);  // as far as one knows
    return std::nullopt;
  }
  const Clock::time_point began = Clock::now();
  try {
    std::unique_ptr<Source> source;
    try {
      source = storage_->source(parcel_name(key));
    } catch (const Error& error) {
      throw Unreachable{error};
    }
    std::optional<Taken> taken = read(*source, key);
    reads_.over();
    core_.count(taken ? &CacheCounters::remote_hits : &CacheCounters::remote_misses);
    return taken;
  } catch (const Unreachable& fault) {
    note_absent(key);
    if (fault.error.code() == Errc::not_found) {
      reads_.over();
      core_.count(&CacheCounters::remote_misses);
    } else {
      const bool first = reads_.failed(began);
      core_.count(&CacheCounters::remote_failed);
      if (first) {
        core_.warn("the cache does without its remote for now: " + std::string(fault.error.what()));
      }
    }
  } catch (const Local& fault) {
    reads_.over();
    ++core_.failed;
    core_.warn("the result " + key.text() + " of the remote is not kept: " + fault.error.what());
  } catch (const Error& error) {  // the object is of no use; the next result of this key replaces it
    reads_.over();
    core_.count(&CacheCounters::remote_misses);
    core_.count(&CacheCounters::damaged);
    core_.warn_useless(key, Error(error.code(), error.message(), {.file = path_of(key)}));
  } catch (...) {  // the call was interrupted
    reads_.forgive();
    throw;
  }
  return std::nullopt;
}

std::optional<CacheTier::Taken> CacheTier::read(Source& source, const Digest& key) {
  RemoteSource from(source);
  ParcelReader parcel(from, key);
  Taken taken{parcel.record(), parcel.payload(), nullptr};
  const CacheRecord& record = taken.record;
  if (core_.has_expired(record.created, record.expires, cache_now())) {
    return std::nullopt;
  }
  if (core_.writes && core_.is_too_large(taken.payload.size() + record.file_bytes)) {
    locally([&] { core_.refuse(key, false); });
    return std::nullopt;
  }
  if (!record.has_file()) {
    parcel.finish([](Bytes) {});
  } else if (!core_.writes) {
    taken.payload.clear();
    parcel.finish([&](Bytes bytes) { taken.payload.insert(taken.payload.end(), bytes.begin(), bytes.end()); });
    stele::open(memory_source(taken.payload), {.threads = core_.options.threads}).verify();
  } else {
    taken.file = std::make_unique<CacheUnfinished>(core_);
    const std::unique_ptr<Sink> sink = locally([&] { return file_sink(taken.file->path()); });
    parcel.finish([&](Bytes bytes) { locally([&] { sink->write(bytes); }); });
    locally([&] { sink->close(); });
    // As a Source: by its path it could be a linked archive, and name files of this machine.
    stele::open(file_source(taken.file->path()), {.threads = core_.options.threads}).verify();
  }
  return taken;
}

// --- Writing ---------------------------------------------------------------------------------------------------------

std::shared_ptr<Rounds> CacheTier::rounds() {
  if (rounds_ == nullptr) {
    rounds_ = std::make_shared<Rounds>([this] { round(); });
  }
  return rounds_;
}

void CacheTier::give(const Digest& key) {
  bool is_dropped = false;
  try {
    const std::lock_guard lock(mutex_);
    if (closed_) {
      return;
    }
    if (queue_.size() >= most_queued) {
      queue_.erase(queue_.begin() + 1);
      is_dropped = true;
    }
    queue_.push_back({key, absent_.erase(key) == 0});
    rounds()->begin();
  } catch (const std::exception& error) {  // there is no thread: the next one may get one
    core_.count(&CacheCounters::remote_failed);
    core_.warn("results are not written to the remote for now: " + std::string(error.what()));
  }
  if (is_dropped) {
    core_.count(&CacheCounters::remote_failed);
  }
}

void CacheTier::round() {
  if (!writes_.may_ask()) {
    return;
  }
  std::optional<Digest> failed;  // the first one that did
  bool answers = false;          // the remote has taken another one meanwhile
  for (;;) {
    Job job;
    {
      const std::lock_guard lock(mutex_);
      if (queue_.empty()) {
        return;
      }
      job = queue_.front();
      if (job.key == failed) {  // all others were tried
        queue_.front().refusals += answers ? 1 : 0;
        if (queue_.front().refusals >= most_refusals) {
          queue_.pop_front();
          dropped_ = true;
        }
        return;
      }
    }
    const Clock::time_point began = Clock::now();
    std::string failure;
    try {
      const std::lock_guard lock(writing_);
      write(job);
    } catch (const std::exception& error) {
      failure = error.what();
    }
    {
      const std::lock_guard lock(mutex_);
      if (closed_) {
        return;
      }
      queue_.pop_front();
      if (!failure.empty()) {
        queue_.push_back(job);
      }
    }
    if (failure.empty()) {
      writes_.over();
      answers = true;
      continue;
    }
    core_.count(&CacheCounters::remote_failed);
    if (writes_.failed(began)) {
      core_.warn("the result " + job.key.text() + " is not written to the remote: " + failure);
    }
    // One more is tried: it may be the result's fault, and not the remote's.
    if (std::exchange(failed, job.key)) {
      return;
    }
  }
}

bool CacheTier::write(const Job& job) {
  const std::optional<CacheItem> item = core_.table->find(job.key);
  const std::optional<CacheSegments::Found> found = item ? core_.segments->read(item->place, job.key) : std::nullopt;
  if (!found || core_.has_expired(found->record.created, found->record.expires, cache_now())) {
    return false;
  }
  const CacheRecord& record = found->record;
  const Bytes payload = found->mapping->bytes().subspan(static_cast<std::size_t>(found->payload_at),
                                                        static_cast<std::size_t>(found->payload_size));
  std::unique_ptr<Source> file;
  if (record.has_file()) {
    try {
      file = file_source(core_.path + core_.result_name(job.key));
    } catch (const Error& error) {
      if (error.code() == Errc::not_found) {  // removed meanwhile
        return false;
      }
      throw;
    }
    if (file->size() != record.file_bytes) {  // replaced meanwhile: the new one is written next
      return false;
    }
  }
  const std::string name = parcel_name(job.key);
  if (parcel_bytes(record, payload) <= most_put) {
    std::vector<std::byte> content;
    write_parcel(record, payload, file.get(), *memory_sink(content));
    if (!put(name, content, job.replaces)) {
      return false;
    }
  } else {
    if (!job.replaces && storage_->find(name)) {
      return false;
    }
    const std::unique_ptr<Sink> sink = storage_->sink(name);
    write_parcel(record, payload, file.get(), *sink);
    sink->close();
  }
  core_.count(&CacheCounters::remote_stored);
  return true;
}

bool CacheTier::put(const std::string& name, Bytes content, bool replaces) {
  bool conditional = false;
  {
    const std::lock_guard lock(mutex_);
    conditional = conditional_;
  }
  if (!replaces && conditional) {
    try {
      return storage_->put(name, content, {PutCondition::Kind::absent}).has_value();
    } catch (const Error& error) {
      if (error.code() != Errc::unsupported) {
        throw;
      }
    }
    const std::lock_guard lock(mutex_);
    conditional_ = false;
  }
  if (!replaces && storage_->find(name)) {
    return false;
  }
  return storage_->put(name, content).has_value();
}

bool CacheTier::flush(Clock::time_point until) {
  std::shared_ptr<Rounds> all;
  {
    const std::lock_guard lock(mutex_);
    if (queue_.empty() || closed_) {
      return queue_.empty() && !std::exchange(dropped_, false);
    }
    writes_.forgive();
    all = rounds();
    all->begin();
  }
  const bool over = all->wait(until);
  const std::lock_guard lock(mutex_);
  return over && queue_.empty() && !std::exchange(dropped_, false);
}

std::uint64_t CacheTier::push(const std::function<bool(std::uint64_t, std::uint64_t)>& progress) {
  std::vector<Digest> keys;
  core_.table->for_each([&](const CacheItem& item) { keys.push_back(item.key); });
  std::uint64_t written = 0;
  for (std::size_t i = 0; i < keys.size() && (!progress || progress(i, keys.size())); ++i) {
    const std::unique_lock lock = Waiting::lock(writing_);
    written += write({keys[i], false}) ? 1 : 0;
  }
  if (progress) {
    progress(keys.size(), keys.size());
  }
  return written;
}

void CacheTier::remove(const Digest& key) {
  const std::unique_lock lock = Waiting::lock(writing_);
  storage_->remove(parcel_name(key));
}

void CacheTier::close() {
  std::size_t left = 0;
  std::shared_ptr<Rounds> ended;
  const auto end = [&] {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    left = queue_.size();
    queue_.clear();
    ended = std::move(rounds_);
  };
  try {
    const double wait = std::min(core_.options.remote_wait_s, 1e9);
    flush(Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(wait)));
  } catch (...) {
    end();
    throw;
  }
  end();
  if (left > 0) {
    core_.warn(std::to_string(left) + " results are not written to the remote: stele cache push does it");
  }
}

CacheTier::~CacheTier() {
  const Interruption none(nullptr, false);
  try {
    close();
  } catch (...) {  // a destructor does not throw
  }
}

}  // namespace stele

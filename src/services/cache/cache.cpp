#include "stele/cache.hpp"

#include <algorithm>

#include "archive/read/item.hpp"
#include "archive/write/item.hpp"
#include "io/mapped_file.hpp"
#include "services/cache/core.hpp"
#include "services/cache/remote/tier.hpp"
#include "services/cache/unfinished.hpp"
#include "stele/error.hpp"

namespace stele {

namespace {

/// An object that is walked by a function, as a value of its own.
struct Walked {
  Walkable object;
};

constexpr int most_attempts = 4;

CacheFlights::Clock::time_point deadline(double wait_s) {
  const auto wait = std::chrono::duration<double>(std::clamp(wait_s, 0.0, 1e9));
  return CacheFlights::Clock::now() + std::chrono::duration_cast<CacheFlights::Clock::duration>(wait);
}

std::string saved(const Metadata& metadata) {
  if (metadata.empty()) {
    return {};
  }
  std::vector<std::byte> bytes;
  const std::unique_ptr<Sink> sink = memory_sink(bytes);
  // The metadata of an archive of nothing: archives have a form for it.
  save(*sink, std::monostate(), SaveOptions{.metadata = metadata});
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

CacheEntry entry_of(const CacheCore& core, const CacheItem& item, const CacheRecord& record) {
  CacheEntry entry{.key = item.key,
                   .name = record.name,
                   .version = record.version,
                   .created = record.created,
                   .duration = record.duration,
                   .expires = record.expires,
                   .last_used = item.used,
                   .hits = item.hits,
                   .bytes = item.bytes,
                   .pinned = item.pinned,
                   .from_remote = record.from_remote,
                   .metadata = record.user_metadata()};
  if (record.has_file()) {
    entry.file = core.path + core.result_name(item.key);
  }
  return entry;
}

LoadOptions load_options(const CacheOptions& options, const CacheRecord& record) {
  return {.map = record.form == CacheRecord::Form::compressed_file ? MapMode::none : options.map,
          .verify = options.verify,
          .threads = options.threads,
          .types = options.types};
}

}  // namespace

template <>
struct Visit<Walked> {
  static void write(OutVisitor& out, const Walked& value) { value.object.walk(out, value.object.value); }
  static void read(InVisitor&, Walked&) { fail(Errc::unsupported, "it can only be written"); }
};

// --- Opening ---------------------------------------------------------------------------------------------------------

Cache::Cache(std::unique_ptr<CacheCore> core) : core_(std::move(core)) {}
Cache::~Cache() = default;
Cache::Cache(Cache&&) noexcept = default;
Cache& Cache::operator=(Cache&&) noexcept = default;

Cache Cache::open(const Path& folder, const CacheOptions& options) {
  return Cache(std::make_unique<CacheCore>(folder, options));
}

void Cache::leave() noexcept {
  if (core_->process.in_child()) {
    core_->lock_file = OwnedDescriptor();
  }
}

const std::string& Cache::folder() const noexcept { return core_->path; }
const CacheOptions& Cache::options() const noexcept { return core_->options; }

HashOptions Cache::hash_options() const { return {.types = core_->options.types}; }

void Cache::add_call(Hasher& hasher, const CacheCall& call, std::size_t arguments) {
  hasher.add(call.name);
  hasher.add(call.version.text());
  hasher.add(arguments);
}

void Cache::fail_missing(const Digest& key) { fail(Errc::not_found, "the cache has no result " + key.text()); }

// --- Reading ---------------------------------------------------------------------------------------------------------

std::unique_ptr<CacheFound::Part> CacheFound::open() const {
  class Opened final : public Part {
   public:
    explicit Opened(std::unique_ptr<ItemReader> reader) : reader_(std::move(reader)) {}
    InVisitor& visitor() override { return reader_->visitor(); }
    void finish() override { reader_->finish(); }

   private:
    std::unique_ptr<ItemReader> reader_;
  };
  if (mapping_ == nullptr) {
    fail(Errc::invalid_argument, "the result has a file of its own");
  }
  const Bytes payload =
      mapping_->bytes().subspan(static_cast<std::size_t>(payload_at_), static_cast<std::size_t>(payload_size_));
  LoadOptions options = file_options_;
  options.map = MapMode::none;
  // The record is checked. What is small is copied: nothing then keeps a segment that is no longer needed.
  return std::make_unique<Opened>(is_archive_ ? read_archive(payload, options, mapping_->name())
                                              : read_item(payload, options, mapping_->name()));
}

std::optional<CacheFound> Cache::find(const Digest& key, bool counts) {
  core_->process.require_same_process("the cache");
  const double now = cache_now();
  for (int attempt = 0; attempt < most_attempts; ++attempt) {
    const std::optional<CacheItem> item = core_->table->find(key);
    if (!item || core_->is_removed()) {
      break;
    }
    const std::optional<CacheSegments::Found> found = core_->segments->read(item->place, key);
    if (core_->has_expired(*item, now) ||
        (found && core_->has_expired(found->record.created, found->record.expires, now))) {
      if (core_->writes) {
        try {
          const CacheCore::Change change(*core_);
          core_->remove_at(key, item->place.word());
          ++core_->table->counters().expired;
        } catch (const Error& error) {  // it stays, and does not count
          core_->warn(error.what());
        }
      }
      break;
    }
    if (found) {
      CacheFound result;
      result.entry_ = entry_of(*core_, *item, found->record);
      result.place_ = item->place.word();
      result.file_options_ = load_options(core_->options, found->record);
      if (!found->record.has_file()) {
        result.is_archive_ = found->record.form == CacheRecord::Form::archive;
        result.mapping_ = found->mapping;
        result.payload_at_ = found->payload_at;
        result.payload_size_ = found->payload_size;
      }
      if (counts) {
        count(&result.entry_);
      }
      return result;
    }
    const std::optional<CacheItem> again = core_->table->find(key);
    if (again && again->place == item->place) {
      core_->reject(key, item->place.word(), Error(Errc::damaged, "the record of a result is damaged"));
      break;
    }
  }
  if (counts) {
    count(nullptr);
  }
  return std::nullopt;
}

std::optional<CacheFound> Cache::fetch(const Digest& key, bool pinned) {
  core_->process.require_same_process("the cache");
  if (core_->tier == nullptr || core_->is_removed()) {
    return std::nullopt;
  }
  const CacheFlights::Turn turn(*core_->fetches, key, deadline(core_->options.wait_s));
  if (std::optional<CacheFound> found = find(key, false)) {  // another one has fetched it meanwhile
    return found;
  }
  std::optional<CacheTier::Taken> taken = core_->tier->take(key);
  if (!taken) {
    return std::nullopt;
  }
  if (core_->writes) {
    try {
      core_->store(taken->record, taken->payload, taken->file.get(), pinned, false);
    } catch (const Error& error) {  // a full disk, say
      ++core_->failed;
      core_->warn("the result " + key.text() + " of the remote is not kept: " + error.what());
    }
    return find(key, false);
  }
  CacheFound result;
  CacheItem item{.key = key, .used = taken->record.created};
  item.bytes = taken->payload.size();
  result.entry_ = entry_of(*core_, item, taken->record);
  result.entry_.file.clear();
  result.file_options_ = load_options(core_->options, taken->record);
  result.is_archive_ = taken->record.form != CacheRecord::Form::item;
  result.payload_size_ = taken->payload.size();
  result.mapping_ = MappedFile::join(taken->payload, {}, MapMode::read_only, core_->tier->path_of(key));
  return result;
}

void Cache::count(const CacheEntry* used) {
  if (!core_->writes) {
    return;
  }
  if (used == nullptr) {
    core_->table->count(&CacheCounters::misses);
  } else {
    core_->table->count_hit(used->key, cache_now(), used->duration);
  }
}

void Cache::reject(const CacheFound& found, const Error& error) {
  if (found.place_ == 0) {  // of the remote, and not kept here
    core_->warn_useless(found.entry_.key, error);
    return;
  }
  core_->reject(found.entry_.key, found.place_, error);
}

// --- Flights ---------------------------------------------------------------------------------------------------------

CacheFlight Cache::flight(const Digest& key, std::optional<double> wait_s) {
  core_->process.require_same_process("the cache");
  const bool alone = core_->flights->begin(key, deadline(wait_s.value_or(core_->options.wait_s)));
  if (core_->tier != nullptr) {
    core_->tier->forget(key);
  }
  return {alone ? core_.get() : nullptr, key};
}

CacheFlight::~CacheFlight() {
  if (core_ != nullptr && !core_->process.in_child()) {
    core_->flights->end(key_);
  }
}

// --- Writing ---------------------------------------------------------------------------------------------------------

namespace {

CacheEntry store(CacheCore& core, const CacheCall& call, const Digest& key, double duration, const Walkable& object) {
  const CacheOptions& options = core.options;
  CacheRecord record{.key = key,
                     .created = cache_now(),
                     .duration = duration,
                     .name = std::string(call.name),
                     .version = call.version.text(),
                     .metadata = saved(call.metadata)};
  record.expires = call.expires_after_s > 0 ? record.created + call.expires_after_s : 0;

  const bool compresses = options.codec != "plain" && !options.codec.empty();
  SaveOptions save_options{.types = options.types};
  ItemWriter writer(save_options, static_cast<std::size_t>(options.small_bytes) + 4096);
  std::optional<CacheUnfinished> file;
  std::vector<std::byte> compressed;
  Bytes payload;
  try {
    writer.begin(object);
    object.walk(writer, object.value);
    payload = writer.item();
    if (writer.lists_arrays()) {
      payload = writer.archive();
      record.form = CacheRecord::Form::archive;
    }
  } catch (const ItemMemory::Full&) {
    record.form = CacheRecord::Form::file;
  }
  save_options.codec = options.codec;
  save_options.level = options.level;
  save_options.filter = options.filter;
  save_options.threads = options.threads;
  if (payload.size() > options.small_bytes) {
    record.form = CacheRecord::Form::file;
  } else if (compresses && payload.size() > 512 && record.form != CacheRecord::Form::file) {
    const std::unique_ptr<Sink> sink = memory_sink(compressed);
    save(*sink, Walked{object}, save_options);
    if (compressed.size() < payload.size()) {
      payload = compressed;
      record.form = CacheRecord::Form::archive;
    }
  }
  if (record.form == CacheRecord::Form::file) {
    core.require_files();
    payload = {};
    record.form = compresses ? CacheRecord::Form::compressed_file : CacheRecord::Form::file;
    save_options.codec = compresses ? options.codec : "plain";
    save_options.metadata = call.metadata;
    save_options.metadata.try_emplace("cache.name", record.name);
    save_options.metadata.try_emplace("cache.version", record.version);
    file.emplace(core);
    Writer out(Path(file->path()), save_options);
    out.write(Walked{object});
    out.close();
    record.file_bytes = file->bytes();
  }

  if (!core.is_too_large(payload.size() + record.file_bytes)) {
    const CacheItem item = core.store(record, payload, file ? &*file : nullptr, call.pinned, true);
    if (core.tier != nullptr) {
      core.tier->give(key);
    }
    return entry_of(core, item, record);
  }
  core.refuse(key, true);
  core.warn("the result " + key.text() + " of " + record.name +
            " is not stored: it has more than its share of the cache");  // calls others: without the lock
  CacheEntry entry = entry_of(core, {.key = key, .used = record.created, .pinned = call.pinned}, record);
  entry.file.clear();
  return entry;
}

}  // namespace

CacheEntry Cache::put_object(const CacheCall& call, const Digest& key, double duration_s, const Object& object) {
  try {
    return store(*core_, call, key, duration_s, {object.walk, object.value});
  } catch (const std::exception& error) {  // those of the type's own functions too
    ++core_->failed;
    if (core_->options.on_failure == CacheFailure::raise) {
      throw;
    }
    core_->warn("the result " + key.text() + " of " + std::string(call.name) + " is not stored: " + error.what());
  }
  return {.key = key, .name = std::string(call.name), .version = call.version.text(), .duration = duration_s};
}

// --- Care ------------------------------------------------------------------------------------------------------------

bool Cache::removed() const noexcept { return core_->is_removed(); }

bool Cache::erase(const Digest& key, bool also_remote) {
  std::optional<CacheItem> item;
  {
    const CacheCore::Change change(*core_);
    item = core_->table->find(key);
    if (item) {
      core_->remove(*item);
    }
  }
  if (also_remote && core_->tier != nullptr) {
    core_->tier->remove(key);
  }
  return item.has_value();
}

bool Cache::flush(double wait_s) {
  core_->process.require_same_process("the cache");
  return core_->tier == nullptr || core_->tier->flush(deadline(wait_s));
}

std::uint64_t Cache::push(const CacheProgress& progress) {
  core_->process.require_same_process("the cache");
  if (core_->tier == nullptr || !core_->writes) {
    fail(core_->tier == nullptr ? Errc::invalid_argument : Errc::read_only,
         core_->tier == nullptr ? "the cache has no remote" : "the cache is open for reading alone",
         {.file = core_->path});
  }
  return core_->tier->push(progress);
}

void Cache::close() {
  if (core_->tier != nullptr && !core_->process.in_child()) {
    core_->tier->close();
  }
}

std::uint64_t Cache::clear(std::string_view name, const std::optional<CacheVersion>& version) {
  return core_->clear([&](const CacheItem& item) {
    if (item.name_hash != cache_name_hash(name)) {
      return false;
    }
    const std::optional<CacheSegments::Found> found = core_->segments->read(item.place, item.key);
    return !found || (found->record.name == name && (!version || found->record.version == version->text()));
  });
}

std::uint64_t Cache::clear() {
  return core_->clear([](const CacheItem&) { return true; });
}

bool Cache::pin(const Digest& key, bool pinned) {
  const CacheCore::Change change(*core_);
  return core_->table->pin(key, pinned);
}

std::vector<CacheEntry> Cache::entries() const {
  std::vector<CacheEntry> all;
  core_->table->for_each([&](const CacheItem& item) {
    if (const std::optional<CacheSegments::Found> found = core_->segments->read(item.place, item.key)) {
      all.push_back(entry_of(*core_, item, found->record));
    }
  });
  return all;
}

CacheStats Cache::stats() const {
  CacheStats stats = core_->table->stats();
  stats.failed = core_->failed;
  return stats;
}

std::uint64_t Cache::prune(const CachePrune& limits, const CacheProgress& progress) {
  return core_->prune(limits, progress);
}

CacheReport Cache::verify(const CacheProgress& progress) const {
  CacheReport report;
  std::vector<CacheItem> items;
  core_->table->for_each([&](const CacheItem& item) { items.push_back(item); });
  for (const CacheItem& item : items) {
    try {
      const std::optional<CacheSegments::Found> found = core_->segments->read(item.place, item.key);
      if (!found) {
        const std::optional<CacheItem> now = core_->table->find(item.key);
        if (now && now->place == item.place) {
          fail(Errc::damaged, "the record of the result is damaged");
        }
        continue;  // it has been removed or replaced meanwhile
      }
      if (found->record.has_file()) {
        stele::open(Path(core_->path + core_->result_name(item.key)), {.threads = core_->options.threads}).verify();
      }
      ++report.items;
      report.bytes += item.bytes;
    } catch (const Error& error) {
      if (core_->table->find(item.key)) {
        report.problems.push_back(item.key.text() + ": " + error.what());
      }
    }
    if (progress && !progress(report.items + report.problems.size(), items.size())) {
      break;
    }
  }
  return report;
}

}  // namespace stele

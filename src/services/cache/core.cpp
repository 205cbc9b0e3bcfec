#include "services/cache/core.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <random>
#include <thread>
#include <unordered_map>

#include "base/bytes.hpp"
#include "base/checksum.hpp"
#include "io/storage/urls.hpp"
#include "io/system.hpp"
#include "services/cache/frozen.hpp"
#include "services/cache/lock.hpp"
#include "services/cache/unfinished.hpp"
#include "stele/codec.hpp"
#include "stele/error.hpp"

namespace stele {

namespace {

constexpr std::uint64_t most_segment_bytes = std::uint64_t{64} << 20;
constexpr std::uint64_t least_segment_bytes = std::uint64_t{1} << 20;
constexpr std::size_t expired_looked_for = 8;  // items that each change looks at
constexpr std::size_t most_victims = 65'536;
constexpr std::size_t most_removed = 10'000;  // in one change
constexpr std::size_t most_segments = 64;
constexpr std::uint64_t most_reclaimed = std::uint64_t{256} << 20;  // bytes copied in one change
constexpr auto longest_change = std::chrono::seconds(30);
const std::string results = "results";
const std::string unfinished_results = "unfinished";

void make_folder(const std::string& path) {
  if (system_calls().mkdir(path.c_str(), 0777) != 0 && errno != EEXIST) {
    fail_call("create", path, errno);
  }
}

std::string hex(const Digest& key) {
  const std::string text = key.text();
  return text.substr(text.find(':') + 1);
}

/// Tells machines apart that share a folder.
std::string machine() {
  std::array<std::byte, 256> text{};
  const OwnedDescriptor file = open_descriptor("/etc/machine-id", O_RDONLY);
  ssize_t size = file.is_open() ? system_calls().read(file.get(), text.data(), text.size()) : 0;
  if (size <= 0 && ::gethostname(reinterpret_cast<char*>(text.data()), text.size()) == 0) {
    size = static_cast<ssize_t>(text.size());
  }
  Digest digest;
  store_be(digest.bytes.data(), xxh3_64(std::span(text).first(static_cast<std::size_t>(std::max<ssize_t>(size, 0)))));
  return "machine-" + hex(digest).substr(0, 16);
}

}  // namespace

double cache_now() noexcept {
  struct timespec now;
  ::clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

std::uint32_t cache_name_hash(std::string_view name) noexcept {
  return static_cast<std::uint32_t>(xxh3_64(std::as_bytes(std::span(name))));
}

// --- Opening ---------------------------------------------------------------------------------------------------------

CacheCore::CacheCore(const Path& where, const CacheOptions& chosen) : options(chosen) {
  if (options.map == MapMode::read_write) {
    fail(Errc::invalid_argument, "cached results cannot be mapped for writing: they would change what is cached");
  }
  if (options.small_bytes > std::uint64_t{1} << 20 || !(options.item_share > 0) || !(options.wait_s >= 0) ||
      !(options.remote_wait_s >= 0) || !(options.age_limit_s >= 0)) {
    fail(Errc::invalid_argument,
         "an option of the cache is out of its range: small_bytes at most 1 MiB, item_share "
         "above 0, wait_s, remote_wait_s and age_limit_s at least 0");
  }
  if (!options.codec.empty() && options.codec != "plain") {
    const Codecs codecs;
    codecs.get(options.codec);
  }
  path = std::filesystem::absolute(
             require_local(where.text(), "a cache is a local folder; `remote` names where results are shared"))
             .lexically_normal()
             .native();
  path += path.ends_with('/') ? "" : "/";
  writes = !options.read_only;
  const auto open_folder = [&](const std::string& name) {
    if (writes && system_calls().mkdir(name.c_str(), 0777) != 0 && errno != EEXIST && errno != EROFS &&
        errno != EACCES && errno != EPERM) {
      fail_call("create", name, errno);
    }
    Folder opened = Folder::open(name);
    if (!opened.is_open()) {
      if (errno == ENOENT) {
        fail(Errc::not_found, "there is no cache", {.file = name});
      }
      fail_call("open", name, errno);
    }
    return opened;
  };
  folder = open_folder(path);
  if (is_shared_between_machines(folder.fd())) {
    path += machine() + "/";
    folder = open_folder(path);
  }
  if (writes) {
    lock_file = folder.open_file("lock", O_RDWR | O_CREAT, 0666);
    if (!lock_file.is_open() && (errno == EACCES || errno == EPERM || errno == EROFS)) {
      writes = false;
    } else if (!lock_file.is_open()) {
      fail_call("open", path + "lock", errno);
    }
  }
  if (writes) {
    make_folder(path + results);
    make_folder(path + unfinished_results);
    make_folder(path + "segments");
    std::random_device random;
    do {
      token = random();
    } while (lock_byte(lock_file.get(), CacheBytes::first_process + token) == CacheBytes::Locked::no);
  }
  segments_folder = folder.open_folder("segments");
  if (!segments_folder.is_open()) {
    fail(errno == ENOENT ? Errc::not_found : Errc::io, "there is no cache", {.file = path});
  }
  segment_size_ = options.bytes_limit == 0
                      ? most_segment_bytes
                      : std::clamp(options.bytes_limit / 16, least_segment_bytes, most_segment_bytes);
  segments = std::make_unique<CacheSegments>(segments_folder, segment_size_);
  if (!options.remote.empty()) {
    tier = make_process_owned<CacheTier>(*this, open_storage(options.remote));
  }
  flights = make_process_owned<CacheFlights>(writes ? lock_file.get() : -1, CacheBytes::first_flight);
  fetches = make_process_owned<CacheFlights>(writes ? lock_file.get() : -1, CacheBytes::first_fetch);
  if (!writes) {
    table = std::make_unique<CacheTable>(folder, false);
    return;
  }
  const Change change(*this);
  // What killed processes left of results that they had not finished.
  for (const std::string& name : folder.open_folder(unfinished_results).names()) {
    if (is_left(name)) {
      folder.unlink(unfinished_results + "/" + name);
    }
  }
}

void CacheCore::open_table() {
  // These files precede the index: if the process is killed in between, the next one writes them again.
  struct stat status;
  if (folder.status("index", status) != 0) {
    const auto leave = [&](const std::string& name, std::string_view text) {
      try {
        const bool is_there = folder.status(name, status) == 0 && status.st_size > 0;  // the user's own, perhaps
        const OwnedDescriptor file =
            is_there ? OwnedDescriptor() : folder.open_file(name, O_WRONLY | O_CREAT | O_NOFOLLOW, 0666);
        if (file.is_open()) {
          write_all_at(file.get(), 0, std::as_bytes(std::span(text)), path + name);
        }
      } catch (const Error&) {  // it is for other programs; the cache does without
      }
    };
    leave("CACHEDIR.TAG",
          "Signature: 8a477f597d28d172789f06886806bc55\n"
          "# A cache of stele. Backups may leave it out: https://bford.info/cachedir/\n");
    leave(".gitignore", "*\n");
  }
  table = std::make_unique<CacheTable>(folder, true);
  if (table->created()) {
    rebuild();
    table->end_change();
  }
}

/// The names begin with the token of the object that writes them.
bool CacheCore::is_left(const std::string& name) const {
  const std::size_t from = name.starts_with('.') ? 1 : 0;
  const std::string_view digits = std::string_view(name).substr(from, name.find('-') - from);
  std::uint64_t of = 0;
  for (const char c : digits) {
    if (c < '0' || c > '9') {
      return false;
    }
    of = of * 10 + static_cast<std::uint64_t>(c - '0');
  }
  return of <= 0xffffffff && of != token && !is_locked(lock_file.get(), CacheBytes::first_process + of);
}

// --- Changes ---------------------------------------------------------------------------------------------------------

CacheCore::Change::Change(CacheCore& core) : core_(core) {
  core.process.require_same_process("the cache");
  if (!core.writes) {
    fail(Errc::read_only, "the cache is open for reading alone", {.file = core.path});
  }
  lock_ = std::unique_lock(core.change_mutex_);
  const auto until = std::chrono::steady_clock::now() + longest_change;
  for (unsigned attempt = 0;; ++attempt) {
    const CacheBytes::Locked locked = lock_byte(core.lock_file.get(), CacheBytes::change);
    if (locked == CacheBytes::Locked::yes) {
      break;
    }
    if (locked == CacheBytes::Locked::unsupported) {
      fail(Errc::unsupported, "the file system of the cache has no locks (F_OFD_SETLK)", {.file = core.path});
    }
    if (std::chrono::steady_clock::now() >= until) {
      fail(Errc::busy, "another process has held the lock of the cache for 30 seconds", {.file = core.path});
    }
    if (attempt < 20) {
      std::this_thread::yield();
    } else {
      std::this_thread::sleep_for(std::chrono::microseconds(std::min(50u * (attempt - 19), 2000u)));
    }
  }
  try {
    core.require_files();
    if (core.table == nullptr) {
      core.open_table();
    }
    core.table->refresh();
    const bool left_by_another = core.table->needs_repair();
    if (left_by_another) {
      core.table->follow_name();
    }
    core.table->begin_change();
    if (left_by_another) {
      core.repair();
    }
  } catch (...) {
    unlock_byte(core.lock_file.get(), CacheBytes::change);
    throw;
  }
}

CacheCore::Change::~Change() {
  core_.table->end_change();
  unlock_byte(core_.lock_file.get(), CacheBytes::change);
}

bool CacheCore::is_removed() const noexcept {
  struct stat status;
  return writes && system_calls().fstat(lock_file.get(), &status) == 0 && status.st_nlink == 0;
}

void CacheCore::require_files() const {
  if (is_removed()) {
    fail(Errc::not_found, "the files of the cache were removed while it was open", {.file = path});
  }
}

CacheItem CacheCore::store(const CacheRecord& record, Bytes payload, CacheUnfinished* file, bool pinned,
                           bool computed) {
  CacheItem item{.key = record.key,
                 .name_hash = cache_name_hash(record.name),
                 .created = record.created,
                 .expires = record.expires,
                 .pinned = pinned,
                 .in_file = file != nullptr};
  const Change change(*this);
  table->make_room();
  item.used = table->next_use(cache_now());
  item.place = segments->append(record, payload, *table);
  item.bytes = item.place.length + record.file_bytes;
  if (file != nullptr) {
    file->rename_to(record.key);
  }
  put(item);
  table->counters().stored += computed ? 1 : 0;
  enforce(bytes_limit(), items_limit(), &record.key);
  return item;
}

void CacheCore::refuse(const Digest& key, bool replaces) {
  const Change change(*this);
  const std::optional<CacheItem> old = replaces ? table->find(key) : std::nullopt;
  if (old) {
    remove(*old);
  }
  ++table->counters().refused;
}

void CacheCore::put(const CacheItem& item) {
  const std::optional<CacheItem> old = table->put(item);
  if (old && old->in_file && !item.in_file) {
    folder.unlink(result_name(item.key));
  }
  dead_bytes_ += old ? old->place.length : 0;
}

void CacheCore::remove(const CacheItem& item) {
  // The file first: a result without a file is a miss, a file without a result would be left.
  if (item.in_file) {
    folder.unlink(result_name(item.key));
  }
  if (const std::optional<CacheItem> old = table->erase(item.key)) {
    dead_bytes_ += old->place.length;
  }
}

bool CacheCore::remove_at(const Digest& key, std::uint64_t place) {
  const std::optional<CacheItem> item = table->find(key);
  if (!item || item->place.word() != place) {
    return false;
  }
  remove(*item);
  return true;
}

bool CacheCore::enforce(std::uint64_t bytes, std::uint64_t items, const Digest* added) {
  std::vector<CacheItem> expired;
  const double now = cache_now();
  table->next_items(expired_looked_for, [&](const CacheItem& item) {
    if (has_expired(item, now)) {
      expired.push_back(item);
    }
  });
  for (const CacheItem& item : expired) {
    remove(item);
    ++table->counters().expired;
  }
  std::size_t removed = 0;
  for (; removed < most_removed && (table->bytes() > bytes || table->items() > items); ++removed) {
    const std::uint64_t all = table->items();
    const std::optional<CacheItem> victim = next_victim(added, all > items ? all - items : 0);
    if (!victim) {  // all are pinned, or the totals of a damaged index are wrong
      table->repair([](const CacheItem&) { return true; }, table->stats().segment_bytes);
      break;
    }
    remove(*victim);
    ++table->counters().evicted;
  }
  if (dead_bytes_ >= segment_size_ / 2) {
    reclaim(false);
  }
  return removed == most_removed;
}

std::optional<CacheItem> CacheCore::next_victim(const Digest* added, std::uint64_t wanted) {
  const auto earlier = [](const Victim& a, const Victim& b) { return a.used < b.used; };
  for (int pass = 0; pass < 2; ++pass) {
    while (!victims_.empty()) {
      const Victim victim = victims_.back();
      victims_.pop_back();
      const std::optional<CacheItem> now = table->find(victim.key);
      if (now && now->used == victim.used && !now->pinned && (added == nullptr || victim.key != *added)) {
        return now;
      }
    }
    if (pass == 0) {
      // One pass over the table for many victims: of twenty items the one that was used least recently.
      const std::size_t count = std::clamp<std::size_t>(std::max(table->items() / 20, wanted), 64, most_victims);
      table->for_each([&](const CacheItem& item) {
        if (item.pinned || (added != nullptr && item.key == *added)) {
          return;
        }
        const Victim victim{item.used, item.key};
        if (victims_.size() == count) {  // a heap, the one used last at its top
          if (!earlier(victim, victims_.front())) {
            return;
          }
          std::pop_heap(victims_.begin(), victims_.end(), earlier);
          victims_.pop_back();
        }
        victims_.push_back(victim);
        std::push_heap(victims_.begin(), victims_.end(), earlier);
      });
      std::sort_heap(victims_.begin(), victims_.end(), earlier);
      std::reverse(victims_.begin(), victims_.end());  // taken from the end
    }
  }
  return std::nullopt;
}

// --- Files -----------------------------------------------------------------------------------------------------------

std::string CacheCore::result_name(const Digest& key) const {
  const std::string name = hex(key);
  return results + "/" + name.substr(0, 2) + "/" + name + ".stele";
}

bool CacheCore::reclaim(bool all) {
  dead_bytes_ = 0;
  std::unordered_map<std::uint32_t, std::uint64_t> live;
  table->for_each([&](const CacheItem& item) { live[item.place.segment] += item.place.length; });
  struct Chosen {
    std::uint32_t number;
    std::uint64_t counted;
    OwnedDescriptor reserved;
  };
  // All are reserved before the first is copied: none of them is where the copies go.
  std::vector<Chosen> chosen;
  std::uint64_t copied = 0;
  if (all) {
    segments->end_segment();
  }
  for (const auto& [number, size] : segments->list()) {
    const auto found = live.find(number);
    const std::uint64_t counted = found == live.end() ? 0 : found->second;
    if (counted * 2 >= size) {
      continue;
    }
    OwnedDescriptor reserved = segments->reserve(number);
    if (!reserved.is_open()) {
      continue;  // somebody appends to it
    }
    chosen.push_back({number, counted, std::move(reserved)});
    copied += counted;
    if (copied > (all ? most_reclaimed : 0) || chosen.size() == most_segments) {
      break;
    }
  }
  for (const Chosen& segment : chosen) {
    if (segment.counted > 0) {
      segments->for_each(segment.number, [&](const CacheSegments::Found& record) {
        const std::optional<CacheItem> item = table->find(record.record.key);
        if (item && item->place.word() == record.place.word()) {
          table->move(record.record.key, record.place, segments->append(record, *table));
        }
      });
    }
    segments->remove(segment.number, *table);
  }
  return copied > most_reclaimed || chosen.size() == most_segments;
}

void CacheCore::sweep() {
  for (const std::string& part : folder.open_folder(results).names()) {
    sweep(part);
  }
}

void CacheCore::sweep(const std::string& part) {
  const Folder inside = folder.open_folder(results + "/" + part);
  if (!inside.is_open()) {
    return;
  }
  for (const std::string& name : inside.names()) {
    std::optional<CacheItem> item;
    try {
      item = table->find(Digest::parse("xxh3-128:" + name.substr(0, name.find('.'))));
    } catch (const Error&) {
      continue;  // no file of ours
    }
    if (!item || !item->in_file) {
      inside.unlink(name);
    }
  }
}

void CacheCore::repair() {
  std::uint64_t bytes = 0;
  for (const auto& [number, size] : segments->list()) {
    bytes += size;
  }
  table->repair(
      [&](const CacheItem& item) {
        struct stat status;
        return segments->read(item.place, item.key).has_value() &&
               (!item.in_file || folder.status(result_name(item.key), status) == 0);
      },
      bytes);
  sweep();
}

void CacheCore::rebuild() {
  std::uint64_t bytes = 0;
  for (const auto& [number, size] : segments->list()) {
    bytes += size;
    while (table->next_segment() < number) {
    }
    segments->for_each(number, [&](const CacheSegments::Found& found) {
      const CacheRecord& record = found.record;
      const std::optional<CacheItem> there = table->find(record.key);
      struct stat status;
      if ((there && there->created > record.created) ||
          (record.has_file() && folder.status(result_name(record.key), status) != 0)) {
        return;
      }
      table->put({.key = record.key,
                  .place = found.place,
                  .name_hash = cache_name_hash(record.name),
                  .bytes = found.place.length + record.file_bytes,
                  .created = record.created,
                  .expires = record.expires,
                  .used = record.created,
                  .in_file = record.has_file()});
    });
  }
  table->add_segment_bytes(static_cast<std::int64_t>(bytes));
  sweep();
}

// --- Care ------------------------------------------------------------------------------------------------------------

std::uint64_t CacheCore::erase(const std::function<bool(const CacheItem&)>& condition) {
  std::vector<Digest> keys;
  table->for_each([&](const CacheItem& item) {
    if (condition(item)) {
      keys.push_back(item.key);
    }
  });
  std::uint64_t erased = 0;
  for (std::size_t begin = 0; begin < keys.size(); begin += most_removed) {
    const Change change(*this);
    for (const Digest& key : std::span(keys).subspan(begin, std::min(most_removed, keys.size() - begin))) {
      const std::optional<CacheItem> item = table->find(key);
      if (item && condition(*item)) {
        remove(*item);
        ++erased;
      }
    }
  }
  return erased;
}

std::uint64_t CacheCore::clear(const std::function<bool(const CacheItem&)>& condition) {
  {
    const Change change(*this);
  }  // repairs, and fails where nothing may be changed
  const std::uint64_t erased = erase(condition);
  reclaim_all();
  return erased;
}

std::uint64_t CacheCore::prune(const CachePrune& limits, const CacheProgress& progress) {
  {
    const Change change(*this);
  }
  const std::uint64_t total = table->stats().items;
  const double now = cache_now();
  std::uint64_t removed = erase([&](const CacheItem& item) {
    return has_expired(item, now) || (limits.age_s && !item.pinned && now - item.created > *limits.age_s);
  });
  {
    const Change change(*this);
    table->counters().expired += removed;
  }
  for (bool more = true; more;) {
    if (progress && !progress(removed, total)) {
      return removed;
    }
    const Change change(*this);
    const std::uint64_t items = table->items();
    more = enforce(limits.bytes.value_or(bytes_limit()), limits.items.value_or(items_limit()), nullptr);
    removed += items - table->items();
  }
  reclaim_all();
  for (const std::string& part : folder.open_folder(results).names()) {
    const Change change(*this);
    sweep(part);
  }
  if (progress) {
    progress(removed, total);
  }
  return removed;
}

void CacheCore::reclaim_all() {
  for (bool more = true; more;) {
    const Change change(*this);
    more = reclaim(true);
  }
}

void CacheCore::reject(const Digest& key, std::uint64_t place, const Error& error) {
  bool is_there = false;
  try {
    if (writes) {
      const Change change(*this);
      is_there = remove_at(key, place);
      table->counters().damaged += is_there ? 1 : 0;
    } else {
      const std::optional<CacheItem> item = table->find(key);
      is_there = item && item->place.word() == place;
    }
  } catch (const Error& failure) {  // it stays there, and is rejected again
    is_there = true;
    warn(failure.what());
  }
  if (is_there) {
    warn_useless(key, error);
  }
}

void CacheCore::warn_useless(const Digest& key, const Error& error) const {
  warn("the cached result " + key.text() + " cannot be used: " + error.what());
}

void CacheCore::warn(const std::string& message) const {
  if (options.warn && options.on_failure != CacheFailure::ignore) {
    options.warn(message);
  }
}

}  // namespace stele

#include "services/cache/table.hpp"

#include <fcntl.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <utility>

#include "base/bytes.hpp"
#include "base/checksum.hpp"
#include "io/system.hpp"
#include "services/cache/frozen.hpp"
#include "stele/error.hpp"

namespace stele {

using namespace cache_frozen;

namespace {

static_assert(std::endian::native == std::endian::little, "the index is mapped as it is stored");
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

constexpr std::uint64_t state_used = 1;
constexpr std::uint64_t state_erased = 2;
constexpr std::uint64_t state_pinned = 4;
constexpr std::uint64_t state_in_file = 8;
constexpr unsigned hits_bits = 20;
constexpr std::uint64_t most_hits = (std::uint64_t{1} << hits_bits) - 1;

const std::string index_name = "index";

/// Differs after each start of the machine. What was not written out by then is lost, without an order.
std::uint64_t boot() {
  static const std::uint64_t id = [] {
    std::array<std::byte, 64> text{};
    const OwnedDescriptor file = open_descriptor("/proc/sys/kernel/random/boot_id", O_RDONLY);
    const ssize_t size = file.is_open() ? system_calls().read(file.get(), text.data(), text.size()) : 0;
    return xxh3_64(std::span(text).first(static_cast<std::size_t>(std::max<ssize_t>(size, 0))));
  }();
  return id;
}

std::pair<std::uint64_t, std::uint64_t> words(const Digest& key) noexcept {
  return {load_le<std::uint64_t>(key.bytes.data()), load_le<std::uint64_t>(key.bytes.data() + 8)};
}

std::uint32_t seconds(double time) noexcept {
  return static_cast<std::uint32_t>(std::clamp(time - epoch, 1.0, 4294967295.0));
}

std::uint64_t milliseconds(double time) noexcept {
  return static_cast<std::uint64_t>(std::clamp((time - epoch) * 1000, 0.0, 17592186044415.0));
}

std::uint64_t use(double time, std::uint64_t hits) noexcept {
  return milliseconds(time) << hits_bits | std::min(hits, most_hits);
}

void copy(const CacheCounters& from, CacheCounters& to) noexcept {
  const auto* const counted = reinterpret_cast<const std::atomic<std::uint64_t>*>(&from);
  auto* const counts = reinterpret_cast<std::atomic<std::uint64_t>*>(&to);
  for (std::size_t i = 0; i < sizeof(CacheCounters) / sizeof *counts; ++i) {
    counts[i] = counted[i].load();
  }
}

}  // namespace

struct CacheTable::Head {
  std::array<char, 8> magic;
  std::uint32_t version;
  std::uint32_t bits;
  std::array<char, 16> algorithm;
  std::atomic<std::uint64_t> boot;
  std::atomic<std::uint64_t> dirty;
  std::atomic<std::uint64_t> superseded;
  std::atomic<std::uint64_t> used;
  std::atomic<std::uint64_t> erased;
  std::atomic<std::uint64_t> bytes;
  std::atomic<std::uint64_t> segment_bytes;
  std::atomic<std::uint64_t> last_segment;
  std::atomic<std::uint64_t> hand;
  std::atomic<std::uint64_t> latest_use;
  alignas(64) CacheCounters counters;
};

struct CacheTable::Slot {
  std::atomic<std::uint64_t> state;  // 0: never used; else flags, and in its upper half the hash of the name
  std::atomic<std::uint64_t> low, high;
  std::atomic<std::uint64_t> place;  // segment and offset in one word, so that no reader sees half of a move
  std::atomic<std::uint64_t> length;
  std::atomic<std::uint64_t> bytes;
  std::atomic<std::uint64_t> use;    // milliseconds since `epoch`, and in the lower bits the hits
  std::atomic<std::uint64_t> times;  // seconds since `epoch`: expires, and in the lower half created
};

struct CacheTable::Map {
  Map(int file, const std::string& name, std::size_t size, bool writes) : size_(size) {
    if (system_calls().fstat(file, &status) != 0) {
      fail_call("examine", name, errno);
    }
    void* const at = system_calls().mmap(nullptr, size, PROT_READ | (writes ? PROT_WRITE : 0), MAP_SHARED, file, 0);
    if (at == MAP_FAILED) {
      fail_call("map", name, errno);
    }
    address_ = static_cast<std::byte*>(at);
    system_calls().madvise(address_, size, MADV_RANDOM);
    slots = {reinterpret_cast<Slot*>(address_ + index_head), (size - index_head) / sizeof(Slot)};
  }
  ~Map() { system_calls().munmap(address_, size_); }
  Map(const Map&) = delete;
  Map& operator=(const Map&) = delete;
  Head& head() const noexcept { return *reinterpret_cast<Head*>(address_); }

  std::span<Slot> slots;
  struct stat status;

 private:
  std::byte* address_;
  std::size_t size_;
};

/// The table as it is now; it stays mapped meanwhile.
class CacheTable::Look {
 public:
  explicit Look(const CacheTable& table) : table_(table) {
    for (;;) {
      table.looks_.fetch_add(1);
      map_ = table.map_.load();
      if (map_->head().superseded.load(std::memory_order_acquire) == 0) {
        return;
      }
      table.looks_.fetch_sub(1);
      table.refresh();
    }
  }
  ~Look() { table_.looks_.fetch_sub(1); }
  Look(const Look&) = delete;
  Look& operator=(const Look&) = delete;
  const Map& operator*() const noexcept { return *map_; }
  const Map* operator->() const noexcept { return map_; }

 private:
  const CacheTable& table_;
  const Map* map_;
};

// --- Opening ---------------------------------------------------------------------------------------------------------

CacheTable::CacheTable(const Folder& folder, bool writes) : folder_(folder), writes_(writes) {
  static_assert(sizeof(Slot) == 64);
  static_assert(sizeof(Head) <= index_head);
  bool damaged = false;
  std::unique_ptr<Map> map = open(damaged);
  if (map == nullptr && !writes) {
    const std::string path = folder.path() + index_name;
    fail(damaged ? Errc::damaged : Errc::not_found, damaged ? "the index of the cache is damaged" : "there is no cache",
         {.file = path});
  }
  if (map == nullptr) {
    map = create(least_bits, nullptr);
    created_ = true;
  }
  take(std::move(map));
}

CacheTable::~CacheTable() = default;

/// Null where there is none, or one that is damaged.
std::unique_ptr<CacheTable::Map> CacheTable::open(bool& damaged) const {
  const std::string path = folder_.path() + index_name;
  const OwnedDescriptor file = folder_.open_file(index_name, (writes_ ? O_RDWR : O_RDONLY) | O_NOFOLLOW);
  if (!file.is_open()) {
    if (errno == ENOENT) {
      return nullptr;
    }
    fail_call("open", path, errno);
  }
  struct stat status;
  if (system_calls().fstat(file.get(), &status) != 0) {
    fail_call("examine", path, errno);
  }
  damaged = true;
  const auto size = static_cast<std::uint64_t>(status.st_size);
  if (!S_ISREG(status.st_mode) || size < index_head) {
    return nullptr;
  }
  auto map = std::make_unique<Map>(file.get(), path, static_cast<std::size_t>(size), writes_);
  const Head& head = map->head();
  if (std::string_view(head.magic.data(), head.magic.size()) != index_magic) {
    return nullptr;
  }
  if (head.version != version ||
      std::string_view(head.algorithm.data(), head.algorithm.size()).substr(0, algorithm.size()) != algorithm) {
    fail(Errc::unsupported, message({"the cache has version ", head.version, ", this build reads version ", version}),
         {.file = path});
  }
  if (head.superseded != 0 || head.bits < least_bits || head.bits > most_bits ||
      size != index_head + (std::uint64_t{sizeof(Slot)} << head.bits)) {
    return nullptr;
  }
  damaged = false;
  return map;
}

/// Writes a new index, with the items of `from`, and gives it the name.
std::unique_ptr<CacheTable::Map> CacheTable::create(unsigned bits, const Map* from) const {
  const std::string name = index_name + ".new";
  const std::string path = folder_.path() + name;
  const std::size_t size = index_head + (sizeof(Slot) << bits);
  folder_.unlink(name);  // what a killed process left; the caller has the lock
  const OwnedDescriptor file = folder_.open_file(name, O_RDWR | O_CREAT | O_EXCL, 0666);
  if (!file.is_open()) {
    fail_call("create", path, errno);
  }
  try {
    // A store to a mapped page that the disk has no room for would end the process.
    if (system_calls().fallocate(file.get(), 0, 0, static_cast<off_t>(size)) != 0) {
      if (errno != EOPNOTSUPP && errno != ENOSYS && errno != EINVAL) {
        fail_call("create", path, errno);
      }
      const std::vector<std::byte> zeros(std::size_t{1} << 20);
      for (std::size_t at = 0; at < size; at += zeros.size()) {
        write_all_at(file.get(), at, std::span(zeros).first(std::min(zeros.size(), size - at)), path);
      }
    }
    auto map = std::make_unique<Map>(file.get(), path, size, true);
    Head& head = map->head();
    std::copy(index_magic.begin(), index_magic.end(), head.magic.begin());
    std::copy(algorithm.begin(), algorithm.end(), head.algorithm.begin());
    head.version = version;
    head.bits = bits;
    head.boot = boot();
    head.dirty = 1;  // one that is killed before it has filled the table leaves files to be swept
    if (from != nullptr) {
      const Head& old = from->head();
      head.boot = old.boot.load();
      head.dirty = old.dirty.load();
      head.bytes = old.bytes.load();
      head.segment_bytes = old.segment_bytes.load();
      head.last_segment = old.last_segment.load();
      head.latest_use = old.latest_use.load();
      copy(old.counters, head.counters);
      std::uint64_t used = 0;
      for (const Slot& slot : from->slots) {
        if (const std::optional<CacheItem> item = item_of(slot)) {
          fill(*free_slot(*map, item->key), *item);
          ++used;
        }
      }
      head.used = used;
    }
    if (folder_.rename(name, index_name) != 0) {
      fail_call("create", folder_.path() + index_name, errno);
    }
    return map;
  } catch (...) {
    folder_.unlink(name);
    throw;
  }
}

void CacheTable::take(std::unique_ptr<Map> next) const {
  maps_.push_back(std::move(next));
  map_.store(maps_.back().get());
  if (looks_.load() == 0) {  // who looks from here on sees the new one
    maps_.erase(maps_.begin(), maps_.end() - 1);
  }
}

CacheTable::Map& CacheTable::map() const { return *map_.load(std::memory_order_acquire); }

void CacheTable::follow_name() const {
  struct stat status;
  const struct stat& mine = map().status;
  if (folder_.status(index_name, status) == 0 && (status.st_ino != mine.st_ino || status.st_dev != mine.st_dev)) {
    map().head().superseded.store(1, std::memory_order_release);
    refresh();
  }
}

void CacheTable::refresh() const {
  const std::scoped_lock lock(taking_);
  while (map().head().superseded.load(std::memory_order_acquire) != 0) {
    bool damaged = false;
    std::unique_ptr<Map> next = open(damaged);
    if (next == nullptr) {
      fail(Errc::damaged, "the index of the cache was damaged or removed while it was open",
           {.file = folder_.path() + index_name});
    }
    take(std::move(next));
  }
}

// --- Slots -----------------------------------------------------------------------------------------------------------

CacheTable::Slot* CacheTable::slot_of(const Map& map, const Digest& key) noexcept {
  const auto [low, high] = words(key);
  const std::size_t mask = map.slots.size() - 1;
  for (std::size_t i = 0; i <= mask; ++i) {
    Slot& slot = map.slots[(low + i) & mask];
    const std::uint64_t state = slot.state.load(std::memory_order_acquire);
    if (state == 0) {
      return nullptr;
    }
    if ((state & state_used) != 0 && slot.low.load(std::memory_order_relaxed) == low &&
        slot.high.load(std::memory_order_relaxed) == high) {
      return &slot;
    }
  }
  return nullptr;
}

/// For a key that is not there. Null where all slots are taken, whatever the head of a damaged table says.
CacheTable::Slot* CacheTable::free_slot(const Map& map, const Digest& key) noexcept {
  const std::size_t mask = map.slots.size() - 1;
  const std::size_t first = words(key).first & mask;
  for (std::size_t i = 0; i <= mask; ++i) {
    Slot& slot = map.slots[(first + i) & mask];
    if ((slot.state.load(std::memory_order_relaxed) & state_used) == 0) {
      return &slot;
    }
  }
  return nullptr;
}

std::optional<CacheItem> CacheTable::item_of(const Slot& slot) noexcept {
  const std::uint64_t state = slot.state.load(std::memory_order_acquire);
  if ((state & state_used) == 0) {
    return std::nullopt;
  }
  CacheItem item;
  store_le(item.key.bytes.data(), slot.low.load(std::memory_order_relaxed));
  store_le(item.key.bytes.data() + 8, slot.high.load(std::memory_order_relaxed));
  const std::uint64_t place = slot.place.load(std::memory_order_acquire);
  item.place = {static_cast<std::uint32_t>(place >> 32), static_cast<std::uint32_t>(place),
                static_cast<std::uint32_t>(slot.length.load(std::memory_order_relaxed))};
  item.name_hash = static_cast<std::uint32_t>(state >> 32);
  item.bytes = slot.bytes.load(std::memory_order_relaxed);
  const std::uint64_t times = slot.times.load(std::memory_order_relaxed);
  item.created = epoch + static_cast<double>(times & 0xffffffff);
  item.expires = times >> 32 == 0 ? 0 : epoch + static_cast<double>(times >> 32);
  const std::uint64_t last = slot.use.load(std::memory_order_relaxed);
  item.used = epoch + static_cast<double>(last >> hits_bits) / 1000;
  item.hits = last & most_hits;
  item.pinned = (state & state_pinned) != 0;
  item.in_file = (state & state_in_file) != 0;
  return item;
}

void CacheTable::fill(Slot& slot, const CacheItem& item) noexcept {
  const auto [low, high] = words(item.key);
  slot.low.store(low, std::memory_order_relaxed);
  slot.high.store(high, std::memory_order_relaxed);
  slot.length.store(item.place.length, std::memory_order_relaxed);
  slot.bytes.store(item.bytes, std::memory_order_relaxed);
  slot.use.store(use(item.used, item.hits), std::memory_order_relaxed);
  const std::uint64_t expires = item.expires == 0 ? 0 : seconds(std::ceil(item.expires));
  slot.times.store(expires << 32 | seconds(item.created), std::memory_order_relaxed);
  slot.place.store(item.place.word(), std::memory_order_release);
  slot.state.store(std::uint64_t{item.name_hash} << 32 | state_used | (item.pinned ? state_pinned : 0) |
                       (item.in_file ? state_in_file : 0),
                   std::memory_order_release);
}

// --- Without the lock ------------------------------------------------------------------------------------------------

std::optional<CacheItem> CacheTable::find(const Digest& key) const {
  const Look look(*this);
  const Slot* const slot = slot_of(*look, key);
  return slot == nullptr ? std::nullopt : item_of(*slot);
}

void CacheTable::count_hit(const Digest& key, double now, double saved_s) {
  const Look look(*this);
  Head& head = look->head();
  if (Slot* const slot = slot_of(*look, key)) {
    // Two threads at once may count as one: the order of use is what matters.
    slot->use.store(use(later(head, now), (slot->use.load(std::memory_order_relaxed) & most_hits) + 1),
                    std::memory_order_relaxed);
  }
  head.counters.hits.fetch_add(1, std::memory_order_relaxed);
  head.counters.saved_us.fetch_add(static_cast<std::uint64_t>(std::max(saved_s, 0.0) * 1e6), std::memory_order_relaxed);
}

void CacheTable::count(std::atomic<std::uint64_t> CacheCounters::* counter) {
  (Look(*this)->head().counters.*counter).fetch_add(1, std::memory_order_relaxed);
}

double CacheTable::next_use(double now) noexcept { return later(map().head(), now); }

double CacheTable::later(Head& head, double now) noexcept {
  const std::uint64_t ms = milliseconds(now);
  const std::uint64_t latest = head.latest_use.load(std::memory_order_relaxed);
  if (ms > latest) {
    head.latest_use.store(ms, std::memory_order_relaxed);
  }
  return ms >= latest ? now : epoch + static_cast<double>(latest) / 1000;
}

void CacheTable::for_each(const std::function<void(const CacheItem&)>& item) const {
  const Look look(*this);
  for (const Slot& slot : look->slots) {
    if (const std::optional<CacheItem> found = item_of(slot)) {
      item(*found);
    }
  }
}

CacheStats CacheTable::stats() const {
  const Look look(*this);
  const Head& head = look->head();
  const CacheCounters& counted = head.counters;
  return {.items = head.used,
          .bytes = head.bytes,
          .segment_bytes = head.segment_bytes,
          .hits = counted.hits,
          .misses = counted.misses,
          .stored = counted.stored,
          .evicted = counted.evicted,
          .expired = counted.expired,
          .damaged = counted.damaged,
          .too_large = counted.refused,
          .saved_s = static_cast<double>(counted.saved_us) * 1e-6,
          .remote_hits = counted.remote_hits,
          .remote_misses = counted.remote_misses,
          .remote_stored = counted.remote_stored,
          .remote_failed = counted.remote_failed};
}

// --- With the lock ---------------------------------------------------------------------------------------------------

std::uint64_t CacheTable::items() const noexcept { return map().head().used.load(); }
std::uint64_t CacheTable::bytes() const noexcept { return map().head().bytes.load(); }
CacheCounters& CacheTable::counters() noexcept { return map().head().counters; }

void CacheTable::next_items(std::size_t count, const std::function<void(const CacheItem&)>& item) {
  const Map& all = map();
  const std::uint64_t first = all.head().hand.fetch_add(count);
  for (std::size_t i = 0; i < count; ++i) {
    if (const std::optional<CacheItem> found = item_of(all.slots[(first + i) & (all.slots.size() - 1)])) {
      item(*found);
    }
  }
}

bool CacheTable::needs_repair() const noexcept {
  const Head& head = map().head();
  return head.dirty.load() != 0 || head.boot.load() != boot();
}

void CacheTable::begin_change() noexcept { map().head().dirty.store(1); }
void CacheTable::end_change() noexcept { map().head().dirty.store(0); }

void CacheTable::repair(const std::function<bool(const CacheItem&)>& stands, std::uint64_t segment_bytes) {
  Head& head = map().head();
  std::uint64_t used = 0;
  std::uint64_t erased = 0;
  std::uint64_t bytes = 0;
  std::uint64_t last = head.last_segment.load();
  for (Slot& slot : map().slots) {
    const std::optional<CacheItem> item = item_of(slot);
    if (item && stands(*item)) {
      ++used;
      bytes += item->bytes;
      last = std::max<std::uint64_t>(last, item->place.segment);
    } else if (slot.state.load() != 0) {
      slot.state.store(state_erased, std::memory_order_release);
      ++erased;
    }
  }
  head.used.store(used);
  head.erased.store(erased);
  head.bytes.store(bytes);
  head.segment_bytes.store(segment_bytes);
  head.last_segment.store(last);
  head.boot.store(boot());
}

std::optional<CacheItem> CacheTable::put(const CacheItem& item) {
  make_room();
  Slot* slot = slot_of(map(), item.key);
  Slot* free = slot == nullptr ? free_slot(map(), item.key) : slot;
  if (free == nullptr) {
    grow();
    free = free_slot(map(), item.key);
  }
  Head& head = map().head();
  std::optional<CacheItem> old;
  CacheItem added = item;
  if (slot != nullptr) {
    old = item_of(*slot);
    added.pinned = added.pinned || old->pinned;
    head.bytes.fetch_sub(old->bytes);
  } else {
    if (free->state.load() == state_erased) {
      head.erased.fetch_sub(1);
    }
    head.used.fetch_add(1);
  }
  fill(*free, added);
  head.bytes.fetch_add(added.bytes);
  return old;
}

std::optional<CacheItem> CacheTable::erase(const Digest& key) {
  Slot* const slot = slot_of(map(), key);
  if (slot == nullptr) {
    return std::nullopt;
  }
  Head& head = map().head();
  const std::optional<CacheItem> old = item_of(*slot);
  slot->state.store(state_erased, std::memory_order_release);
  head.erased.fetch_add(1);
  head.used.fetch_sub(1);
  head.bytes.fetch_sub(old->bytes);
  return old;
}

bool CacheTable::move(const Digest& key, const CachePlace& from, const CachePlace& to) noexcept {
  Slot* const slot = slot_of(map(), key);
  if (slot == nullptr || slot->place.load() != from.word()) {
    return false;
  }
  slot->place.store(to.word(), std::memory_order_release);
  return true;
}

bool CacheTable::pin(const Digest& key, bool pinned) noexcept {
  Slot* const slot = slot_of(map(), key);
  if (slot == nullptr) {
    return false;
  }
  if (pinned) {
    slot->state.fetch_or(state_pinned);
  } else {
    slot->state.fetch_and(~state_pinned);
  }
  return true;
}

std::uint32_t CacheTable::next_segment() noexcept {
  return static_cast<std::uint32_t>(map().head().last_segment.fetch_add(1) + 1);
}

void CacheTable::add_segment_bytes(std::int64_t bytes) noexcept {
  map().head().segment_bytes.fetch_add(static_cast<std::uint64_t>(bytes));
}

void CacheTable::make_room() {
  const Head& head = map().head();
  if ((head.used.load() + head.erased.load() + 1) * 10 > map().slots.size() * 7) {
    grow();
  }
}

/// Twice as many slots, or as many without those that were erased. They are counted: the head may be damaged.
void CacheTable::grow() {
  Map& old = map();
  const auto used = static_cast<std::uint64_t>(std::count_if(old.slots.begin(), old.slots.end(), [](const Slot& slot) {
    return (slot.state.load(std::memory_order_relaxed) & state_used) != 0;
  }));
  const unsigned bits = old.head().bits + (used * 20 > old.slots.size() * 7 ? 1 : 0);
  if (bits > most_bits) {
    fail(Errc::limit_exceeded, "the cache has too many items");
  }
  std::unique_ptr<Map> next = create(bits, &old);
  const std::scoped_lock lock(taking_);
  copy(old.head().counters, next->head().counters);           // others have gone on counting
  old.head().superseded.store(1, std::memory_order_release);  // others look for the new one from here on
  take(std::move(next));
}

}  // namespace stele

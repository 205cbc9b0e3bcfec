#include "services/store/write/pending.hpp"

#include <algorithm>

#include "base/bytes.hpp"
#include "base/checksum.hpp"

namespace stele {
namespace {

constexpr std::size_t chunk_size = std::size_t{64} << 10;
constexpr std::size_t kept_chunks = 64;  // kept for the next commit
constexpr std::size_t least_slots = 64;

std::uint64_t slot_of(std::uint32_t hash, std::size_t number) noexcept {
  return std::uint64_t{hash} << 32 | static_cast<std::uint32_t>(number + 1);
}
std::size_t number_in(std::uint64_t slot) noexcept { return static_cast<std::uint32_t>(slot) - 1; }

std::uint32_t hash_of(std::string_view key) noexcept {
  return static_cast<std::uint32_t>(xxh3_64(std::as_bytes(std::span(key))));
}

/// The first eight bytes after the common prefix, as a number that sorts like the key.
std::uint64_t beginning(std::string_view key, std::size_t shared) noexcept {
  std::array<std::byte, 8> bytes{};
  const std::string_view rest = key.substr(shared, bytes.size());
  std::ranges::copy(std::as_bytes(std::span(rest)), bytes.begin());
  return load_be<std::uint64_t>(bytes.data());
}

}  // namespace

std::vector<std::uint32_t> sorted_numbers(const std::vector<std::string_view>& keys) {
  std::size_t shared = keys.empty() ? 0 : keys[0].size();
  for (const std::string_view key : keys) {
    const std::string_view first = keys[0].substr(0, shared);
    shared = static_cast<std::size_t>(std::ranges::mismatch(first, key).in1 - first.begin());
  }
  struct Sorted {
    std::uint64_t beginning;
    std::uint32_t number;
  };
  std::vector<Sorted> order;
  order.reserve(keys.size());
  for (std::uint32_t i = 0; i < keys.size(); ++i) {
    order.push_back({beginning(keys[i], shared), i});
  }
  std::sort(order.begin(), order.end(), [&](const Sorted& a, const Sorted& b) {
    return a.beginning != b.beginning ? a.beginning < b.beginning : keys[a.number] < keys[b.number];
  });
  std::vector<std::uint32_t> numbers;
  numbers.reserve(keys.size());
  for (const Sorted& next : order) {
    numbers.push_back(next.number);
  }
  return numbers;
}

std::string_view PendingKeys::keep(std::string_view key) {
  if (chunks_.empty() || used_ + key.size() > chunk_size) {
    const std::size_t next = chunks_.empty() ? 0 : chunk_ + 1;
    if (next == chunks_.size()) {
      chunks_.push_back(std::make_unique<char[]>(chunk_size));
    }
    chunk_ = next;
    used_ = 0;
  }
  char* const to = chunks_[chunk_].get() + used_;
  std::ranges::copy(key, to);
  used_ += key.size();
  return {to, key.size()};
}

/// The slot of a key, or the slot where it would be inserted.
std::uint64_t* PendingKeys::slot(std::string_view key, std::uint32_t hash) {
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t i = hash & mask;; i = (i + 1) & mask) {
    const std::uint64_t taken = slots_[i];
    if (taken == 0 || (taken >> 32 == hash && entries_[number_in(taken)].text() == key)) {
      return &slots_[i];
    }
  }
}

/// Also makes room for one more.
void PendingKeys::index_all() {
  if (2 * (entries_.size() + 1) > slots_.size()) {
    std::size_t size = std::max(slots_.size(), least_slots);
    while (2 * (entries_.size() + 1) > size) {
      size *= 2;
    }
    slots_.assign(size, 0);
    indexed_ = 0;
  }
  for (; indexed_ < entries_.size(); ++indexed_) {
    const std::string_view key = entries_[indexed_].text();
    const std::uint32_t hash = hash_of(key);
    *slot(key, hash) = slot_of(hash, indexed_);
  }
}

void PendingKeys::set(std::string_view key, const std::optional<Position>& position) {
  const bool is_behind = entries_.empty() || (is_sorted_ && entries_.back().text() < key);
  Entry* entry = nullptr;
  if (!is_behind) {
    index_all();
    const std::uint32_t hash = hash_of(key);
    std::uint64_t* const at = slot(key, hash);
    if (*at != 0) {
      entry = &entries_[number_in(*at)];
    } else {
      entries_.push_back({});
      entry = &entries_.back();
      try {
        const std::string_view kept = keep(key);
        *entry = {kept.data(), static_cast<std::uint32_t>(kept.size()), false, {}};
      } catch (...) {
        entries_.pop_back();
        throw;
      }
      *at = slot_of(hash, indexed_);
      indexed_ = entries_.size();
      is_sorted_ = false;
    }
  } else {
    const std::string_view kept = keep(key);
    entries_.push_back({kept.data(), static_cast<std::uint32_t>(kept.size()), false, {}});
    entry = &entries_.back();
  }
  entry->leads = position.has_value();
  entry->position = position.value_or(Position{});
}

std::optional<std::optional<Position>> PendingKeys::find(std::string_view key) {
  if (entries_.empty()) {
    return std::nullopt;
  }
  index_all();
  const std::uint64_t at = *slot(key, hash_of(key));
  if (at == 0) {
    return std::nullopt;
  }
  const Entry& entry = entries_[number_in(at)];
  return std::optional(entry.leads ? std::optional(entry.position) : std::nullopt);
}

void PendingKeys::clear() noexcept {
  if (indexed_ > 0 && slots_.size() / 16 <= entries_.size()) {
    std::fill(slots_.begin(), slots_.end(), 0);
  } else if (indexed_ > 0) {
    slots_.clear();
  }
  entries_.clear();
  if (chunks_.size() > kept_chunks) {
    chunks_.resize(kept_chunks);
  }
  indexed_ = chunk_ = used_ = 0;
  is_sorted_ = true;
}

std::vector<IndexWrite::Change> PendingKeys::changes() const {
  std::vector<IndexWrite::Change> changes;
  changes.reserve(entries_.size());
  const auto add = [&](const Entry& entry) {
    changes.push_back({entry.text(), entry.leads ? std::optional(entry.position) : std::nullopt, std::nullopt});
  };
  if (is_sorted_) {
    std::for_each(entries_.begin(), entries_.end(), add);
    return changes;
  }
  std::vector<std::string_view> keys;
  keys.reserve(entries_.size());
  for (const Entry& entry : entries_) {
    keys.push_back(entry.text());
  }
  for (const std::uint32_t number : sorted_numbers(keys)) {
    add(entries_[number]);
  }
  return changes;
}

}  // namespace stele

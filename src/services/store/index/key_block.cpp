#include "services/store/index/key_block.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <limits>

#include "base/bytes.hpp"
#include "base/checksum.hpp"
#include "stele/error.hpp"

namespace stele {
namespace {

// A block, all numbers little-endian:
//
//   check u64         XXH3-64 of the rest, combined by exclusive or with the XXH3-64 of the low rotated by 32 bits
//   count u16, size of high u16 (0xffff: none), size of prefix u16, size of each suffix u16 (0xffff: they differ)
//   widths of the columns: shard u8, offset u8, length u8; 0 u8
//   bases of the columns: shard u32, offset u64, length u64
//   high, prefix
//   ends of the suffixes, u16 each, if their sizes differ; suffixes
//   columns: the difference to the base, each in the column's width
constexpr std::size_t check_size = 8;
constexpr std::size_t head_size = 8 + 4 * 2 + 4 + 4 + 8 + 8;
constexpr std::uint16_t none = 0xffff;
constexpr std::size_t target_size = 1000;  // about; four to a page of the index

std::uint64_t check_of(std::string_view low, Bytes stored) {
  const std::uint64_t of_low = xxh3_64(std::as_bytes(std::span(low)));
  return xxh3_64(stored.subspan(check_size)) ^ std::rotl(of_low, 32);
}

[[noreturn]] void damaged(const char* what) { fail(Errc::damaged, std::string("the store's index: a block ") + what); }

std::size_t width_of(std::uint64_t value) { return (static_cast<std::size_t>(std::bit_width(value)) + 7) / 8; }

std::size_t common_prefix(std::string_view a, std::string_view b) {
  return static_cast<std::size_t>(std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin());
}

struct Range {
  std::uint64_t least = std::numeric_limits<std::uint64_t>::max();
  std::uint64_t most = 0;
  void add(std::uint64_t value) {
    least = std::min(least, value);
    most = std::max(most, value);
  }
  std::size_t width() const { return width_of(most - least); }
};

}  // namespace

KeyBlock::KeyBlock(std::string_view low, Bytes stored, Check check) : low_(low) {
  if (stored.size() < head_size ||
      (check == Check::checked && load_le<std::uint64_t>(stored.data()) != check_of(low, stored))) {
    damaged("does not match its checksum");
  }
  const std::byte* at = stored.data() + check_size;
  count_ = load_le<std::uint16_t>(at);
  const std::size_t high_size = load_le<std::uint16_t>(at + 2);
  const std::size_t prefix_size = load_le<std::uint16_t>(at + 4);
  suffix_size_ = load_le<std::uint16_t>(at + 6);
  shard_.width = std::to_integer<std::size_t>(at[8]);
  offset_.width = std::to_integer<std::size_t>(at[9]);
  length_.width = std::to_integer<std::size_t>(at[10]);
  shard_.base = load_le<std::uint32_t>(at + 12);
  offset_.base = load_le<std::uint64_t>(at + 16);
  length_.base = load_le<std::uint64_t>(at + 24);
  const char* bytes = reinterpret_cast<const char*>(stored.data());
  std::size_t used = head_size;
  const auto take = [&](std::size_t size) {
    if (size > stored.size() - used) {
      damaged("is shorter than it says");
    }
    used += size;
    return used - size;
  };
  if (high_size != none) {
    high_ = std::string_view(bytes + take(high_size), high_size);
  }
  prefix_ = std::string_view(bytes + take(prefix_size), prefix_size);
  if (prefix_size > StoreKey::max_size + 1 || (suffix_size_ == 0 && count_ > 1)) {
    damaged("has invalid keys");  // and would take too much memory
  }
  if (suffix_size_ == none) {
    ends_ = stored.data() + take(2 * count_);
    suffixes_size_ = count_ == 0 ? 0 : load_le<std::uint16_t>(ends_ + 2 * (count_ - 1));
    suffixes_ = stored.data() + take(suffixes_size_);
  } else {
    suffixes_ = stored.data() + take(suffix_size_ * count_);
  }
  if (shard_.width > 4 || offset_.width > 8 || length_.width > 8) {
    damaged("has columns that are too wide");
  }
  for (Column* column : {&shard_, &offset_, &length_}) {
    column->values = stored.data() + take(column->width * count_);
  }
}

inline std::uint64_t KeyBlock::Column::operator[](std::size_t i) const noexcept {
  if (width == 0) {
    return base;
  }
  constexpr std::size_t most = sizeof(std::uint64_t);  // the head before the columns is longer
  return base + (load_le<std::uint64_t>(values + (i + 1) * width - most) >> 8 * (most - width));
}

std::string_view KeyBlock::suffix(std::size_t i) const {
  const char* from = reinterpret_cast<const char*>(suffixes_);
  if (ends_ == nullptr) {
    return {from + i * suffix_size_, suffix_size_};
  }
  const std::size_t begin = i == 0 ? 0 : load_le<std::uint16_t>(ends_ + 2 * (i - 1));
  const std::size_t end = load_le<std::uint16_t>(ends_ + 2 * i);
  if (begin > end || end > suffixes_size_) {
    damaged("has keys out of order");
  }
  return {from + begin, end - begin};
}

std::size_t KeyBlock::lower_bound(std::string_view key) const {
  const std::string_view head = key.substr(0, prefix_.size());
  const int order = head.compare(prefix_);
  if (order != 0) {
    return order < 0 ? 0 : count_;
  }
  const std::string_view rest = key.substr(prefix_.size());
  std::size_t first = 0;
  std::size_t left = count_;
  while (left > 0) {
    const std::size_t half = left / 2;
    if (suffix(first + half) < rest) {
      first += half + 1;
      left -= half + 1;
    } else {
      left = half;
    }
  }
  return first;
}

std::optional<Position> KeyBlock::find(std::string_view key) const {
  const std::size_t i = lower_bound(key);
  if (i == count_ || key.size() < prefix_.size() || key.substr(0, prefix_.size()) != prefix_ ||
      suffix(i) != key.substr(prefix_.size())) {
    return std::nullopt;
  }
  return position(i);
}

void KeyBlock::key(std::size_t i, std::string& out) const {
  out = prefix_;
  out += suffix(i);
}

void KeyBlock::entries(std::vector<BlockEntry>& out, std::string& arena) const {
  out.clear();
  out.reserve(count_);
  arena.clear();
  std::size_t bytes = count_ * prefix_.size();
  for (std::size_t i = 0; i < count_; ++i) {
    bytes += suffix(i).size();
  }
  arena.resize(bytes);
  char* to = arena.data();
  for (std::size_t i = 0; i < count_; ++i) {
    const std::string_view rest = suffix(i);
    char* const end = std::ranges::copy(rest, std::ranges::copy(prefix_, to).out).out;
    out.push_back({{to, end}, position(i)});
    to = end;
  }
}

Position KeyBlock::position(std::size_t i) const noexcept {
  return {static_cast<std::uint32_t>(shard_[i]), offset_[i], length_[i]};
}

namespace {

/// The size of a sorted run of entries as a block.
struct RunShape {
  RunShape() = default;
  explicit RunShape(std::span<const BlockEntry> entries) {
    if (!entries.empty()) {
      shortest = entries.front().key.size();
      prefix = entries.front().key.substr(0, common_prefix(entries.front().key, entries.back().key));
    }
    for (const BlockEntry& entry : entries) {
      count_in(entry);
    }
  }
  /// Adds an entry after those so far.
  void add(const BlockEntry& entry) {
    const std::string_view key = entry.key;
    if (count == 0) {
      prefix = key;
      shortest = key.size();
    } else if (!key.starts_with(prefix)) {
      prefix = prefix.substr(0, common_prefix(prefix, key));
    }
    count_in(entry);
  }
  void count_in(const BlockEntry& entry) {
    ++count;
    shortest = std::min(shortest, entry.key.size());
    longest = std::max(longest, entry.key.size());
    keys += entry.key.size();
    shards.add(entry.position.shard);
    offsets.add(entry.position.offset);
    lengths.add(entry.position.length);
  }
  std::uint16_t suffix_size() const noexcept {
    return count > 0 && shortest == longest ? static_cast<std::uint16_t>(longest - prefix.size()) : none;
  }
  std::size_t size() const noexcept {
    if (count == 0) {
      return head_size;
    }
    const std::size_t row = shards.width() + offsets.width() + lengths.width() + (shortest == longest ? 0 : 2);
    return head_size + prefix.size() + keys - count * prefix.size() + count * row;
  }

  std::size_t count = 0;
  std::string_view prefix;
  std::size_t keys = 0;  // total bytes of the keys
  std::size_t shortest = 0;
  std::size_t longest = 0;
  Range shards, offsets, lengths;
};

void write_block(std::string_view low, std::optional<std::string_view> high, std::span<const BlockEntry> entries,
                 const RunShape& shape, std::vector<std::byte>& out) {
  constexpr std::size_t slack = 8;  // numbers are stored as 8 bytes, and the next one overwrites the excess
  const std::size_t high_size = high ? high->size() : 0;
  const std::size_t size = shape.size() + high_size;
  out.resize(size + slack);
  std::fill_n(out.begin(), head_size, std::byte{0});
  std::byte* head = out.data() + check_size;
  store_le<std::uint16_t>(head, static_cast<std::uint16_t>(entries.size()));
  store_le<std::uint16_t>(head + 2, high ? static_cast<std::uint16_t>(high_size) : none);
  store_le<std::uint16_t>(head + 4, static_cast<std::uint16_t>(shape.prefix.size()));
  store_le<std::uint16_t>(head + 6, shape.suffix_size());
  if (!entries.empty()) {
    head[8] = static_cast<std::byte>(shape.shards.width());
    head[9] = static_cast<std::byte>(shape.offsets.width());
    head[10] = static_cast<std::byte>(shape.lengths.width());
    store_le<std::uint32_t>(head + 12, static_cast<std::uint32_t>(shape.shards.least));
    store_le<std::uint64_t>(head + 16, shape.offsets.least);
    store_le<std::uint64_t>(head + 24, shape.lengths.least);
  }
  std::byte* to = out.data() + head_size;
  const auto append = [&](std::string_view text) {
    to = std::ranges::copy(std::as_bytes(std::span(text)), to)
             .out;  // std::memcpy must not get the null pointer of an empty text
  };
  append(high.value_or(std::string_view{}));
  append(shape.prefix);
  const std::size_t prefix = shape.prefix.size();
  if (shape.suffix_size() == none) {
    std::size_t end = 0;
    for (const BlockEntry& entry : entries) {
      end += entry.key.size() - prefix;
      store_le<std::uint16_t>(to, static_cast<std::uint16_t>(end));
      to += 2;
    }
  }
  for (const BlockEntry& entry : entries) {
    append(entry.key.substr(prefix));
  }
  const auto column = [&](const Range& range, auto&& value_of) {
    const std::size_t width = entries.empty() ? 0 : range.width();
    for (const BlockEntry& entry : entries) {
      store_le<std::uint64_t>(to, value_of(entry.position) - range.least);
      to += width;
    }
  };
  column(shape.shards, [](const Position& p) { return std::uint64_t{p.shard}; });
  column(shape.offsets, [](const Position& p) { return p.offset; });
  column(shape.lengths, [](const Position& p) { return p.length; });
  out.resize(size);
  store_le<std::uint64_t>(out.data(), check_of(low, out));
}

/// The longest prefix of the entries that fits in a block of `limit` bytes; at least one entry if there is one.
RunShape fitting(std::span<const BlockEntry> entries, std::size_t limit) {
  RunShape shape;
  for (const BlockEntry& entry : entries) {
    RunShape longer = shape;
    longer.add(entry);
    if (shape.count > 0 && longer.size() > limit) {
      break;
    }
    shape = longer;
  }
  return shape;
}

/// The shortest text that is greater than `before` and at most `first`: it separates two blocks.
std::string_view separator(std::string_view before, std::string_view first) {
  return first.substr(0, common_prefix(before, first) + 1);
}

}  // namespace

void write_blocks(std::string_view low, std::optional<std::string_view> high, const std::vector<BlockEntry>& entries,
                  bool filling, const std::function<void(std::string_view low, Bytes block)>& put) {
  const RunShape all(entries);
  std::size_t limit = target_size;
  if (!filling) {  // blocks of equal size have room for later keys
    const std::size_t blocks = (all.size() + target_size - 1) / target_size;
    limit = std::min(target_size, all.size() / blocks + head_size + 16);
  }
  std::vector<std::byte> bytes;
  std::span<const BlockEntry> left = entries;
  std::string_view block_low = low;
  do {
    const RunShape shape = left.size() == all.count && all.size() <= limit ? all : fitting(left, limit);
    const std::span<const BlockEntry> block = left.first(shape.count);
    left = left.subspan(shape.count);
    const std::optional<std::string_view> block_high =
        left.empty() ? high : std::optional(separator(block.back().key, left.front().key));
    write_block(block_low, block_high, block, shape, bytes);
    put(block_low, bytes);
    block_low = block_high.value_or(std::string_view{});
  } while (!left.empty());
}

}  // namespace stele

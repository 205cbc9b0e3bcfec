#include "encoding/palette.hpp"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <string>

#include "base/bytes.hpp"
#include "encoding/elements.hpp"
#include "encoding/kernels/kernels.hpp"
#include "stele/error.hpp"

namespace stele {
namespace {

/// The highest bits of the product are well mixed (Knuth, multiplicative hashing).
std::size_t slot_of(std::uint64_t pattern, unsigned shift) noexcept {
  return static_cast<std::size_t>((pattern * 0x9e3779b97f4a7c15U) >> shift);
}

template <class Pattern, class Index>
void decode_as(const std::byte* indices, std::size_t count, const std::byte* table, std::byte* elements) noexcept {
  std::size_t i = 0;
  const auto decode_one = [&](std::size_t k) {
    std::memcpy(elements + k * sizeof(Pattern), table + load_le<Index>(indices + k * sizeof(Index)) * sizeof(Pattern),
                sizeof(Pattern));
  };
  for (; i + 4 <= count; i += 4) {
    decode_one(i);
    decode_one(i + 1);
    decode_one(i + 2);
    decode_one(i + 3);
  }
  for (; i < count; ++i) {
    decode_one(i);
  }
}

}  // namespace

/// Collects the distinct patterns of elements as they arrive.
class Palette::Collector {
 public:
  explicit Collector(std::size_t limit) : limit_(limit) {}

  /// False if there are more than the limit.
  template <class Pattern>
  bool add(const std::byte* elements, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      if (!add(load_le<Pattern>(elements + i * sizeof(Pattern)))) {
        return false;
      }
    }
    return true;
  }
  bool add(const std::byte* elements, std::size_t count, std::uint32_t item_size) {
    switch (item_size) {
      case 2:
        return add<std::uint16_t>(elements, count);
      case 4:
        return add<std::uint32_t>(elements, count);
      default:
        return add<std::uint64_t>(elements, count);
    }
  }

  std::shared_ptr<const Palette> finish(std::uint32_t item_size) {
    std::sort(patterns_.begin(), patterns_.end());
    std::shared_ptr<Palette> palette(new Palette(item_size));
    palette->table_.resize(patterns_.size() * item_size);
    for (std::size_t i = 0; i < patterns_.size(); ++i) {
      store_le(palette->table_.data() + i * item_size, patterns_[i], item_size);
      find(patterns_[i])->index = static_cast<std::uint32_t>(i);
    }
    palette->slots_ = std::move(slots_);
    palette->shift_ = shift_;
    return palette;
  }

 private:
  bool add(std::uint64_t pattern) {
    Slot* slot = find(pattern);
    if (slot->index != no_index) {
      return true;
    }
    if (patterns_.size() == limit_) {
      return false;
    }
    // Small tables stay sparse, so that the first slot is almost always the right one.
    if (patterns_.size() * (slots_.size() <= 8192 ? 8 : 2) >= slots_.size()) {
      grow();
      slot = find(pattern);
    }
    *slot = {pattern, 0};
    patterns_.push_back(pattern);
    return true;
  }

  /// The slot of a pattern, or a free slot for it.
  Slot* find(std::uint64_t pattern) {
    std::size_t at = slot_of(pattern, shift_);
    while (slots_[at].index != no_index && slots_[at].pattern != pattern) {
      at = (at + 1) & (slots_.size() - 1);
    }
    return &slots_[at];
  }

  void grow() {
    slots_.assign(4 * slots_.size(), Slot{});
    shift_ -= 2;
    for (std::uint64_t pattern : patterns_) {
      *find(pattern) = {pattern, 0};
    }
  }

  std::size_t limit_;
  std::vector<std::uint64_t> patterns_;
  std::vector<Slot> slots_ = std::vector<Slot>(2048);
  unsigned shift_ = 64 - 11;
};

std::shared_ptr<const Palette> Palette::collect(const Elements& elements, std::size_t limit) {
  Collector collector(limit);
  const bool all = for_pieces(elements, [&](const std::byte* piece, std::size_t count) {
    return collector.add(piece, count, elements.item_size);
  });
  return all ? collector.finish(elements.item_size) : nullptr;
}

Palette::Palette(std::uint32_t item_size, Bytes table) : item_size_(item_size), table_(table.begin(), table.end()) {}

template <class Pattern, class Index>
void Palette::encode_as(const std::byte* elements, std::size_t count, std::byte* indices) const noexcept {
  const Slot* const slots = slots_.data();
  const std::size_t mask = slots_.size() - 1;
  const unsigned shift = shift_;
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint64_t pattern = load_le<Pattern>(elements + i * sizeof(Pattern));
    std::size_t at = slot_of(pattern, shift);
    while (slots[at].pattern != pattern && slots[at].index != no_index) {
      at = (at + 1) & mask;
    }
    store_le<Index>(indices + i * sizeof(Index), static_cast<Index>(slots[at].index));
  }
}

void Palette::encode(const std::byte* elements, std::size_t count, std::byte* indices) const noexcept {
  assert(!slots_.empty());
  const bool small = index_size() == 1;
  switch (item_size_) {
    case 2:
      return encode_as<std::uint16_t, std::uint8_t>(elements, count, indices);
    case 4:
      return small ? encode_as<std::uint32_t, std::uint8_t>(elements, count, indices)
                   : encode_as<std::uint32_t, std::uint16_t>(elements, count, indices);
    default:
      return small ? encode_as<std::uint64_t, std::uint8_t>(elements, count, indices)
                   : encode_as<std::uint64_t, std::uint16_t>(elements, count, indices);
  }
}

void Palette::decode(const std::byte* indices, std::size_t count, std::byte* elements) const {
  if (count == 0) {
    return;
  }
  const bool small = index_size() == 1;
  const std::uint32_t largest = encoding_kernels().largest[small ? 0 : 1](indices, count);
  if (largest >= this->count()) {
    fail(Errc::damaged, "index " + std::to_string(largest) + " into a palette of " + std::to_string(this->count()));
  }
  const std::byte* table = table_.data();
  switch (item_size_) {
    case 2:
      return decode_as<std::uint16_t, std::uint8_t>(indices, count, table, elements);
    case 4:
      return small ? decode_as<std::uint32_t, std::uint8_t>(indices, count, table, elements)
                   : decode_as<std::uint32_t, std::uint16_t>(indices, count, table, elements);
    default:
      return small ? decode_as<std::uint64_t, std::uint8_t>(indices, count, table, elements)
                   : decode_as<std::uint64_t, std::uint16_t>(indices, count, table, elements);
  }
}

}  // namespace stele

#include "services/counts/fresh.hpp"

#include <algorithm>
#include <numeric>
#include <span>

#include "base/checksum.hpp"

namespace stele {
namespace {

std::uint64_t hash_of(std::string_view token) noexcept { return xxh3_64(std::as_bytes(std::span(token))); }

}  // namespace

bool FreshTokens::add(std::string_view token, std::uint64_t n) {
  if (4 * (entries_.size() + 1) > 3 * slots_.size()) {
    grow();
  }
  const auto hash = static_cast<std::uint32_t>(hash_of(token));
  const std::size_t mask = slots_.size() - 1;
  std::size_t at = hash & mask;
  for (std::size_t slots = 1; slots_[at].number != 0; at = (at + 1) & mask, ++slots) {
    longest_search_ = std::max(longest_search_, slots);
    if (slots_[at].hash == hash && this->token(slots_[at].number - 1) == token) {
      std::uint64_t& count = entries_[slots_[at].number - 1].count;
      count = saturated_sum(count, n);
      return false;
    }
  }
  if (entries_.size() == entries_.capacity()) {  // may throw, so before any change
    entries_.reserve(2 * entries_.size() + 8);
  }
  text_.insert(text_.end(), token.begin(), token.end());
  entries_.push_back({text_.size(), n});
  slots_[at] = {hash, static_cast<std::uint32_t>(entries_.size())};
  return true;
}

std::uint64_t FreshTokens::count(std::string_view token) const noexcept {
  if (entries_.empty()) {
    return 0;
  }
  const auto hash = static_cast<std::uint32_t>(hash_of(token));
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t at = hash & mask; slots_[at].number != 0; at = (at + 1) & mask) {
    if (slots_[at].hash == hash && this->token(slots_[at].number - 1) == token) {
      return entries_[slots_[at].number - 1].count;
    }
  }
  return 0;
}

std::uint64_t FreshTokens::bytes() const noexcept {
  return text_.capacity() + entries_.capacity() * sizeof(Entry) + slots_.capacity() * sizeof(Slot);
}

std::vector<std::uint32_t> FreshTokens::sorted() const {
  std::vector<std::uint32_t> numbers(entries_.size());
  std::iota(numbers.begin(), numbers.end(), std::uint32_t{0});
  std::sort(numbers.begin(), numbers.end(), [this](std::uint32_t a, std::uint32_t b) {
    const std::string_view left = token(a);
    const std::string_view right = token(b);
    return left.size() != right.size() ? left.size() < right.size() : left < right;
  });
  return numbers;
}

void FreshTokens::grow() {
  std::vector<Slot> larger(std::max<std::size_t>(16, 2 * slots_.size()), Slot{0, 0});
  const std::size_t mask = larger.size() - 1;
  for (const Slot& slot : slots_) {
    if (slot.number != 0) {
      std::size_t at = slot.hash & mask;
      while (larger[at].number != 0) {
        at = (at + 1) & mask;
      }
      larger[at] = slot;
    }
  }
  slots_ = std::move(larger);
}

}  // namespace stele

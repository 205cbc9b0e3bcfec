// Finding tokens in a lane. Tokens of one length are compared as integers that are ordered as their bytes are; the
// integers of 3, 5, 6, 7 and 9 to 15 bytes are two loads that overlap; bytes that count twice do not change the order.

#include <algorithm>
#include <cstring>

#include "src/services/compact/token_counts_lane.hpp"

namespace stele {
namespace {

__extension__ using Wide = unsigned __int128;

struct OneByte {
  static std::uint64_t load(const std::byte* p, std::size_t) noexcept {
    return std::to_integer<std::uint64_t>(*p) << 56;
  }
};
struct UpTo3 {
  static std::uint64_t load(const std::byte* p, std::size_t length) noexcept {
    return std::uint64_t{load_be<std::uint16_t>(p)} << 48 | std::uint64_t{load_be<std::uint16_t>(p + length - 2)}
                                                                << (64 - 8 * length);
  }
};
struct UpTo7 {
  static std::uint64_t load(const std::byte* p, std::size_t length) noexcept {
    return std::uint64_t{load_be<std::uint32_t>(p)} << 32 | std::uint64_t{load_be<std::uint32_t>(p + length - 4)}
                                                                << (64 - 8 * length);
  }
};
struct First8 {
  static std::uint64_t load(const std::byte* p, std::size_t) noexcept { return load_be<std::uint64_t>(p); }
};
struct UpTo16 {
  static Wide load(const std::byte* p, std::size_t length) noexcept {
    return Wide{load_be<std::uint64_t>(p)} << 64 | load_be<std::uint64_t>(p + length - 8);
  }
};
struct Longer {
  struct Text {
    const std::byte* bytes;
    std::size_t length;
    bool operator<=(const Text& other) const noexcept { return std::memcmp(bytes, other.bytes, length) <= 0; }
    bool operator<(const Text& other) const noexcept { return std::memcmp(bytes, other.bytes, length) < 0; }
    bool operator==(const Text& other) const noexcept { return std::memcmp(bytes, other.bytes, length) == 0; }
  };
  static Text load(const std::byte* p, std::size_t length) noexcept { return {p, length}; }
};

/// The last of `size` keys, at least one, that is not above `key`, 0 if none is; `load(i)` gives the i-th. Three are
/// looked at side by side, which takes as long as one, and there is no branch that the processor would have to
/// foretell.
template <class Load, class Key>
inline std::uint64_t last_to(std::uint64_t size, const Key key, const Load load) noexcept {
  std::uint64_t first = 0;
  while (size > 3) {
    const std::uint64_t quarter = size / 4;
    const std::uint64_t steps = std::uint64_t{load(first + quarter) <= key} +
                                std::uint64_t{load(first + 2 * quarter) <= key} +
                                std::uint64_t{load(first + 3 * quarter) <= key};
    first += steps * quarter;
    size -= 3 * quarter;  // the last part's size; where another is shorter, what follows is above the key
  }
  std::uint64_t steps = 0;
  for (std::uint64_t i = 1; i < size; ++i) {
    steps += std::uint64_t{load(first + i) <= key};
  }
  return first + steps;
}

template <class Key>
Place find_key(const std::byte* tokens, std::size_t length, std::uint64_t first, std::uint64_t size,
               const std::byte* token) noexcept {
  const auto key = Key::load(token, length);
  const std::byte* from = tokens + first * length;
  const std::uint64_t at = last_to(size, key, [=](std::uint64_t i) { return Key::load(from + i * length, length); });
  const auto there = Key::load(from + at * length, length);
  return {first + at + (there < key ? 1 : 0), there == key};
}

Place find_in_run(const std::byte* tokens, std::size_t length, std::uint64_t first, std::uint64_t size,
                  std::string_view token) noexcept {
  const auto* bytes = reinterpret_cast<const std::byte*>(token.data());
  if (length > 16) {
    return find_key<Longer>(tokens, length, first, size, bytes);
  }
  if (length > 8) {
    return find_key<UpTo16>(tokens, length, first, size, bytes);
  }
  if (length == 8) {
    return find_key<First8>(tokens, length, first, size, bytes);
  }
  if (length >= 4) {
    return find_key<UpTo7>(tokens, length, first, size, bytes);
  }
  if (length >= 2) {
    return find_key<UpTo3>(tokens, length, first, size, bytes);
  }
  if (length == 1) {
    return find_key<OneByte>(tokens, length, first, size, bytes);
  }
  return {first, true};  // the empty token is the only one of its length
}

/// A token's first 8 bytes, or the token and zeros.
std::uint64_t sample_key(const std::byte* token, std::size_t length) noexcept {
  return length >= 8   ? First8::load(token, length)
         : length >= 4 ? UpTo7::load(token, length)
         : length >= 2 ? UpTo3::load(token, length)
                       : OneByte::load(token, length);
}

/// The last sample not above `key`, 0 if there is none.
std::uint64_t last_sample_to(const LaneView& lane, std::uint64_t key) noexcept {
  return last_to(lane.sample_total, key,
                 [from = lane.samples](std::uint64_t i) { return load_be<std::uint64_t>(from + i * sample_size); });
}

}  // namespace

std::uint64_t LaneView::large_from(std::uint64_t i) const noexcept {
  std::uint64_t first = 0;
  for (std::uint64_t count = large; count > 0;) {
    const std::uint64_t half = count / 2;
    if (place(first + half) < i) {
      first += half + 1;
      count -= half + 1;
    } else {
      count = half;
    }
  }
  return first;
}

std::uint64_t LaneView::large_count_at(std::uint64_t i) const noexcept {
  const std::uint64_t j = large_from(i);
  return j < large && place(j) == i ? large_count(j) : escape;
}

Window sample_window(const LaneView& lane, std::string_view token) noexcept {
  if (lane.sample_total == 0) {
    return {0, lane.size};
  }
  const std::uint64_t key = sample_key(reinterpret_cast<const std::byte*>(token.data()), token.size());
  const std::uint64_t last = last_sample_to(lane, key);
  std::uint64_t first = last;
  if (lane.length > sample_size && load_be<std::uint64_t>(lane.samples + last * sample_size) == key) {
    first = key == 0 ? 0 : last_sample_to(lane, key - 1);  // tokens that begin alike may lie in several blocks
  }
  const std::uint64_t begin = first * tokens_per_sample;
  const std::uint64_t end = (last + 1) * tokens_per_sample;
  return {begin, (end < lane.size ? end : lane.size) - begin};
}

void prefetch(const LaneView& lane, const Window& window) noexcept {
  const std::byte* tokens = lane.tokens + window.first * lane.length;
  const std::uint64_t bytes = window.size * lane.length;
  const std::uint64_t step = bytes > 512 ? bytes / 8 : 64;
  for (std::uint64_t offset = 0; offset < bytes; offset += step) {
    __builtin_prefetch(tokens + offset);
  }
  __builtin_prefetch(lane.low + (window.first + window.size / 2) * lane.count_width);
}

Place find_in(const LaneView& lane, const Window& window, std::string_view token) noexcept {
  return find_in_run(lane.tokens, static_cast<std::size_t>(lane.length), window.first, window.size, token);
}

Place TokenCounts::Lane::find(std::string_view token) const noexcept {
  if (runs.size() <= 1) {
    if (view.size == 0 || view.length != token.size()) {
      return {view.size != 0 && view.length < token.size() ? view.size : 0, false};
    }
    const Window window = sample_window(view, token);
    prefetch(view, window);
    return find_in(view, window, token);
  }
  const auto run = std::lower_bound(runs.begin(), runs.end(), token.size(),
                                    [](const Run& r, std::uint64_t length) { return r.length < length; });
  if (run == runs.end() || run->length != token.size()) {
    return {run == runs.end() ? view.size : run->first, false};
  }
  Place place = find_in_run(view.tokens + run->offset, token.size(), 0, run->size, token);
  place.at += run->first;
  return place;
}

}  // namespace stele

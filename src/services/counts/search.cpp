// Searches tokens in a lane. Tokens of one length are compared as integers with the same order as their bytes. For 3,
// 5, 6, 7 and 9 to 15 bytes, an integer is two loads that overlap; the doubled bytes do not change the order.

#include <algorithm>
#include <cstring>

#include "services/counts/lane.hpp"

namespace stele {
namespace {

__extension__ using Wide = unsigned __int128;

struct OneByte {
  static unsigned load(const std::byte* p, std::size_t) noexcept { return std::to_integer<unsigned>(*p); }
};
struct UpTo3 {
  static std::uint32_t load(const std::byte* p, std::size_t length) noexcept {
    return std::uint32_t{load_be<std::uint16_t>(p)} << 16 | load_be<std::uint16_t>(p + length - 2);
  }
};
struct UpTo7 {
  static std::uint64_t load(const std::byte* p, std::size_t length) noexcept {
    return std::uint64_t{load_be<std::uint32_t>(p)} << 32 | load_be<std::uint32_t>(p + length - 4);
  }
};
struct Exactly8 {
  static std::uint64_t load(const std::byte* p, std::size_t) noexcept { return load_be<std::uint64_t>(p); }
};
struct UpTo16 {
  static Wide load(const std::byte* p, std::size_t length) noexcept {
    return Wide{load_be<std::uint64_t>(p)} << 64 | load_be<std::uint64_t>(p + length - 8);
  }
};
struct UpTo32 {
  struct Two {
    Wide high;
    Wide low;
    // without branches, unlike the default
    bool operator<=(const Two& other) const noexcept {
      return (high < other.high) | ((high == other.high) & (low <= other.low));
    }
    bool operator<(const Two& other) const noexcept {
      return (high < other.high) | ((high == other.high) & (low < other.low));
    }
    bool operator==(const Two& other) const noexcept { return (high == other.high) & (low == other.low); }
  };
  static Two load(const std::byte* p, std::size_t length) noexcept {
    return {UpTo16::load(p, 16), UpTo16::load(p + length - 16, 16)};
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

/// Calls `use` with the key type for a length of 1 or more.
template <class F>
auto with_key(std::size_t length, const F& use) noexcept {
  return length > 32   ? use(Longer())
         : length > 16 ? use(UpTo32())
         : length > 8  ? use(UpTo16())
         : length == 8 ? use(Exactly8())
         : length >= 4 ? use(UpTo7())
         : length >= 2 ? use(UpTo3())
                       : use(OneByte());
}

/// The last of `size` keys, at least one, that is not greater than `key`; 0 if there is none. `load(i)` returns key i.
/// Compares three keys at a time, which takes as long as one, and has no unpredictable branch.
template <class Load, class Key>
inline std::uint64_t last_to(std::uint64_t size, const Key key, const Load load) noexcept {
  std::uint64_t first = 0;
  while (size > 3) {
    const std::uint64_t quarter = size / 4;
    const std::uint64_t steps = std::uint64_t{load(first + quarter) <= key} +
                                std::uint64_t{load(first + 2 * quarter) <= key} +
                                std::uint64_t{load(first + 3 * quarter) <= key};
    first += steps * quarter;
    size -= 3 * quarter;  // the last part's size; if another part is shorter, the keys after it are greater than `key`
  }
  std::uint64_t steps = 0;
  for (std::uint64_t i = 1; i < size; ++i) {
    steps += std::uint64_t{load(first + i) <= key};
  }
  return first + steps;
}

/// The last of `size` tokens of one length that is not greater than `token`.
template <class Key>
std::uint64_t last_token_to(const std::byte* tokens, std::size_t length, std::uint64_t size,
                            const std::byte* token) noexcept {
  return last_to(size, Key::load(token, length),
                 [=](std::uint64_t i) { return Key::load(tokens + i * length, length); });
}

Place find_in_run(const std::byte* tokens, std::size_t length, std::uint64_t size, std::string_view token) noexcept {
  if (length == 0) {
    return {0, true};  // the empty token is the only one of its length
  }
  const auto* bytes = reinterpret_cast<const std::byte*>(token.data());
  return with_key(length, [=]<class Key>(Key) -> Place {
    const std::uint64_t at = last_token_to<Key>(tokens, length, size, bytes);
    const auto there = Key::load(tokens + at * length, length);
    const auto key = Key::load(bytes, length);
    return {at + (there < key ? 1 : 0), there == key};
  });
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
  const auto length = static_cast<std::size_t>(lane.length);
  const std::uint64_t block = with_key(length, [&]<class Key>(Key) {
    return last_token_to<Key>(lane.samples, length, lane.sample_total,
                              reinterpret_cast<const std::byte*>(token.data()));
  });
  const std::uint64_t first = block * tokens_per_sample;
  return {first, std::min(tokens_per_sample, lane.size - first)};
}

void prefetch(const LaneView& lane, const Window& window) noexcept {
  const std::byte* tokens = lane.tokens + window.first * lane.length;
  const std::uint64_t bytes = window.size * lane.length;
  const std::uint64_t step = bytes > 1024 ? bytes / 16 : 64;
  for (std::uint64_t offset = 0; offset < bytes; offset += step) {
    __builtin_prefetch(tokens + offset);
  }
  __builtin_prefetch(lane.low + (window.first + window.size / 2) * lane.count_width);
}

Place find_in(const LaneView& lane, const Window& window, std::string_view token) noexcept {
  const auto length = static_cast<std::size_t>(lane.length);
  Place place = find_in_run(lane.tokens + window.first * lane.length, length, window.size, token);
  place.at += window.first;
  return place;
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
  Place place = find_in_run(view.tokens + run->offset, token.size(), run->size, token);
  place.at += run->first;
  return place;
}

}  // namespace stele

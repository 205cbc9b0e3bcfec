#pragma once
// Runs of texts and numbers: where a container holds many of them, they cross the seam by the dozen, not one by one.

#include <array>
#include <cstddef>
#include <limits>
#include <span>
#include <string>
#include <type_traits>

#include "stele/walk/family.hpp"

namespace stele::walk {

/// What a PlainItem can stand for.
template <class T>
inline constexpr bool is_plain = [] {
  if constexpr (has_own_way<T>) {
    return false;
  } else {
    return std::is_same_v<T, std::string> || (family<T>() == Family::integer && !std::is_same_v<T, char>) ||
           family<T>() == Family::real;
  }
}();

/// Below it a run costs more than it saves.
inline constexpr std::size_t shortest_run = 8;

template <class T>
PlainItem plain_item(const T& value) noexcept {
  if constexpr (std::is_same_v<T, std::string>) {
    return {value.data(), value.size(), Number::Type::natural};
  } else if constexpr (std::is_same_v<T, double>) {
    return {nullptr, __builtin_bit_cast(std::uint64_t, value), Number::Type::float64};
  } else if constexpr (std::is_same_v<T, float>) {
    return {nullptr, __builtin_bit_cast(std::uint32_t, value), Number::Type::float32};
  } else if constexpr (std::is_signed_v<T>) {
    const auto bits = static_cast<std::uint64_t>(static_cast<std::int64_t>(value));
    return value < 0 ? PlainItem{nullptr, ~bits, Number::Type::negative}
                     : PlainItem{nullptr, bits, Number::Type::natural};
  } else {
    return {nullptr, static_cast<std::uint64_t>(value), Number::Type::natural};
  }
}

/// False where a conversion is called for, or an error: As<T>::read() does these.
template <class T>
bool take_plain(const PlainItem& item, T& value) {
  if constexpr (std::is_same_v<T, std::string>) {
    value.assign(item.text, static_cast<std::size_t>(item.bits));
    return true;
  } else if constexpr (std::is_same_v<T, double>) {
    value = __builtin_bit_cast(double, item.bits);
    return item.type == Number::Type::float64;
  } else if constexpr (std::is_same_v<T, float>) {
    value = __builtin_bit_cast(float, static_cast<std::uint32_t>(item.bits));
    return item.type == Number::Type::float32;
  } else {
    const bool negative = item.type == Number::Type::negative;
    value = static_cast<T>(negative ? ~item.bits : item.bits);
    return (item.type == Number::Type::natural || (negative && std::is_signed_v<T>)) &&
           item.bits <= static_cast<std::uint64_t>(std::numeric_limits<T>::max());
  }
}

/// Gathers items for OutVisitor::plain_items(). What it was given must stay until flush(), which comes last.
class Run {
 public:
  explicit Run(OutVisitor& out) noexcept : out_(out) {}
  template <class T>
  void add(const T& item) {
    if (count_ == most) {
      flush();
    }
    items_[count_++] = plain_item(item);
  }
  void flush() {
    out_.plain_items({items_, count_});
    count_ = 0;
  }

 private:
  static constexpr std::size_t most = 128;
  OutVisitor& out_;
  std::size_t count_ = 0;
  PlainItem items_[most];
};

/// Reads the rest of a sequence, or with two kinds of a map: in runs, whose entries `take` uses one by one until it
/// returns false, and else by `one`, which reads the entry that next() moved to.
template <std::size_t N, class Take, class One>
void read_entries(InVisitor& in, const std::array<PlainItem::Kind, N>& kinds, Take&& take, One&& one) {
  PlainItem run[64 * N];
  for (bool runs = true;;) {
    if (runs) {
      const std::size_t count = in.peek_plain_items(kinds, run);
      std::size_t used = 0;
      while (used < count && take(run + N * used)) {
        ++used;
      }
      in.take_plain_items(used);
      runs = used == count;
    }
    if (!in.next()) {
      return;
    }
    one();
  }
}

/// The kind of item that T is read from.
template <class T>
inline constexpr PlainItem::Kind plain_kind =
    std::is_same_v<T, std::string> ? PlainItem::Kind::text : PlainItem::Kind::number;

}  // namespace stele::walk

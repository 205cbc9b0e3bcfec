#pragma once
// Data for the stores: keys in a random or a rising order, and values of random bytes.

#include <array>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

#include "bench.hpp"

namespace bench {

using Bytes = std::span<const std::byte>;

/// Every number once, in an order that looks random: the finalizer of SplitMix64.
inline std::uint64_t mix(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9U;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBU;
  return x ^ (x >> 31);
}

/// A key in both forms: a text of 16 hexadecimal digits, or an integer.
struct StoreKey {
  std::uint64_t number = 0;
  std::array<char, 16> digits{};

  std::string_view text() const { return {digits.data(), digits.size()}; }
};

/// The key of the entry that is put as number `i`: texts come in a random order, integers in a rising one.
inline StoreKey store_key(std::uint64_t i, bool integers) {
  StoreKey key;
  key.number = i;
  if (!integers) {
    std::uint64_t left = mix(i + 1);
    for (char& digit : key.digits) {
      digit = "0123456789abcdef"[left >> 60];
      left <<= 4;
    }
  }
  return key;
}

/// Values of one size: pieces of a buffer of random bytes, each from another place.
class StoreValues {
 public:
  explicit StoreValues(std::size_t size) : size_(size), pool_(starts + size / 8 + 1) {
    for (std::uint64_t i = 0; i < pool_.size(); ++i) {
      pool_[i] = mix(i + 1);
    }
  }
  Bytes at(std::uint64_t i) const { return std::as_bytes(std::span(pool_)).subspan(mix(i) % (8 * starts), size_); }
  std::size_t size() const noexcept { return size_; }

 private:
  static constexpr std::size_t starts = 512 * 1024;
  std::size_t size_;
  std::vector<std::uint64_t> pool_;
};

/// Reads all bytes.
inline std::uint64_t touch(Bytes bytes) {
  std::uint64_t sum = 0;
  std::size_t i = 0;
  for (; i + 8 <= bytes.size(); i += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data() + i, 8);
    sum += word;
  }
  for (; i < bytes.size(); ++i) {
    sum += std::to_integer<std::uint64_t>(bytes[i]);
  }
  return sum;
}

}  // namespace bench

#pragma once
// Bits in a row, the lowest of each byte first, and numbers of variable length.

#include <bit>
#include <cstdint>
#include <optional>
#include <vector>

#include "stele/io.hpp"

namespace stele::state_text {

class BitWriter {
 public:
  explicit BitWriter(std::vector<std::byte>& out) : out_(out) {}
  /// The low `count` bits of `value`, at most 32; those above are zero.
  void put(std::uint64_t value, unsigned count) {
    bits_ |= value << have_;
    have_ += count;
    while (have_ >= 8) {
      out_.push_back(static_cast<std::byte>(bits_ & 0xff));
      bits_ >>= 8;
      have_ -= 8;
    }
  }
  /// An Exp-Golomb code: small numbers take few bits.
  void put_small(std::uint32_t value) {
    const auto width = static_cast<unsigned>(std::bit_width(value + 1));
    put(0, width - 1);
    put(1, 1);
    put((value + 1) & ((1U << (width - 1)) - 1), width - 1);
  }
  /// Fills the last byte with zero bits.
  void finish() {
    if (have_ > 0) {
      out_.push_back(static_cast<std::byte>(bits_ & 0xff));
      bits_ = 0;
      have_ = 0;
    }
  }

 private:
  std::vector<std::byte>& out_;
  std::uint64_t bits_ = 0;
  unsigned have_ = 0;
};

class BitReader {
 public:
  explicit BitReader(Bytes bytes) : bytes_(bytes) {}
  /// `count` bits, at most 32. Past the end they are zero, and exhausted() tells.
  std::uint32_t get(unsigned count) {
    while (have_ < count) {
      std::uint64_t next = 0;
      if (at_ < bytes_.size()) {
        next = std::to_integer<std::uint64_t>(bytes_[at_++]);
      } else {
        exhausted_ = true;
      }
      bits_ |= next << have_;
      have_ += 8;
    }
    const auto value = static_cast<std::uint32_t>(bits_ & ((std::uint64_t{1} << count) - 1));
    bits_ >>= count;
    have_ -= count;
    return value;
  }
  std::uint32_t get_small() {
    unsigned width = 0;
    while (get(1) == 0) {
      if (++width > 16) {
        exhausted_ = true;
        return 0;
      }
    }
    return (1U << width) - 1 + get(width);
  }
  bool exhausted() const noexcept { return exhausted_; }
  /// Bytes begun.
  std::size_t used() const noexcept { return at_; }

 private:
  Bytes bytes_;
  std::size_t at_ = 0;
  std::uint64_t bits_ = 0;
  unsigned have_ = 0;
  bool exhausted_ = false;
};

/// 7 bits to a byte, the lowest first, the highest bit set in all bytes but the last (LEB128).
inline void put_number(std::vector<std::byte>& out, std::uint64_t value) {
  while (value >= 0x80) {
    out.push_back(static_cast<std::byte>((value & 0x7f) | 0x80));
    value >>= 7;
  }
  out.push_back(static_cast<std::byte>(value));
}
/// The reverse; takes the bytes from the front of `from`. Nothing where they end too early or go beyond 64 bits.
inline std::optional<std::uint64_t> get_number(Bytes& from) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < from.size() && i < 10; ++i) {
    const auto byte = std::to_integer<std::uint64_t>(from[i]);
    if (i == 9 && byte > 1) {
      return std::nullopt;
    }
    value |= (byte & 0x7f) << (7 * i);
    if (byte < 0x80) {
      from = from.subspan(i + 1);
      return value;
    }
  }
  return std::nullopt;
}

/// Signed numbers as unsigned ones, so that both 1 and -1 are small.
inline std::uint64_t zigzag(std::int64_t value) noexcept {
  return static_cast<std::uint64_t>(value) << 1 ^ static_cast<std::uint64_t>(value >> 63);
}
inline std::int64_t unzigzag(std::uint64_t value) noexcept {
  return static_cast<std::int64_t>(value >> 1 ^ (~(value & 1) + 1));
}

}  // namespace stele::state_text

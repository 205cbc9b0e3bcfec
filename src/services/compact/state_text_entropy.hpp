#pragma once
// An entropy coder for short texts: rANS (Duda, "Asymmetric numeral systems", arXiv:1311.2540) over the bytes of a state,
// with the frequencies of the bytes in front, or taken from a dictionary. It has what Deflate and Zstandard leave on the
// table for a few kilobytes of small counters: codes of fractions of a bit, and tables of a few bytes.

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "services/compact/state_text_frozen.hpp"
#include "stele/io.hpp"

namespace stele::state_text {

/// How often each symbol comes; the sum is text_frozen::frequency_total. A symbol of 0 cannot be coded.
template <std::size_t Symbols>
using FrequenciesOf = std::array<std::uint16_t, Symbols>;
using Frequencies = FrequenciesOf<256>;

/// A symbol ready for encoding.
struct EncodedSymbol {
  std::uint32_t reciprocal = 0;  // 2^(32 + shift) / frequency - 2^32, rounded up
  std::uint16_t frequency = 0;
  std::uint16_t start = 0;
  std::uint8_t shift = 0;
};
EncodedSymbol encoded_symbol(std::uint32_t start, std::uint32_t frequency) noexcept;

/// Writes symbols, the last one first. Numbers are little-endian: two states of 32 bits, then words of 16 bits.
class EntropyWriter {
 public:
  /// `room` holds the words of `count` symbols: 2 bytes each at most, and the states.
  EntropyWriter(std::vector<std::byte>& room, std::size_t count);
  /// Symbol `index`, which counts down to 0.
  void put(std::size_t index, const EncodedSymbol& symbol) noexcept {
    std::uint32_t& state = states_[index & 1];
    if (state >= std::uint64_t{symbol.frequency} << (32 - text_frozen::frequency_bits)) {
      at_ -= 2;
      at_[0] = static_cast<std::byte>(state & 0xff);
      at_[1] = static_cast<std::byte>(state >> 8 & 0xff);
      state >>= 16;
    }
    const std::uint64_t product = std::uint64_t{state} * symbol.reciprocal >> 32;
    const auto quotient = static_cast<std::uint32_t>((state + product) >> symbol.shift);
    state = (quotient << text_frozen::frequency_bits) + (state - quotient * symbol.frequency) + symbol.start;
  }
  /// What was written, in `room`.
  Bytes finish() noexcept;

 private:
  std::array<std::uint32_t, 2> states_ = {text_frozen::state_least, text_frozen::state_least};
  std::byte* at_;
  std::byte* end_;
};

/// Reads symbols, the first one first.
class EntropyReader {
 public:
  /// `bytes` must outlive it. Bytes that are too few are a failure, told by finish().
  explicit EntropyReader(Bytes bytes) noexcept;
  /// What tells symbol `index`.
  std::uint32_t slot(std::size_t index) const noexcept {
    return states_[index & 1] & (text_frozen::frequency_total - 1);
  }
  /// Goes on behind symbol `index`; `place` is its slot minus the first slot of the symbol.
  void advance(std::size_t index, std::uint32_t frequency, std::uint32_t place) noexcept {
    std::uint32_t& state = states_[index & 1];
    state = frequency * (state >> text_frozen::frequency_bits) + place;
    if (state < text_frozen::state_least) {
      if (end_ - at_ < 2) {
        failed_ = true;
        state |= text_frozen::state_least;
        return;
      }
      state = state << 16 | std::to_integer<std::uint32_t>(at_[1]) << 8 | std::to_integer<std::uint32_t>(at_[0]);
      at_ += 2;
    }
  }
  bool failed() const noexcept { return failed_; }
  /// Whether all bytes were read and both states are where the writer began.
  bool finish() const noexcept {
    return !failed_ && at_ == end_ && states_[0] == text_frozen::state_least && states_[1] == text_frozen::state_least;
  }

 private:
  std::array<std::uint32_t, 2> states_ = {text_frozen::state_least, text_frozen::state_least};
  const std::byte* at_;
  const std::byte* end_;
  bool failed_ = false;
};

/// How many times each byte comes.
using Histogram = std::array<std::uint32_t, 256>;
Histogram histogram_of(Bytes bytes) noexcept;

/// What a coder with the best frequencies takes for each symbol, in 1/256 bits.
std::array<std::uint32_t, 256> costs_of(const Histogram& histogram) noexcept;

/// Codes `plain`, which lies in one piece of equal size for each of the histograms (at most 8), with frequencies of its
/// own for each. Appends to `out`. `room` is scratch.
void entropy_encode(Bytes plain, std::span<const Histogram> histograms, std::vector<std::byte>& room,
                    std::vector<std::byte>& out);
/// The reverse, `plain` in full, which lies in `planes` pieces. False for what entropy_encode() does not make.
bool entropy_decode(Bytes coded, std::size_t planes, MutableBytes plain);

}  // namespace stele::state_text

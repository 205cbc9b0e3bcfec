#pragma once
// An entropy coder for short texts: rANS (Duda, "Asymmetric numeral systems", arXiv:1311.2540) over the bytes of a
// state, with the frequencies of the bytes in front, or taken from a dictionary. It has what Deflate and Zstandard
// leave on the table for a few kilobytes of small counters: codes of fractions of a bit, and tables of a few bytes.

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.hpp"
#include "services/text/frozen.hpp"
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
  /// `room` is made to hold the words of `count` symbols: 2 bytes each at most, and the states.
  EntropyWriter(std::vector<std::byte>& room, std::size_t count);
  /// The symbols from `first` up to `last`, which symbol(index) gives; called with falling ranges.
  template <class Symbol>
  void put(std::size_t first, std::size_t last, Symbol&& symbol) noexcept {
    // In registers: each step waits for the one before it of the same state.
    std::uint32_t even = states_[0];
    std::uint32_t odd = states_[1];
    std::size_t i = last;
    if (i > first && i % 2 == 1) {
      put(even, symbol(--i));
    }
    while (i >= first + 2) {
      put(odd, symbol(--i));
      put(even, symbol(--i));
    }
    if (i > first) {
      put(odd, symbol(--i));
    }
    states_ = {even, odd};
  }
  /// What was written, in `room`.
  Bytes finish() noexcept;

 private:
  /// Whether a word goes out is a matter of chance, so nothing branches on it.
  void put(std::uint32_t& state, const EncodedSymbol& symbol) noexcept {
    const bool full = state >= std::uint64_t{symbol.frequency} << (32 - text_frozen::frequency_bits);
    store_le<std::uint16_t>(at_ - 2, static_cast<std::uint16_t>(state & 0xffff));
    const unsigned bits = static_cast<unsigned>(full) << 4;
    at_ -= bits >> 3;
    state >>= bits;
    const std::uint64_t product = std::uint64_t{state} * symbol.reciprocal >> 32;
    const auto quotient = static_cast<std::uint32_t>((state + product) >> symbol.shift);
    state = (quotient << text_frozen::frequency_bits) + (state - quotient * symbol.frequency) + symbol.start;
  }

  std::array<std::uint32_t, 2> states_ = {text_frozen::state_least, text_frozen::state_least};
  std::byte* at_;
  std::byte* end_;
};

/// Reads symbols, the first one first.
class EntropyReader {
 public:
  /// What a slot belongs to.
  struct Found {
    std::uint32_t frequency;
    std::uint32_t place;  // of the slot among those of its symbol
  };

  /// `bytes` must outlive it. Where they are too few or too many, finish() tells.
  explicit EntropyReader(Bytes bytes) noexcept;
  /// The symbols from `first` up to `last`: find(index, slot) takes one and returns what was found. Called with rising
  /// ranges.
  template <class Find>
  void get(std::size_t first, std::size_t last, Find&& find) noexcept {
    std::uint32_t even = states_[0];
    std::uint32_t odd = states_[1];
    std::size_t i = first;
    if (i < last && i % 2 == 1) {
      get(odd, i++, find);
    }
    for (; i + 2 <= last; i += 2) {
      get(even, i, find);
      get(odd, i + 1, find);
    }
    if (i < last) {
      get(even, i, find);
    }
    states_ = {even, odd};
  }
  /// Whether all words were read and no more than there are, and both states are where the writer began.
  bool finish() const noexcept {
    return !failed_ && next_ == count_ && states_[0] == text_frozen::state_least &&
           states_[1] == text_frozen::state_least;
  }

 private:
  template <class Find>
  void get(std::uint32_t& state, std::size_t index, Find&& find) noexcept {
    const Found found = find(index, state & (text_frozen::frequency_total - 1));
    const std::uint32_t left = found.frequency * (state >> text_frozen::frequency_bits) + found.place;
    const bool low = left < text_frozen::state_least;
    const std::uint32_t word = load_le<std::uint16_t>(words_ + 2 * std::min(next_, last_));
    state = low ? left << 16 | word : left;
    next_ += low ? 1 : 0;
  }

  std::array<std::uint32_t, 2> states_ = {text_frozen::state_least, text_frozen::state_least};
  const std::byte* words_;
  std::size_t next_ = 0;
  std::size_t count_ = 0;
  std::size_t last_ = 0;  // the last word, read again where more are wanted
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

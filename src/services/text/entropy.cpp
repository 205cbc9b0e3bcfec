#include "services/text/entropy.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <memory>

#include "services/text/bits.hpp"

namespace stele::state_text {
namespace {

constexpr std::size_t states_bytes = 8;

// ---- weights ----
// What is stored of a frequency is a weight with few bits of mantissa. Both sides make the frequencies from the
// weights.

constexpr std::uint32_t absent = 0;  // classes: absent, weight 0, then 1 + the bits of the weight

struct Weight {
  std::uint32_t size_class = absent;
  std::uint32_t mantissa = 0;
  std::uint32_t value = 0;
};

constexpr unsigned mantissa_of(std::uint32_t size_class) {
  return size_class < 2 ? 0 : std::min(text_frozen::mantissa_bits, size_class - 2);
}
constexpr std::uint32_t weight_value(std::uint32_t size_class, std::uint32_t mantissa) {
  if (size_class < 2) {
    return 0;
  }
  const unsigned power = size_class - 2;
  return (1U << power) | mantissa << (power - mantissa_of(size_class));
}
constexpr std::uint32_t largest_class = 2 + text_frozen::frequency_bits - 1;

/// The nearest weight to `value`.
Weight round_weight(std::uint32_t value) {
  Weight weight;
  weight.size_class = 1;
  if (value == 0) {
    return weight;
  }
  unsigned power = static_cast<unsigned>(std::bit_width(value)) - 1;
  if (power > text_frozen::mantissa_bits) {
    value = std::min(value + (1U << (power - text_frozen::mantissa_bits)) / 2, text_frozen::frequency_total - 1);
    power = static_cast<unsigned>(std::bit_width(value)) - 1;
  }
  weight.size_class = 2 + power;
  const unsigned kept = mantissa_of(weight.size_class);
  weight.mantissa = value >> (power - kept) & ((1U << kept) - 1);
  weight.value = weight_value(weight.size_class, weight.mantissa);
  return weight;
}

using Weights = std::array<Weight, 256>;

/// Each symbol that is there gets 1, the rest is shared in proportion to the weights, and what rounding leaves goes to
/// the first symbol of the largest weight.
Frequencies share_out(const Weights& weights) noexcept {
  Frequencies frequencies{};
  std::uint32_t present = 0;
  std::uint32_t sum = 0;
  std::size_t largest = weights.size();
  for (std::size_t i = 0; i < weights.size(); ++i) {
    if (weights[i].size_class != absent) {
      ++present;
      sum += weights[i].value;
      if (largest == weights.size() || weights[i].value > weights[largest].value) {
        largest = i;
      }
    }
  }
  if (present == 0) {
    return frequencies;
  }
  const std::uint32_t to_share = text_frozen::frequency_total - present;
  std::uint32_t left = text_frozen::frequency_total;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    if (weights[i].size_class != absent) {
      const std::uint32_t share = 1 + (sum == 0 ? 0 : weights[i].value * to_share / sum);
      frequencies[i] = static_cast<std::uint16_t>(share);
      left -= share;
    }
  }
  frequencies[largest] = static_cast<std::uint16_t>(frequencies[largest] + left);
  return frequencies;
}

Weights weigh(const Histogram& histogram) noexcept {
  std::uint64_t total = 0;
  for (const std::uint32_t count : histogram) {
    total += count;
  }
  Weights weights;
  for (std::size_t i = 0; i < histogram.size(); ++i) {
    if (histogram[i] != 0) {
      const auto target =
          static_cast<std::uint32_t>((std::uint64_t{histogram[i]} * text_frozen::frequency_total + total / 2) / total);
      weights[i] = round_weight(std::clamp(target, 1U, text_frozen::frequency_total) - 1);
    }
  }
  return weights;
}

void put_weights(BitWriter& out, const Weights& weights) {
  std::size_t last = 255;
  while (last > 0 && weights[last].size_class == absent) {
    --last;
  }
  out.put(last, 8);
  std::uint32_t before = 0;
  for (std::size_t i = 0; i <= last; ++i) {
    const Weight& weight = weights[i];
    const int step = static_cast<int>(weight.size_class) - static_cast<int>(before);
    out.put_small(static_cast<std::uint32_t>(zigzag(step)));
    out.put(weight.mantissa, mantissa_of(weight.size_class));
    before = weight.size_class;
  }
}

/// False for what put_weights() does not make.
bool get_weights(BitReader& in, Weights& weights) {
  const std::uint32_t last = in.get(8);
  std::int64_t size_class = 0;
  for (std::size_t i = 0; i <= last; ++i) {
    size_class += unzigzag(in.get_small());
    if (in.exhausted() || size_class < 0 || size_class > largest_class) {
      return false;
    }
    Weight& weight = weights[i];
    weight.size_class = static_cast<std::uint32_t>(size_class);
    weight.mantissa = in.get(mantissa_of(weight.size_class));
    weight.value = weight_value(weight.size_class, weight.mantissa);
  }
  return !in.exhausted() && size_class != absent;
}

/// A slot's symbol (8 bits), its frequency minus 1 (12), and the slot minus the symbol's first (12).
using Slots = std::array<std::uint32_t, text_frozen::frequency_total>;

void fill_slots(const Frequencies& frequencies, Slots& slots) {
  std::size_t at = 0;
  for (std::uint32_t symbol = 0; symbol < 256; ++symbol) {
    const std::uint32_t frequency = frequencies[symbol];
    const std::uint32_t entry = symbol | (frequency - 1) << 8;
    for (std::uint32_t place = 0; place < frequency; ++place) {
      slots[at++] = entry | place << 20;
    }
  }
}

}  // namespace

EncodedSymbol encoded_symbol(std::uint32_t start, std::uint32_t frequency) noexcept {
  EncodedSymbol symbol;
  symbol.frequency = static_cast<std::uint16_t>(frequency);
  symbol.start = static_cast<std::uint16_t>(start);
  if (frequency > 1) {
    symbol.shift = static_cast<std::uint8_t>(std::bit_width(frequency - 1));
    const std::uint64_t power = std::uint64_t{1} << (32 + symbol.shift);
    symbol.reciprocal = static_cast<std::uint32_t>((power + frequency - 1) / frequency - (std::uint64_t{1} << 32));
  }
  return symbol;
}

EntropyWriter::EntropyWriter(std::vector<std::byte>& room, std::size_t count) {
  if (room.size() < 2 * count + states_bytes) {
    room.resize(2 * count + states_bytes);
  }
  end_ = room.data() + room.size();
  at_ = end_;
}

Bytes EntropyWriter::finish() noexcept {
  at_ -= states_bytes;
  store_le<std::uint32_t>(at_, states_[0]);
  store_le<std::uint32_t>(at_ + 4, states_[1]);
  return {at_, end_};
}

EntropyReader::EntropyReader(Bytes bytes) noexcept {
  static constexpr std::array<std::byte, 2> none{};
  words_ = none.data();
  if (bytes.size() < states_bytes || bytes.size() % 2 != 0) {
    failed_ = true;
    return;
  }
  states_ = {load_le<std::uint32_t>(bytes.data()), load_le<std::uint32_t>(bytes.data() + 4)};
  failed_ = states_[0] < text_frozen::state_least || states_[1] < text_frozen::state_least;
  count_ = (bytes.size() - states_bytes) / 2;
  if (count_ > 0) {
    words_ = bytes.data() + states_bytes;
    last_ = count_ - 1;
  }
}

Histogram histogram_of(Bytes bytes) noexcept {
  // Four at a time, so that equal neighbours do not wait for one another.
  std::array<Histogram, 4> parts{};
  std::size_t i = 0;
  for (; i + 4 <= bytes.size(); i += 4) {
    for (std::size_t k = 0; k < 4; ++k) {
      ++parts[k][std::to_integer<std::size_t>(bytes[i + k])];
    }
  }
  for (; i < bytes.size(); ++i) {
    ++parts[0][std::to_integer<std::size_t>(bytes[i])];
  }
  for (std::size_t symbol = 0; symbol < 256; ++symbol) {
    parts[0][symbol] += parts[1][symbol] + parts[2][symbol] + parts[3][symbol];
  }
  return parts[0];
}

std::array<std::uint32_t, 256> costs_of(const Histogram& histogram) noexcept {
  const Frequencies frequencies = share_out(weigh(histogram));
  std::array<std::uint32_t, 256> costs{};
  for (std::size_t i = 0; i < costs.size(); ++i) {
    if (frequencies[i] != 0) {
      costs[i] = static_cast<std::uint32_t>(
          256 * (static_cast<float>(text_frozen::frequency_bits) - std::log2(static_cast<float>(frequencies[i]))));
    }
  }
  return costs;
}

void entropy_encode(Bytes plain, std::span<const Histogram> histograms, std::vector<std::byte>& room,
                    std::vector<std::byte>& out) {
  if (plain.empty()) {
    return;
  }
  const std::size_t planes = histograms.size();
  const std::size_t count = plain.size() / planes;
  BitWriter bits(out);
  std::vector<std::array<EncodedSymbol, 256>> symbols(planes);
  for (std::size_t plane = 0; plane < planes; ++plane) {
    const Weights weights = weigh(histograms[plane]);
    put_weights(bits, weights);
    const Frequencies frequencies = share_out(weights);
    std::uint32_t start = 0;
    for (std::size_t i = 0; i < 256; ++i) {
      if (frequencies[i] != 0) {
        symbols[plane][i] = encoded_symbol(start, frequencies[i]);
        start += frequencies[i];
      }
    }
  }
  bits.finish();
  EntropyWriter writer(room, plain.size());
  for (std::size_t plane = planes; plane-- > 0;) {
    const auto& of_plane = symbols[plane];
    writer.put(plane * count, (plane + 1) * count,
               [&](std::size_t i) -> const EncodedSymbol& { return of_plane[std::to_integer<std::size_t>(plain[i])]; });
  }
  const Bytes words = writer.finish();
  out.insert(out.end(), words.begin(), words.end());
}

bool entropy_decode(Bytes coded, std::size_t planes, MutableBytes plain) {
  const std::size_t count = plain.size() / planes;
  if (count == 0) {
    return coded.empty();
  }
  BitReader bits(coded);
  std::array<Frequencies, 8> frequencies;
  for (std::size_t plane = 0; plane < planes; ++plane) {
    Weights weights;
    if (!get_weights(bits, weights)) {
      return false;
    }
    frequencies[plane] = share_out(weights);
  }
  const auto slots = std::make_unique_for_overwrite<Slots>();
  EntropyReader reader(coded.subspan(bits.used()));
  for (std::size_t plane = 0; plane < planes; ++plane) {
    fill_slots(frequencies[plane], *slots);
    reader.get(plane * count, (plane + 1) * count, [&](std::size_t i, std::uint32_t slot) -> EntropyReader::Found {
      const std::uint32_t entry = (*slots)[slot];
      plain[i] = static_cast<std::byte>(entry & 0xff);
      return {(entry >> 8 & 4095) + 1, entry >> 20};
    });
  }
  return reader.finish();
}

}  // namespace stele::state_text

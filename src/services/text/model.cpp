#include "services/text/model.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <string>

#include "services/text/bits.hpp"
#include "stele/error.hpp"

namespace stele::state_text {
namespace {

constexpr int classes_per_octave = 2;
constexpr int least_shift = -64;
constexpr int most_shift = 63;
constexpr int has_escapes = 0x80;  // in the first byte, beside the shift

/// How many classes a number of times `ratio` counters lie apart.
int steps_of(double ratio) {
  return static_cast<int>(std::lround(std::clamp(classes_per_octave * std::log2(ratio), -1000.0, 1000.0)));
}

double total_of(Bytes counters) {
  std::uint64_t total = 0;
  for (const std::byte counter : counters) {
    total += std::to_integer<std::uint64_t>(counter);
  }
  return static_cast<double>(total);
}

int shift_of(double total, double mean_total) {
  return std::clamp(steps_of((total + 1) / (mean_total + 1)), least_shift, most_shift);
}

std::size_t shifted(std::size_t place_class, int shift, std::size_t classes) {
  return static_cast<std::size_t>(std::clamp(static_cast<int>(place_class) + shift, 0, static_cast<int>(classes) - 1));
}

[[noreturn]] void damaged(const char* what) { fail(Errc::damaged, std::string("the dictionary's model: ") + what); }

using Counts = std::array<std::uint64_t, model_symbols>;

/// Frequencies with a little room for what was not met.
void put_frequencies(Counts counts, std::vector<std::uint16_t>& out) {
  // A table of slots tells at most 256 symbols apart, of which one is the escape.
  std::size_t present =
      static_cast<std::size_t>(256 - std::count(counts.begin(), counts.begin() + 256, std::uint64_t{0}));
  if (present == 256) {
    *std::min_element(counts.begin(), counts.begin() + 256) = 0;
    --present;
  }
  std::uint64_t total = std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
  while (total >> 50 != 0) {  // so that products fit
    for (std::uint64_t& count : counts) {
      count = (count + 1) / 2;
    }
    total = std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
  }
  counts[escape] = std::max<std::uint64_t>(1, counts[escape]);
  ++total;
  const std::uint64_t to_share = text_frozen::frequency_total - present - 1;
  std::uint32_t left = text_frozen::frequency_total;
  std::size_t largest = escape;
  const std::size_t at = out.size();
  out.resize(at + model_symbols);
  for (std::size_t i = 0; i < model_symbols; ++i) {
    if (counts[i] != 0) {
      const auto share = static_cast<std::uint32_t>(1 + counts[i] * to_share / total);
      out[at + i] = static_cast<std::uint16_t>(share);
      left -= share;
      if (counts[i] > counts[largest]) {
        largest = i;
      }
    }
  }
  out[at + largest] = static_cast<std::uint16_t>(out[at + largest] + left);
}

}  // namespace

// ---- use ----

Model::Model(const ModelContent& content) : classes_(content.classes), mean_total_(content.mean_total) {
  const std::size_t classes = content.frequencies.size() / model_symbols;
  if (classes == 0 || classes > most_classes || content.frequencies.size() % model_symbols != 0) {
    damaged("the number of its frequencies");
  }
  if (std::any_of(classes_.begin(), classes_.end(), [&](std::uint8_t c) { return c >= classes; })) {
    damaged("a class without frequencies");
  }
  if (!(mean_total_ >= 0) || !std::isfinite(mean_total_)) {
    damaged("its mean");
  }
  contexts_.resize(classes);
  for (std::size_t c = 0; c < classes; ++c) {
    const std::uint16_t* frequencies = content.frequencies.data() + c * model_symbols;
    const std::uint32_t total = std::accumulate(frequencies, frequencies + model_symbols, std::uint32_t{0});
    const auto absent = std::count(frequencies, frequencies + 256, std::uint16_t{0});
    if (total != text_frozen::frequency_total || frequencies[escape] == 0 || absent == 0) {
      damaged("frequencies that do not add up");
    }
    Context& context = contexts_[c];
    std::uint32_t start = 0;
    std::size_t index = 0;
    for (std::size_t i = 0; i < model_symbols; ++i) {
      const std::uint32_t frequency = frequencies[i];
      if (frequency == 0) {
        continue;
      }
      context.encoding[i] = encoded_symbol(start, frequency);
      context.symbols[index] = {static_cast<std::uint16_t>(frequency), static_cast<std::uint16_t>(start),
                                static_cast<std::uint16_t>(i)};
      std::fill_n(context.slots.begin() + start, frequency, static_cast<std::uint8_t>(index));
      start += frequency;
      ++index;
    }
  }
}

Model::Contexts Model::contexts_of(int shift) const noexcept {
  Contexts contexts{};
  for (std::size_t c = 0; c < contexts_.size(); ++c) {
    contexts[c] = &contexts_[shifted(c, shift, contexts_.size())];
  }
  return contexts;
}

void Model::encode(Bytes counters, std::vector<std::byte>& room, std::vector<std::byte>& out) const {
  const int shift = shift_of(total_of(counters), mean_total_ * static_cast<double>(counters.size()) /
                                                     static_cast<double>(std::max<std::size_t>(1, classes_.size())));
  const Contexts contexts = contexts_of(shift);
  EntropyWriter writer(room, counters.size());
  std::vector<std::byte> escaped;
  writer.put(0, counters.size(), [&](std::size_t i) -> const EncodedSymbol& {
    const Context& context = *contexts[classes_[i]];
    const EncodedSymbol& symbol = context.encoding[std::to_integer<std::size_t>(counters[i])];
    if (symbol.frequency == 0) {
      escaped.push_back(counters[i]);
      return context.encoding[escape];
    }
    return symbol;
  });
  out.push_back(static_cast<std::byte>((shift - least_shift) | (escaped.empty() ? 0 : has_escapes)));
  if (!escaped.empty()) {
    put_number(out, escaped.size());
  }
  out.insert(out.end(), escaped.rbegin(), escaped.rend());
  const Bytes words = writer.finish();
  out.insert(out.end(), words.begin(), words.end());
}

bool Model::decode(Bytes coded, MutableBytes counters) const {
  if (coded.empty() || counters.size() > places()) {
    return false;
  }
  const auto first = std::to_integer<int>(coded.front());
  coded = coded.subspan(1);
  const std::optional<std::uint64_t> escapes = (first & has_escapes) != 0 ? get_number(coded) : 0;
  if (!escapes || *escapes > coded.size()) {
    return false;
  }
  Bytes escaped = coded.first(static_cast<std::size_t>(*escapes));
  EntropyReader reader(coded.subspan(escaped.size()));
  const Contexts contexts = contexts_of((first & ~has_escapes) + least_shift);
  bool enough = true;
  reader.get(0, counters.size(), [&](std::size_t i, std::uint32_t slot) -> EntropyReader::Found {
    const Context& context = *contexts[classes_[i]];
    const Symbol& symbol = context.symbols[context.slots[slot]];
    if (symbol.value != escape) {
      counters[i] = static_cast<std::byte>(symbol.value);
    } else if (escaped.empty()) {
      enough = false;
    } else {
      counters[i] = escaped.front();
      escaped = escaped.subspan(1);
    }
    return {symbol.frequency, slot - symbol.start};
  });
  return enough && escaped.empty() && reader.finish();
}

// ---- training ----

void ModelTrainer::add(Bytes counters) {
  counters_.insert(counters_.end(), counters.begin(), counters.end());
  ends_.push_back(counters_.size());
}

ModelContent ModelTrainer::finish() const {
  const auto for_each_state = [&](auto&& use) {
    std::size_t begin = 0;
    for (const std::size_t end : ends_) {
      use(Bytes(counters_).subspan(begin, end - begin));
      begin = end;
    }
  };
  std::vector<double> sums;
  std::vector<double> seen;
  for_each_state([&](Bytes state) {
    if (sums.size() < state.size()) {
      sums.resize(state.size());
      seen.resize(state.size());
    }
    for (std::size_t i = 0; i < state.size(); ++i) {
      sums[i] += std::to_integer<int>(state[i]);
      ++seen[i];
    }
  });
  ModelContent content;
  std::vector<int> levels(sums.size());
  for (std::size_t i = 0; i < sums.size(); ++i) {
    content.mean_total += sums[i] / seen[i];
    levels[i] = steps_of((sums[i] + 0.5) / seen[i]);
  }
  // Two octaves above the largest class, for states with more counters than the average.
  constexpr int above = 2 * classes_per_octave;
  const int highest = levels.empty() ? 0 : *std::max_element(levels.begin(), levels.end());
  const int lowest = levels.empty() ? 0
                                    : std::max(*std::min_element(levels.begin(), levels.end()),
                                               highest + above - static_cast<int>(most_classes) + 1);
  const auto classes = static_cast<std::size_t>(highest + above - lowest + 1);
  content.classes.resize(levels.size());
  for (std::size_t i = 0; i < levels.size(); ++i) {
    content.classes[i] = static_cast<std::uint8_t>(std::max(levels[i], lowest) - lowest);
  }
  std::vector<Counts> counts(classes);
  for_each_state([&](Bytes state) {
    const int shift = shift_of(total_of(state), content.mean_total * static_cast<double>(state.size()) /
                                                    static_cast<double>(std::max<std::size_t>(1, levels.size())));
    for (std::size_t i = 0; i < state.size(); ++i) {
      ++counts[shifted(content.classes[i], shift, classes)][std::to_integer<std::size_t>(state[i])];
    }
  });
  // A little of the neighbours' counts, for values that a class happens not to have met, and from further away for
  // classes without any.
  constexpr std::uint64_t own_weight = 64;
  for (std::size_t c = 0; c < classes; ++c) {
    Counts mixed{};
    for (std::size_t distance = 0; distance < classes; ++distance) {
      const std::uint64_t weight = distance == 0 ? own_weight : 1;
      for (const bool up : {false, true}) {
        const std::size_t from = up ? c + distance : c - distance;
        if (from < classes && !(up && distance == 0)) {
          for (std::size_t i = 0; i < model_symbols; ++i) {
            mixed[i] += weight * counts[from][i];
          }
        }
      }
      if (distance >= 2 && std::any_of(mixed.begin(), mixed.end(), [](std::uint64_t n) { return n != 0; })) {
        break;
      }
    }
    put_frequencies(mixed, content.frequencies);
  }
  return content;
}

}  // namespace stele::state_text

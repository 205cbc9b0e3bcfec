#include "services/text/choice.hpp"

#include <algorithm>
#include <array>

#include "base/bytes.hpp"
#include "services/text/entropy.hpp"

namespace stele::state_text {
namespace {

constexpr std::size_t least_coded = 16;  // bytes below which a table of frequencies cannot pay

using Costs = std::array<std::uint32_t, 256>;  // in 1/256 bits

std::uint64_t cost_of(const Histogram& histogram, const Costs& costs) {
  std::uint64_t cost = 0;
  for (std::size_t i = 0; i < costs.size(); ++i) {
    cost += std::uint64_t{costs[i]} * histogram[i];
  }
  return cost;
}

/// Whether what repeats in `bytes` would save much more than it costs to say where it was before: a rough count, in one
/// pass, of what an LZ77 codec finds, against the `costs` of an entropy coder, in all `all`.
bool repeats(Bytes bytes, const Costs& costs, std::uint64_t all) {
  constexpr std::uint64_t match = 0xffffffffffff;  // six bytes
  constexpr unsigned match_bits = 20;              // length and distance
  constexpr std::size_t most = std::size_t{32} << 10;
  constexpr unsigned table_bits = 11;
  if (bytes.size() > most) {
    return true;  // the trial costs little beside the rest
  }
  if (bytes.size() < 16) {
    return false;
  }
  std::array<std::uint16_t, std::size_t{1} << table_bits> last{};
  std::uint64_t saved = 0;
  const auto at = [&](std::size_t i) { return load_le<std::uint64_t>(bytes.data() + i) & match; };
  for (std::size_t i = 1; i + 8 <= bytes.size();) {
    const std::uint64_t here = at(i);
    const std::uint64_t hash = here * 0x9e3779b97f4a7c15U >> (64 - table_bits);
    std::size_t from = last[hash];  // the first place of all, where there is none: it is as good a guess
    last[hash] = static_cast<std::uint16_t>(i);
    if (at(from) != here) {
      ++i;
      continue;
    }
    std::uint64_t cost = 0;
    for (; i < bytes.size() && bytes[from] == bytes[i]; ++from, ++i) {
      cost += costs[std::to_integer<std::size_t>(bytes[i])];
    }
    saved += cost > 256 * match_bits ? cost - 256 * match_bits : 0;
  }
  return saved > all / 16;
}

}  // namespace

const ZstdDictionary* Chooser::zstd_dictionary() const noexcept {
  return dictionary_ != nullptr && dictionary_->state().zstd ? &*dictionary_->state().zstd : nullptr;
}

bool Chooser::has_model(const std::optional<IntegerForm>& form) const noexcept {
  return form && dictionary_ != nullptr && dictionary_->state().model && form->base == 0 && !form->differences &&
         form->planes() == 1 && form->count <= dictionary_->state().model->places();
}

template <class Make>
void Chooser::offer(Codec codec, bool dictionary, bool packed, Make&& make) {
  candidate_.clear();
  make(candidate_);
  // The name of a dictionary takes four bytes.
  const auto size = [](const std::vector<std::byte>& bytes, bool named) { return bytes.size() + (named ? 4 : 0); };
  if (!taken_ || size(candidate_, dictionary) < size(best_.bytes, best_.dictionary)) {
    taken_ = true;
    best_.codec = codec;
    best_.dictionary = dictionary;
    best_.packed = packed;
    best_.bytes.swap(candidate_);
  }
}

void Chooser::offer_general(Codec codec, Bytes bytes, bool packed) {
  if (codec == Codec::stored) {
    offer(codec, false, packed, [&](auto& out) { out.assign(bytes.begin(), bytes.end()); });
    return;
  }
  const ZstdDictionary* dictionary = codec == Codec::zstd && !packed ? zstd_dictionary() : nullptr;
  offer(codec, dictionary != nullptr, packed,
        [&](auto& out) { compressor_.compress(codec, bytes, level_, Framing::lean, dictionary, out); });
}

const Body& Chooser::choose(Bytes bytes, const std::optional<IntegerForm>& form) {
  taken_ = false;
  const bool packs = form && form->bits < 8 * form->planes() && packed_size(*form) < bytes.size();
  const bool any = !codec_;
  const bool thorough = level_ > 1;
  const auto wanted = [&](Codec codec) { return any || *codec_ == codec; };
  const std::size_t planes = form ? std::max(1U, form->planes()) : 1;
  const bool coded = bytes.size() >= (any ? least_coded : 1) && (any || *codec_ == Codec::entropy);
  Histogram sum{};
  Costs costs{};
  if (coded) {
    histograms_.resize(planes);
    const std::size_t count = bytes.size() / planes;
    for (std::size_t plane = 0; plane < planes; ++plane) {
      histograms_[plane] = histogram_of(bytes.subspan(plane * count, count));
      for (std::size_t i = 0; i < sum.size(); ++i) {
        sum[i] += histograms_[plane][i];
      }
    }
    costs = costs_of(sum);
    if (has_model(form)) {
      offer(Codec::entropy, true, false, [&](auto& out) { dictionary_->state().model->encode(bytes, room_, out); });
    }
    // A state that is unlike the others may be better off with frequencies of its own, which take some bits for each.
    const auto distinct = static_cast<std::uint64_t>(256 - std::count(sum.begin(), sum.end(), 0U));
    if (!taken_ || cost_of(sum, costs) / (8 * 256) + distinct / 2 + 4 < best_.bytes.size()) {
      offer(Codec::entropy, false, false, [&](auto& out) { entropy_encode(bytes, histograms_, room_, out); });
    }
  }
  if (packs && (wanted(Codec::stored) || thorough) &&
      (!taken_ || thorough || packed_size(*form) < best_.bytes.size())) {
    pack_offsets(*form, bytes, packed_);
    for (const Codec codec : {Codec::stored, Codec::deflate, Codec::zlib, Codec::zstd}) {
      if (codec == Codec::stored ? wanted(codec)
                                 : thorough && has_library(codec) && (any ? codec != Codec::zlib : wanted(codec))) {
        offer_general(codec, packed_, true);
      }
    }
  }
  if (wanted(Codec::stored) && !packs && (!taken_ || bytes.size() < best_.bytes.size())) {
    offer_general(Codec::stored, bytes, false);
  }
  if (!any) {
    if (*codec_ == Codec::entropy && !taken_) {
      offer(Codec::entropy, false, false, [](auto&) {});  // no bytes at all
    } else if (*codec_ != Codec::entropy && *codec_ != Codec::stored) {
      offer_general(*codec_, bytes, false);
    }
    return best_;
  }
  const bool with_dictionary = zstd_dictionary() != nullptr && !form && !bytes.empty();
  if (with_dictionary || (thorough && coded && has_library(Codec::zstd))) {
    offer_general(Codec::zstd, bytes, false);
  }
  if (coded && (thorough || (!best_.dictionary && repeats(bytes, costs, cost_of(sum, costs))))) {
    offer(Codec::deflate, false, false, [&](auto& out) {
      compressor_.compress(Codec::deflate, bytes, std::max(2, level_), Framing::lean, nullptr, out);
    });
  }
  return best_;
}

void Chooser::bare(Bytes bytes, std::vector<std::byte>& out) {
  if (*codec_ == Codec::stored) {
    out.insert(out.end(), bytes.begin(), bytes.end());
  } else {
    compressor_.compress(*codec_, bytes, level_, Framing::standard, zstd_dictionary(), out);
  }
}

}  // namespace stele::state_text

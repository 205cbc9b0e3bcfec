// Chooses an encoding by trial. Samples from a few places of the array are encoded in the ways that seem promising, and
// compressed. In total this is about a twentieth of the work of compressing a large array.

#include "encoding/choice.hpp"

#include <algorithm>
#include <bit>
#include <vector>

#include "base/bytes.hpp"
#include "encoding/elements.hpp"
#include "encoding/kernels/scalar.hpp"
#include "encoding/palette.hpp"

namespace stele {
namespace {

using First = Encoding::First;
using Last = Encoding::Last;
using CompressedSize = std::function<std::size_t(Bytes)>;

constexpr std::uint64_t least_size = std::uint64_t{16} << 10;  // smaller arrays are not worth a trial
constexpr std::uint64_t least_sample = std::uint64_t{8} << 10;
constexpr std::uint64_t most_sample = std::uint64_t{192} << 10;
constexpr std::uint64_t sample_share = 96;  // one in this many bytes of the array
constexpr std::uint64_t places = 4;
constexpr std::uint64_t compressor_block = std::uint64_t{128} << 10;  // zstd uses one set of statistics per block

/// Elements from several places of an array.
class Sample {
 public:
  explicit Sample(const Elements& elements) : elements_(elements) {
    const std::uint64_t size = elements.count * elements.item_size;
    const std::uint64_t wanted = std::clamp(size / sample_share, least_sample, most_sample) / elements.item_size;
    const std::uint64_t part = std::max<std::uint64_t>(1, wanted / places);
    const std::uint64_t count = std::min(elements.count, part * places);
    bytes_.resize(static_cast<std::size_t>(count * elements.item_size));
    for (std::uint64_t at = 0; at < count; at += part) {
      const std::uint64_t place = at / part;
      const std::uint64_t items = std::min(part, count - at);
      const std::uint64_t first = (elements.count - items) * (2 * place + 1) / (2 * places);
      copy_elements(elements, first, items, bytes_.data() + at * elements.item_size);
    }
    elements_.count = count;
    elements_.dense = bytes_;
    elements_.gather = nullptr;
  }
  Sample(const Sample&) = delete;
  Sample& operator=(const Sample&) = delete;

  const Elements& elements() const noexcept { return elements_; }
  const std::byte* data() const noexcept { return bytes_.data(); }
  std::size_t count() const noexcept { return static_cast<std::size_t>(elements_.count); }
  std::size_t size() const noexcept { return bytes_.size(); }

 private:
  Elements elements_;
  std::vector<std::byte> bytes_;
};

/// How many bits fewer the difference to the previous element takes than that to a distant one; near 0 if the order of
/// the elements has no meaning.
template <class T>
double bits_saved_by_delta(const Sample& sample) {
  const std::size_t count = sample.count();
  const std::size_t stride = count / 4096 + 1;
  const auto at = [&](std::size_t i) { return load_le<T>(sample.data() + i * sizeof(T)); };
  const auto bits = [](T from, T to) { return std::bit_width(scalar::zigzag(static_cast<T>(to - from))); };
  std::int64_t saved = 0;
  std::int64_t looked_at = 0;
  for (std::size_t i = 1; i < count; i += stride) {
    const T value = at(i);
    saved += static_cast<std::int64_t>(bits(at((i + count / 2) % count), value)) -
             static_cast<std::int64_t>(bits(at(i - 1), value));
    ++looked_at;
  }
  return looked_at == 0 ? 0 : static_cast<double>(saved) / static_cast<double>(looked_at);
}
double bits_saved_by_delta(const Sample& sample) {
  if (sample.elements().element_class >= ElementClass::boolean) {
    return 0;
  }
  switch (sample.elements().item_size) {
    case 1:
      return bits_saved_by_delta<std::uint8_t>(sample);
    case 2:
      return bits_saved_by_delta<std::uint16_t>(sample);
    case 4:
      return bits_saved_by_delta<std::uint32_t>(sample);
    case 8:
      return bits_saved_by_delta<std::uint64_t>(sample);
    default:
      return 0;
  }
}

/// Estimates the number of distinct patterns in the whole array from those that occur once and twice in the sample (A.
/// Chao, Nonparametric estimation of the number of classes in a population, 1984).
std::uint64_t estimated_patterns(const Sample& sample) {
  struct Slot {
    std::uint64_t pattern = 0;
    std::uint32_t times = 0;
  };
  const std::uint32_t item_size = sample.elements().item_size;
  const std::size_t stride = sample.count() / 16384 + 1;
  const std::size_t looked_at = (sample.count() + stride - 1) / stride;
  const auto slot_bits = static_cast<unsigned>(std::bit_width(2 * looked_at));
  std::vector<Slot> slots(std::size_t{1} << slot_bits);
  std::uint64_t distinct = 0;
  std::uint64_t once = 0;
  std::uint64_t twice = 0;
  for (std::size_t i = 0; i < sample.count(); i += stride) {
    const std::uint64_t pattern = load_le(sample.data() + i * item_size, item_size);
    std::size_t at = static_cast<std::size_t>((pattern * 0x9e3779b97f4a7c15U) >> (64 - slot_bits));
    while (slots[at].times > 0 && slots[at].pattern != pattern) {
      at = (at + 1) % slots.size();
    }
    slots[at].pattern = pattern;
    const std::uint32_t times = ++slots[at].times;
    distinct += times == 1 ? 1 : 0;
    once += times == 1 ? 1 : 0;
    once -= times == 2 ? 1 : 0;
    twice += times == 2 ? 1 : 0;
    twice -= times == 3 ? 1 : 0;
  }
  return distinct + once * once / (2 * twice + 1);
}

/// Tries encodings on a sample and keeps the best.
class Trial {
 public:
  Trial(const Sample& sample, const Elements& elements, const CompressedSize& compressed_size)
      : sample_(sample), elements_(elements), compressed_size_(compressed_size), best_(raw_encoding(elements)) {
    encoded_.resize(sample_.size());
    raw_size_ = compressed_size_({sample_.data(), sample_.size()});
    raw_cost_ = cost(best_, raw_size_);
    best_cost_ = raw_cost_ - raw_cost_ / 32;  // a gain below 3 % is not worth the time
  }

  /// Whether raw elements compress so well that little can be gained.
  bool hopeless() const noexcept { return 100 * raw_size_ < sample_.size(); }
  const Encoding& best() const noexcept { return best_; }
  /// The approximate compressed size of the whole array without encoding.
  std::uint64_t raw_size() const noexcept {
    return static_cast<std::uint64_t>(static_cast<double>(raw_size_) * static_cast<double>(elements_.count) /
                                      static_cast<double>(sample_.count()));
  }

  /// Returns the compressed size of the sample.
  std::size_t add(Encoding encoding, bool delta, Last last) {
    encoding.delta = delta;
    encoding.last = last;
    Encoding whole = encoding;
    whole.block_items = sample_.count();  // the sample is one block
    encode_block(whole, sample_.data(), sample_.count(), encoded_.data(), scratch_);
    const std::size_t size = compressed(encoding);
    const std::uint64_t its_cost = cost(encoding, size);
    if (its_cost < best_cost_ && size <= raw_size_ + raw_size_ / 20) {
      best_cost_ = its_cost;
      best_ = std::move(encoding);
    }
    return size;
  }

 private:
  /// In blocks of a large array, high and low bytes are so far apart that compressors treat them separately. In a
  /// sample they are close, so the halves are compressed one after the other.
  std::size_t compressed(const Encoding& encoding) const {
    const Bytes all(encoded_.data(), static_cast<std::size_t>(encoding.stored_size(sample_.count())));
    if (encoding.last == Last::none || encoding.stored_item_size == 1 ||
        encoding.stored_size(elements_.count) <= compressor_block) {
      return compressed_size_(all);
    }
    const std::size_t half = all.size() / 2;
    return compressed_size_(all.first(half)) + compressed_size_(all.subspan(half));
  }

  /// Compressed size in thousandths of a byte, plus a price for time: 2 % of the bytes to compress, and less than 1 %
  /// for slow stages, so that they only win by size.
  std::uint64_t cost(const Encoding& encoding, std::uint64_t size) const {
    const std::uint64_t stages = (encoding.first == First::narrow    ? 1U
                                  : encoding.first == First::palette ? 3U
                                                                     : 0U) +
                                 (encoding.delta ? 2U : 0U) +
                                 (encoding.last == Last::shuffle      ? 1U
                                  : encoding.last == Last::bitshuffle ? 3U
                                                                      : 0U);
    const std::uint64_t table = 1000 * encoding.table().size() * sample_.count() / elements_.count;
    return 1000 * size + table + 20 * encoding.stored_size(sample_.count()) + stages * sample_.size();
  }

  const Sample& sample_;
  const Elements& elements_;
  const CompressedSize& compressed_size_;
  Encoding best_;
  std::size_t raw_size_ = 0;
  std::uint64_t raw_cost_ = 0;
  std::uint64_t best_cost_ = 0;
  std::vector<std::byte> encoded_;
  EncodingScratch scratch_;
};

/// Tries the stages that may follow a first stage.
void try_last_stages(Trial& trial, const Encoding& encoding, double saved_by_delta) {
  constexpr double some = 0.5;  // bits per element
  constexpr double much = 1.5;
  const bool bytes = encoding.stored_item_size == 1;
  std::size_t shuffled = 0;
  std::size_t bitshuffled = 0;
  if (saved_by_delta < much || bytes) {
    if (encoding.first != First::none) {
      trial.add(encoding, false, Last::none);
    }
    shuffled = bytes ? 0 : trial.add(encoding, false, Last::shuffle);
    bitshuffled = trial.add(encoding, false, Last::bitshuffle);
  }
  if (saved_by_delta >= some && is_number_width(encoding.stored_item_size)) {
    trial.add(encoding, true, Last::bitshuffle);
    // If bits beat bytes without delta, they do with delta.
    if (bitshuffled >= shuffled) {
      trial.add(encoding, true, bytes ? Last::none : Last::shuffle);
    }
  }
}

}  // namespace

Encoding choose_encoding(const Elements& elements, const CompressedSize& compressed_size) {
  if (elements.item_size == 0 || elements.item_size > most_encoded_item_size ||
      elements.count * elements.item_size < least_size) {
    return raw_encoding(elements);
  }
  const Sample sample(elements);
  Trial trial(sample, elements, compressed_size);
  if (trial.hopeless()) {
    return trial.best();
  }
  const double saved_by_delta = bits_saved_by_delta(sample);
  // If the sample does not fit, neither does the array.
  const std::optional<Encoding> narrow = narrowed(sample.elements()) ? narrowed(elements) : std::nullopt;
  const Encoding whole = narrow.value_or(raw_encoding(elements));
  try_last_stages(trial, whole, saved_by_delta);
  if (whole.stored_item_size > 1 && is_number_width(elements.item_size)) {
    // The table must be a small part of the result. After narrow, only one-byte indices can gain anything.
    const std::uint64_t limit = std::min<std::uint64_t>(trial.raw_size() / 4 / elements.item_size,
                                                        narrow ? Palette::most_small : Palette::most);
    if (estimated_patterns(sample) <= limit) {
      if (const std::optional<Encoding> palette = with_palette(elements, limit)) {
        try_last_stages(trial, *palette, saved_by_delta);
      }
    }
  }
  return trial.best();
}

}  // namespace stele

// The encoding with a given name, without the stages that do not fit the elements.

#include <algorithm>
#include <bit>
#include <limits>
#include <string>

#include "base/bytes.hpp"
#include "encoding/choice.hpp"
#include "encoding/elements.hpp"
#include "encoding/names.hpp"
#include "encoding/palette.hpp"
#include "stele/error.hpp"

namespace stele {
namespace {

/// The minimum and maximum of unsigned or signed integers.
template <class T>
class Range {
 public:
  explicit Range(bool is_signed) : flip_(is_signed ? static_cast<T>(T{1} << (8 * sizeof(T) - 1)) : T{0}) {}

  void add(const std::byte* elements, std::size_t count) noexcept {
    constexpr std::size_t ways = 4;  // independent, so that the processor overlaps them
    T least[ways];
    T most[ways];
    std::fill_n(least, ways, least_);
    std::fill_n(most, ways, most_);
    std::size_t i = 0;
    for (; i + ways <= count; i += ways) {
      for (std::size_t k = 0; k < ways; ++k) {
        const T value = static_cast<T>(load_le<T>(elements + (i + k) * sizeof(T)) ^ flip_);
        least[k] = std::min(least[k], value);
        most[k] = std::max(most[k], value);
      }
    }
    for (; i < count; ++i) {
      const T value = static_cast<T>(load_le<T>(elements + i * sizeof(T)) ^ flip_);
      least[0] = std::min(least[0], value);
      most[0] = std::max(most[0], value);
    }
    least_ = *std::min_element(least, least + ways);
    most_ = *std::max_element(most, most + ways);
  }
  std::uint64_t extent() const noexcept { return static_cast<T>(most_ - least_); }
  std::uint64_t base() const noexcept { return static_cast<T>(least_ ^ flip_); }

 private:
  T flip_;  // maps signed order to unsigned order
  T least_ = std::numeric_limits<T>::max();
  T most_ = 0;
};

/// The size in bytes of the smallest integer that holds `value`: 1, 2, 4 or 8.
std::uint32_t width_of(std::uint64_t value) noexcept {
  return value >> 8 == 0 ? 1 : value >> 16 == 0 ? 2 : value >> 32 == 0 ? 4 : 8;
}

template <class T>
std::optional<Encoding> narrowed_as(const Elements& elements) {
  Range<T> range(elements.element_class == ElementClass::integer);
  const bool fits = for_pieces(elements, [&](const std::byte* piece, std::size_t count) {
    range.add(piece, count);
    return width_of(range.extent()) < sizeof(T);
  });
  if (!fits) {
    return std::nullopt;
  }
  Encoding encoding = raw_encoding(elements);
  encoding.first = Encoding::First::narrow;
  encoding.stored_item_size = width_of(range.extent());
  encoding.base = range.base();
  return encoding;
}

}  // namespace

bool is_number_width(std::uint32_t item_size) noexcept { return item_size <= 8 && std::has_single_bit(item_size); }

Encoding raw_encoding(const Elements& elements) {
  Encoding encoding;
  encoding.item_size = elements.item_size;
  encoding.stored_item_size = elements.item_size;
  encoding.block_items = usual_block_items(elements.item_size);
  return encoding;
}

std::optional<Encoding> narrowed(const Elements& elements) {
  if (elements.count == 0 ||
      (elements.element_class != ElementClass::natural && elements.element_class != ElementClass::integer)) {
    return std::nullopt;
  }
  switch (elements.item_size) {
    case 2:
      return narrowed_as<std::uint16_t>(elements);
    case 4:
      return narrowed_as<std::uint32_t>(elements);
    case 8:
      return narrowed_as<std::uint64_t>(elements);
    default:
      return std::nullopt;
  }
}

std::optional<Encoding> with_palette(const Elements& elements, std::uint64_t limit) {
  if (elements.count == 0 || elements.item_size == 1 || !is_number_width(elements.item_size)) {
    return std::nullopt;
  }
  limit = std::min<std::uint64_t>(limit, elements.item_size == 2 ? Palette::most_small : Palette::most);
  std::shared_ptr<const Palette> palette = Palette::collect(elements, static_cast<std::size_t>(limit));
  if (!palette) {
    return std::nullopt;
  }
  Encoding encoding = raw_encoding(elements);
  encoding.first = Encoding::First::palette;
  encoding.stored_item_size = palette->index_size();
  encoding.palette = std::move(palette);
  return encoding;
}

Encoding plan_encoding(const Elements& elements, std::string_view name) {
  Encoding encoding = raw_encoding(elements);
  if (name == "none") {
    return encoding;
  }
  const std::optional<EncodingStages> stages = parse_stages(name);
  if (!stages) {
    fail(Errc::invalid_argument, "no filter is named \"" + std::string(name) +
                                     "\"; there are auto, none, and narrow or palette, delta, and " +
                                     "shuffle or bitshuffle, joined by + in this order");
  }
  if (elements.count == 0 || elements.item_size > most_encoded_item_size) {
    return encoding;
  }
  if (stages->first == Encoding::First::narrow) {
    encoding = narrowed(elements).value_or(encoding);
  } else if (stages->first == Encoding::First::palette) {
    const std::optional<Encoding> found = with_palette(elements, Palette::most);
    if (found && found->table().size() < elements.count * (elements.item_size - found->stored_item_size)) {
      encoding = *found;
    }
  }
  const bool numbers = elements.element_class < ElementClass::boolean || encoding.first == Encoding::First::palette;
  encoding.delta = stages->delta && numbers && is_number_width(encoding.stored_item_size);
  if (stages->last != Encoding::Last::shuffle || encoding.stored_item_size > 1) {
    encoding.last = stages->last;
  }
  return encoding;
}

}  // namespace stele

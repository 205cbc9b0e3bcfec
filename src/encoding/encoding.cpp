#include "encoding/encoding.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <utility>

#include "base/bytes.hpp"
#include "encoding/names.hpp"
#include "encoding/palette.hpp"
#include "stele/error.hpp"

namespace stele {
namespace {

using First = Encoding::First;
using Last = Encoding::Last;

constexpr std::array<std::pair<std::string_view, First>, 2> first_names = {
    {{"narrow", First::narrow}, {"palette", First::palette}}};
constexpr std::array<std::pair<std::string_view, Last>, 2> last_names = {
    {{"shuffle", Last::shuffle}, {"bitshuffle", Last::bitshuffle}}};

constexpr std::string_view bits_name = "bits";

[[noreturn]] void malformed(const Encoding& encoding, const std::string& message) {
  fail(Errc::malformed, "encoding " + encoding.name() + ": " + message);
}

bool is_width(std::uint64_t size) noexcept { return size <= 8 && std::has_single_bit(size); }

void check_narrow(Encoding& encoding, const StoredEncoding& stored, ElementClass element_class) {
  const std::uint32_t item_size = encoding.item_size;
  if (!is_width(item_size) || (element_class != ElementClass::natural && element_class != ElementClass::integer)) {
    malformed(encoding, "the elements are not integers");
  }
  if (!is_width(stored.stored_item_size) || stored.stored_item_size >= item_size) {
    malformed(encoding, "integers of " + std::to_string(item_size) + " bytes cannot become " +
                            std::to_string(stored.stored_item_size));
  }
  if (item_size < 8 && stored.base >> (8 * item_size) != 0) {
    malformed(encoding, "its base does not fit " + std::to_string(item_size) + " bytes");
  }
  encoding.stored_item_size = static_cast<std::uint32_t>(stored.stored_item_size);
  encoding.base = stored.base;
}

void check_palette(Encoding& encoding, Bytes table) {
  const std::uint32_t item_size = encoding.item_size;
  if (!is_width(item_size) || item_size == 1) {
    malformed(encoding, "elements of " + std::to_string(item_size) + " bytes");
  }
  if (table.empty() || table.size() % item_size != 0 || table.size() / item_size > Palette::most) {
    malformed(encoding, "a table of " + std::to_string(table.size()) + " bytes");
  }
  for (std::size_t at = item_size; at < table.size(); at += item_size) {
    if (load_le(table.data() + at, item_size) <= load_le(table.data() + at - item_size, item_size)) {
      malformed(encoding, "its table is not in ascending order");
    }
  }
  encoding.palette = std::make_shared<const Palette>(item_size, table);
  encoding.stored_item_size = encoding.palette->index_size();
  if (encoding.stored_item_size >= item_size) {
    malformed(encoding, "its indices are not smaller than the elements");
  }
}

}  // namespace

std::string Encoding::name() const {
  if (is_raw()) {
    return "raw";
  }
  std::string name;
  const auto append = [&](std::string_view stage) {
    name += name.empty() ? "" : "+";
    name += stage;
  };
  if (first == First::bits) {
    append(bits_name);
  }
  for (const auto& [text, value] : first_names) {
    if (value == first) {
      append(text);
    }
  }
  if (delta) {
    append("delta");
  }
  for (const auto& [text, value] : last_names) {
    if (value == last) {
      append(text);
    }
  }
  return name;
}

Bytes Encoding::table() const noexcept { return palette ? palette->table() : Bytes(); }

std::optional<EncodingStages> parse_stages(std::string_view name) {
  EncodingStages stages;
  bool more = true;
  const auto take = [&](std::string_view stage) {
    if (!more || !name.starts_with(stage) || (name.size() > stage.size() && name[stage.size()] != '+')) {
      return false;
    }
    more = name.size() > stage.size();
    name.remove_prefix(stage.size() + (more ? 1 : 0));
    return true;
  };
  for (const auto& [text, value] : first_names) {
    if (stages.first == First::none && take(text)) {
      stages.first = value;
    }
  }
  stages.delta = take("delta");
  for (const auto& [text, value] : last_names) {
    if (stages.last == Last::none && take(text)) {
      stages.last = value;
    }
  }
  return more ? std::nullopt : std::optional(stages);
}

std::uint64_t usual_block_items(std::uint32_t item_size) noexcept {
  constexpr std::uint64_t usual_block_size = std::uint64_t{256} << 10;
  return std::max<std::uint64_t>(64, std::bit_floor(usual_block_size / item_size));
}

Encoding bits_encoding() {
  Encoding encoding;
  encoding.first = First::bits;
  encoding.block_items = usual_block_items(1);
  return encoding;
}

Encoding checked_encoding(const StoredEncoding& stored, std::uint64_t item_size, ElementClass element_class) {
  Encoding encoding;
  if (item_size == 0 || item_size > most_encoded_item_size) {
    fail(Errc::unsupported, "an encoding of elements of " + std::to_string(item_size) + " bytes");
  }
  encoding.item_size = static_cast<std::uint32_t>(item_size);
  encoding.stored_item_size = encoding.item_size;
  encoding.block_items = usual_block_items(encoding.item_size);
  if (stored.name == "raw") {
    return encoding;
  }
  const std::optional<EncodingStages> stages =
      stored.name == bits_name ? EncodingStages{.first = First::bits} : parse_stages(stored.name);
  if (!stages) {
    fail(Errc::unsupported, "unknown encoding \"" + std::string(stored.name.substr(0, 100)) + "\"");
  }
  encoding.first = stages->first;
  encoding.delta = stages->delta;
  encoding.last = stages->last;
  if (stored.block_items == 0 || stored.block_items % 64 != 0) {
    malformed(encoding, "blocks of " + std::to_string(stored.block_items) + " elements");
  }
  if (stored.block_items > most_encoded_block_size / item_size) {
    fail(Errc::unsupported, "encoding " + encoding.name() + ": blocks of " + std::to_string(stored.block_items) +
                                " elements of " + std::to_string(item_size) + " bytes");
  }
  encoding.block_items = stored.block_items;
  if (encoding.first == First::narrow) {
    check_narrow(encoding, stored, element_class);
  } else if (encoding.first == First::palette) {
    check_palette(encoding, stored.table);
  } else if (encoding.first == First::bits && element_class != ElementClass::boolean) {
    malformed(encoding, "the elements are not bools");
  }
  if (encoding.delta && !is_width(encoding.stored_item_size)) {
    malformed(encoding, "differences of " + std::to_string(encoding.stored_item_size) + " bytes");
  }
  return encoding;
}

}  // namespace stele

#pragma once
// The names of encodings.

#include <optional>
#include <string_view>

#include "encoding/encoding.hpp"

namespace stele {

/// What the name of an encoding says.
struct EncodingStages {
  Encoding::First first = Encoding::First::none;
  bool delta = false;
  Encoding::Last last = Encoding::Last::none;
  bool operator==(const EncodingStages&) const = default;
};

/// The stages of a name, or nothing where it is not one: stages joined by "+", each at most once and in their order.
/// "raw" and "none" are not among them.
std::optional<EncodingStages> parse_stages(std::string_view name);

/// Elements of a block as stele makes it: 256 KiB of them, or a little less.
std::uint64_t usual_block_items(std::uint32_t item_size) noexcept;

}  // namespace stele

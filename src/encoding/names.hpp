#pragma once
// The names of encodings.

#include <optional>
#include <string_view>

#include "encoding/encoding.hpp"

namespace stele {

/// The stages in the name of an encoding.
struct EncodingStages {
  Encoding::First first = Encoding::First::none;
  bool delta = false;
  Encoding::Last last = Encoding::Last::none;
  bool operator==(const EncodingStages&) const = default;
};

/// Parses a name: stages joined by "+", each at most once and in their order. Nothing for any other text, including
/// "raw" and "none".
std::optional<EncodingStages> parse_stages(std::string_view name);

/// The number of elements in a block written by stele: at most 256 KiB of them.
std::uint64_t usual_block_items(std::uint32_t item_size) noexcept;

}  // namespace stele

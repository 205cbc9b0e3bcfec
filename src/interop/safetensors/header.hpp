#pragma once
// The header of a safetensors file: which arrays it has, and where.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "interop/safetensors/types.hpp"
#include "stele/array.hpp"
#include "stele/metadata.hpp"

namespace stele {

/// The bytes before the header: its length.
inline constexpr std::size_t safetensors_length_bytes = 8;
inline constexpr std::uint64_t longest_safetensors_header = 100'000'000;
/// The name in the header that belongs to no array.
inline constexpr std::string_view safetensors_metadata = "__metadata__";

struct SafetensorsHeader {
  struct Tensor {
    std::string name;
    const SafetensorsType* type = nullptr;
    std::size_t extents_at = 0;  // in `extents`
    std::size_t rank = 0;
    std::uint64_t begin = 0;  // of the elements, from the end of the header
    std::uint64_t end = 0;
  };

  std::vector<Tensor> tensors;         // in the order of their elements, which lie without a gap from 0
  std::vector<std::uint64_t> extents;  // of all, as a Shape takes more memory
  Metadata metadata;

  Shape shape(const Tensor& tensor) const;
  std::uint64_t data_bytes() const noexcept { return tensors.empty() ? 0 : tensors.back().end; }
};

/// The bytes of an array; nothing where its bits are no whole number of bytes, or too many to be counted.
std::optional<std::uint64_t> safetensors_bytes(const SafetensorsType& type, const Shape& shape) noexcept;

/// The path of an array, as Errors have it.
std::string safetensors_path(std::string_view name);

/// What a header's text says. Throws: Error(malformed), Error(duplicate_field), Error(unsupported) for an unknown
/// dtype, Error(limit_exceeded) for more than max_rank dimensions, and what parse_json_events() throws.
SafetensorsHeader parse_safetensors_header(std::string_view text);

}  // namespace stele

#pragma once
// The element types of safetensors.

#include <cstdint>
#include <span>
#include <string_view>

#include "stele/dtype.hpp"

namespace stele {

struct SafetensorsType {
  std::string_view name;
  std::uint32_t bits = 0;                // of an element
  DType::Kind kind = DType::Kind::none;  // none: stele lacks it
  bool is_packed() const noexcept { return bits % 8 != 0; }
};

/// All, in the order in which arrays are written.
std::span<const SafetensorsType> safetensors_types() noexcept;
/// Null where there is none.
const SafetensorsType* find_safetensors_type(std::string_view name) noexcept;
const SafetensorsType* find_safetensors_type(const DType& dtype) noexcept;

/// Begins the names of typed values that stand for arrays whose element type stele lacks.
inline constexpr std::string_view safetensors_typed = "safetensors:";

}  // namespace stele

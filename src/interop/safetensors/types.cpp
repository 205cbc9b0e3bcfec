#include "interop/safetensors/types.hpp"

#include <algorithm>

namespace stele {
namespace {

using K = DType::Kind;

constexpr SafetensorsType types[] = {
    {"U64", 64, K::uint64},         {"I64", 64, K::int64},     {"F64", 64, K::float64},
    {"C64", 64, K::complex64},      {"F32", 32, K::float32},   {"U32", 32, K::uint32},
    {"I32", 32, K::int32},          {"BF16", 16, K::bfloat16}, {"F16", 16, K::float16},
    {"U16", 16, K::uint16},         {"I16", 16, K::int16},     {"F8_E5M2FNUZ", 8, K::none},
    {"F8_E4M3FNUZ", 8, K::none},    {"F8_E8M0", 8, K::none},   {"F8_E4M3", 8, K::float8_e4m3fn},
    {"F8_E5M2", 8, K::float8_e5m2}, {"I8", 8, K::int8},        {"U8", 8, K::uint8},
    {"F6_E3M2", 6, K::none},        {"F6_E2M3", 6, K::none},   {"F4", 4, K::none},
    {"BOOL", 8, K::boolean},
};

template <class Condition>
const SafetensorsType* find(Condition condition) noexcept {
  const auto* const found = std::find_if(std::begin(types), std::end(types), condition);
  return found == std::end(types) ? nullptr : found;
}

}  // namespace

std::span<const SafetensorsType> safetensors_types() noexcept { return types; }

const SafetensorsType* find_safetensors_type(std::string_view name) noexcept {
  return find([&](const SafetensorsType& type) { return type.name == name; });
}

const SafetensorsType* find_safetensors_type(const DType& dtype) noexcept {
  return find([&](const SafetensorsType& type) { return type.kind != K::none && type.kind == dtype.kind(); });
}

}  // namespace stele

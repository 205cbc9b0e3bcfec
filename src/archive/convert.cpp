#include "archive/convert.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <utility>

#include "base/bytes.hpp"
#include "base/float_mode.hpp"
#include "stele/visitor.hpp"

namespace stele {

using K = DType::Kind;

namespace {

struct Traits {
  enum class Class : std::uint8_t { none, boolean, natural, integer, real, complex } type = Class::none;
  int bits = 0;      // of an integer; or of a float's significand
  int exponent = 0;  // of a float: bits of the exponent
};

Traits traits(K kind) noexcept {
  using C = Traits::Class;
  switch (kind) {
    case K::boolean:
      return {C::boolean, 1, 0};
    case K::uint8:
      return {C::natural, 8, 0};
    case K::uint16:
      return {C::natural, 16, 0};
    case K::uint32:
      return {C::natural, 32, 0};
    case K::uint64:
      return {C::natural, 64, 0};
    case K::int8:
      return {C::integer, 7, 0};
    case K::int16:
      return {C::integer, 15, 0};
    case K::int32:
      return {C::integer, 31, 0};
    case K::int64:
      return {C::integer, 63, 0};
    case K::float16:
      return {C::real, 11, 5};
    case K::bfloat16:
      return {C::real, 8, 8};
    case K::float32:
      return {C::real, 24, 8};
    case K::float64:
      return {C::real, 53, 11};
    case K::complex64:
      return {C::complex, 24, 8};
    case K::complex128:
      return {C::complex, 53, 11};
    default:
      return {};
  }
}

template <class From, class To>
void cast_all(const std::byte* source, std::byte* target, std::uint64_t count) {
  for (std::uint64_t i = 0; i < count; ++i) {
    From from;
    std::memcpy(&from, source + i * sizeof(From), sizeof(From));
    To to{};
    if constexpr (std::is_class_v<From>) {
      to = static_cast<To>(static_cast<float>(from));
    } else if constexpr (std::is_class_v<To>) {
      to = To(static_cast<float>(from));
    } else {
      to = static_cast<To>(from);
    }
    std::memcpy(target + i * sizeof(To), &to, sizeof(To));
  }
}

template <class From>
void cast_from(const std::byte* source, K to, std::byte* target, std::uint64_t count) {
  switch (to) {
    case K::uint16:
      return cast_all<From, std::uint16_t>(source, target, count);
    case K::uint32:
      return cast_all<From, std::uint32_t>(source, target, count);
    case K::uint64:
      return cast_all<From, std::uint64_t>(source, target, count);
    case K::int16:
      return cast_all<From, std::int16_t>(source, target, count);
    case K::int32:
      return cast_all<From, std::int32_t>(source, target, count);
    case K::int64:
      return cast_all<From, std::int64_t>(source, target, count);
    case K::float16:
      return cast_all<From, float16>(source, target, count);
    case K::bfloat16:
      return cast_all<From, bfloat16>(source, target, count);
    case K::float32:
      return cast_all<From, float>(source, target, count);
    case K::float64:
      return cast_all<From, double>(source, target, count);
    default:
      return;
  }
}

void cast_numbers(K from, const std::byte* source, K to, std::byte* target, std::uint64_t count) {
  switch (from) {
    case K::uint8:
      return cast_from<std::uint8_t>(source, to, target, count);
    case K::uint16:
      return cast_from<std::uint16_t>(source, to, target, count);
    case K::uint32:
      return cast_from<std::uint32_t>(source, to, target, count);
    case K::int8:
      return cast_from<std::int8_t>(source, to, target, count);
    case K::int16:
      return cast_from<std::int16_t>(source, to, target, count);
    case K::int32:
      return cast_from<std::int32_t>(source, to, target, count);
    case K::float16:
      return cast_from<float16>(source, to, target, count);
    case K::bfloat16:
      return cast_from<bfloat16>(source, to, target, count);
    case K::float32:
      return cast_from<float>(source, to, target, count);
    case K::complex64:
      return cast_from<float>(source, K::float64, target, 2 * count);
    default:
      return;
  }
}

bool numbers_widen(K from, K to) noexcept {
  using C = Traits::Class;
  const Traits a = traits(from);
  const Traits b = traits(to);
  if (a.type == C::none || b.type == C::none || a.type == C::boolean || b.type == C::boolean) {
    return false;
  }
  if (a.type == C::complex || b.type == C::complex) {
    return a.type == b.type && a.bits <= b.bits;
  }
  if (a.type == C::real) {
    return b.type == C::real && a.bits <= b.bits && a.exponent <= b.exponent;
  }
  if (b.type == C::real) {
    // an integer of n bits needs n bits of significand and exponents up to n
    return a.bits <= b.bits && (b.exponent > 5 || a.bits <= 11);
  }
  return a.bits <= b.bits && (a.type == b.type || b.type == C::integer);
}

/// The lengths of two units, where times of one can be converted to the other.
std::optional<std::pair<TimeUnit::Length, TimeUnit::Length>> time_lengths(const DType& from, const DType& to) noexcept {
  const auto a = from.unit().length();
  const auto b = to.unit().length();
  if (!from.is_time() || from.kind() != to.kind() || !a || !b) {
    return std::nullopt;
  }
  return std::pair(*a, *b);
}

bool convert_times(const DType& from, const std::byte* source, const DType& to, std::byte* target,
                   std::uint64_t count) noexcept {
  const auto lengths = time_lengths(from, to);
  const Rescale rescale(lengths->first, lengths->second);
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto stored = load_le<std::int64_t>(source + 8 * i);
    std::int64_t value = 0;
    if (!rescale(stored, value)) {
      return false;
    }
    store_le<std::int64_t>(target + 8 * i, value);
  }
  return true;
}

const DType::Field* field_named(const DType& dtype, const std::string& name) noexcept {
  const auto& fields = dtype.fields();
  const auto found = std::find_if(fields.begin(), fields.end(), [&](const auto& field) { return field.name == name; });
  return found == fields.end() ? nullptr : &*found;
}

}  // namespace

bool same_bytes(const DType& from, const DType& to) noexcept { return from == to; }

bool widens(const DType& from, const DType& to) noexcept {
  if (from == to) {
    return true;
  }
  if (from.is_record() != to.is_record()) {
    return false;
  }
  if (!from.is_record()) {
    return numbers_widen(from.kind(), to.kind()) || time_lengths(from, to).has_value();
  }
  return std::all_of(to.fields().begin(), to.fields().end(), [&](const DType::Field& field) {
    const DType::Field* stored = field_named(from, field.name);
    return stored == nullptr || (stored->count == field.count && widens(stored->type, field.type));
  });
}

namespace {

bool convert(const DType& from, const std::byte* source, const DType& to, std::byte* target, std::uint64_t count) {
  if (from == to) {
    std::memcpy(target, source, static_cast<std::size_t>(count * to.item_size()));
    return true;
  }
  if (from.is_time()) {
    return convert_times(from, source, to, target, count);
  }
  if (!from.is_record()) {
    cast_numbers(from.kind(), source, to.kind(), target, count);
    return true;
  }
  for (const DType::Field& field : to.fields()) {
    const DType::Field* stored = field_named(from, field.name);
    if (stored == nullptr) {
      continue;
    }
    for (std::uint64_t i = 0; i < count; ++i) {
      if (!convert(stored->type, source + i * from.item_size() + stored->offset, field.type,
                   target + i * to.item_size() + field.offset, field.count)) {
        return false;
      }
    }
  }
  return true;
}

}  // namespace

bool convert_elements(const DType& from, const std::byte* source, const DType& to, std::byte* target,
                      std::uint64_t count) {
  const StandardFloats standard;
  return convert(from, source, to, target, count);
}

void swap_elements(const DType& dtype, std::byte* elements, std::uint64_t count) {
  std::size_t part = dtype.item_size();
  switch (dtype.kind()) {
    case K::complex64:
    case K::complex128:
      part /= 2;
      break;
    case K::utf32:
      part = 4;
      break;
    case K::bytes:
    case K::record:
      return;
    default:
      break;
  }
  const std::uint64_t parts = count * (dtype.item_size() / part);
  for (std::uint64_t i = 0; i < parts; ++i) {
    std::reverse(elements + i * part, elements + (i + 1) * part);
  }
}

bool has_booleans(const DType& dtype) noexcept {
  return dtype.kind() == K::boolean || std::any_of(dtype.fields().begin(), dtype.fields().end(),
                                                   [](const DType::Field& field) { return has_booleans(field.type); });
}

bool booleans_are_valid(const DType& dtype, const std::byte* elements, std::uint64_t count) noexcept {
  if (dtype.kind() == K::boolean) {
    return std::all_of(elements, elements + count, [](std::byte b) { return b <= std::byte{1}; });
  }
  for (const DType::Field& field : dtype.fields()) {
    if (!has_booleans(field.type)) {
      continue;
    }
    for (std::uint64_t i = 0; i < count; ++i) {
      if (!booleans_are_valid(field.type, elements + i * dtype.item_size() + field.offset, field.count)) {
        return false;
      }
    }
  }
  return true;
}

}  // namespace stele

#pragma once
// Lossless conversions of elements: byte order, wider numbers, records with fields at other offsets.

#include <cstddef>
#include <cstdint>

#include "stele/dtype.hpp"

namespace stele {

/// Whether every value of `from` is also a value of `to`. For times of different units: whether it may be. For records:
/// whether every field of `to` that `from` also has can be converted.
bool widens(const DType& from, const DType& to) noexcept;
/// Whether elements of the two types have the same bytes.
bool same_bytes(const DType& from, const DType& to) noexcept;
/// Converts `count` dense little-endian elements. Record fields that `from` lacks keep the contents of `target`.
/// Returns false if a time is not a whole number of the unit of `to`, or is too large for it.
[[nodiscard]] bool convert_elements(const DType& from, const std::byte* source, const DType& to, std::byte* target,
                                    std::uint64_t count);
/// The message of Error(out_of_range) when convert_elements() returns false.
inline constexpr const char* inexact_time = "a stored time is no whole number of this unit, or too large for it";
/// Reverses the bytes of `count` numbers in place; the two parts of a complex number are swapped separately.
void swap_elements(const DType& dtype, std::byte* elements, std::uint64_t count);
/// Whether every bool in `count` dense elements is 0 or 1.
bool booleans_are_valid(const DType& dtype, const std::byte* elements, std::uint64_t count) noexcept;
/// Whether the type is a bool or contains one.
bool has_booleans(const DType& dtype) noexcept;

}  // namespace stele

#pragma once
// Element conversions that lose nothing: byte order, wider numbers, records with fields elsewhere.

#include <cstddef>
#include <cstdint>

#include "stele/dtype.hpp"

namespace stele {

/// Whether every value of `from` is a value of `to`, or for times of another unit may be. Records: every field of `to`
/// that `from` has too can be converted.
bool widens(const DType& from, const DType& to) noexcept;
/// Whether two types differ in nothing that matters for their bytes.
bool same_bytes(const DType& from, const DType& to) noexcept;
/// Converts `count` dense little-endian elements; fields of a record that `from` lacks keep what `target` holds. False
/// where a time is no whole number of the unit of `to`, or too large for it.
[[nodiscard]] bool convert_elements(const DType& from, const std::byte* source, const DType& to, std::byte* target,
                                    std::uint64_t count);
/// What the Error(out_of_range) says where convert_elements() returns false.
inline constexpr const char* inexact_time = "a stored time is no whole number of this unit, or too large for it";
/// Reverses the bytes of `count` numbers in place (each part of a complex number by itself).
void swap_elements(const DType& dtype, std::byte* elements, std::uint64_t count);
/// Whether every bool among `count` dense elements is 0 or 1.
bool booleans_are_valid(const DType& dtype, const std::byte* elements, std::uint64_t count) noexcept;
/// Whether the type is or has a bool.
bool has_booleans(const DType& dtype) noexcept;

}  // namespace stele

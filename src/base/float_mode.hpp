#pragma once
// The mode of the floating-point unit. The caller's mode must not change what is stored, read or printed.

#include <bit>
#include <cfenv>
#include <cstdint>
#include <optional>

namespace stele {

/// During its lifetime, this thread rounds to nearest, keeps subnormal numbers and does not trap; the destructor
/// restores the caller's mode. For loops over memory and for calls of other functions: the compiler may move arithmetic
/// on local variables out of the scope.
class StandardFloats {
 public:
  StandardFloats() noexcept {
    std::fegetenv(&caller_);
    std::fesetenv(FE_DFL_ENV);
  }
  ~StandardFloats() { std::fesetenv(&caller_); }
  StandardFloats(const StandardFloats&) = delete;
  StandardFloats& operator=(const StandardFloats&) = delete;

 private:
  std::fenv_t caller_;
};

/// Converts binary32 to binary64, both as bits; a NaN becomes quiet and keeps its payload.
constexpr std::uint64_t widened_bits(std::uint32_t narrow) noexcept {
  const std::uint64_t sign = std::uint64_t{narrow & 0x80000000U} << 32;
  const std::uint64_t exponent = narrow >> 23 & 0xff;
  std::uint64_t fraction = narrow & 0x7fffffU;
  if (exponent == 0xff) {
    return sign | 0x7ff0000000000000U | fraction << 29 | (fraction != 0 ? 0x8000000000000U : 0U);
  }
  if (exponent != 0) {
    return sign | (exponent + 896) << 52 | fraction << 29;
  }
  if (fraction == 0) {
    return sign;
  }
  const auto shift = static_cast<unsigned>(std::countl_zero(fraction)) - 40;  // to a leading bit of weight 2^23
  fraction = fraction << shift & 0x7fffffU;
  return sign | std::uint64_t{897 - shift} << 52 | fraction << 29;
}

/// Converts binary64 to binary32 if the value is exactly representable; a NaN becomes quiet and keeps the upper bits of
/// its payload.
constexpr std::optional<std::uint32_t> narrowed_bits(std::uint64_t wide) noexcept {
  const auto sign = static_cast<std::uint32_t>(wide >> 32 & 0x80000000U);
  const auto exponent = static_cast<int>(wide >> 52 & 0x7ff);
  std::uint64_t fraction = wide & 0xfffffffffffffU;
  if (exponent == 0x7ff) {
    return sign | 0x7f800000U | static_cast<std::uint32_t>(fraction >> 29) | (fraction != 0 ? 0x400000U : 0U);
  }
  if (exponent == 0 && fraction == 0) {
    return sign;
  }
  const int rebased = exponent - 896;
  // a subnormal result stores the leading bit, and all bits shift further to the right
  const int shift = rebased > 0 ? 29 : 30 - rebased;
  if (rebased >= 0xff || exponent == 0 || shift > 52) {
    return std::nullopt;
  }
  fraction |= rebased > 0 ? 0 : std::uint64_t{1} << 52;
  if ((fraction & ((std::uint64_t{1} << shift) - 1)) != 0) {
    return std::nullopt;
  }
  return sign | static_cast<std::uint32_t>(rebased > 0 ? rebased : 0) << 23 |
         static_cast<std::uint32_t>(fraction >> shift);
}

}  // namespace stele

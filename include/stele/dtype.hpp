#pragma once
// Element types of arrays: what a DType is, and the floating-point types C++20 lacks.

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace stele {

/// IEEE 754 binary16. Conversion from float rounds to nearest even.
struct float16 {
  std::uint16_t bits = 0;
  float16() = default;
  explicit float16(float value) noexcept;
  explicit operator float() const noexcept;
  friend bool operator==(float16 a, float16 b) noexcept {
    return a.bits == b.bits ? (a.bits & 0x7fff) <= 0x7c00 : ((a.bits | b.bits) & 0x7fff) == 0;
  }
};

/// The upper half of a binary32. Conversion from float rounds to nearest even.
struct bfloat16 {
  std::uint16_t bits = 0;
  bfloat16() = default;
  explicit bfloat16(float value) noexcept;
  explicit operator float() const noexcept;
  friend bool operator==(bfloat16 a, bfloat16 b) noexcept {
    return a.bits == b.bits ? (a.bits & 0x7fff) <= 0x7f80 : ((a.bits | b.bits) & 0x7fff) == 0;
  }
};

/// 8-bit floats of the Open Compute Project (OFP8): e4m3fn has no infinity, e5m2 is IEEE-like. Storage only.
struct float8_e4m3fn {
  std::uint8_t bits = 0;
  friend bool operator==(float8_e4m3fn, float8_e4m3fn) = default;
};
struct float8_e5m2 {
  std::uint8_t bits = 0;
  friend bool operator==(float8_e5m2, float8_e5m2) = default;
};

/// The unit in which times are counted, as in NumPy: days, seconds, nanoseconds …
struct TimeUnit {
  enum class Base : std::uint8_t {
    generic,
    year,
    month,  // without a fixed length
    week,
    day,
    hour,
    minute,
    second,
    millisecond,
    microsecond,
    nanosecond,
    picosecond,
    femtosecond,
    attosecond,
  };
  /// numerator / denominator seconds, in lowest terms.
  struct Length {
    std::uint64_t numerator = 0;
    std::uint64_t denominator = 1;
    friend constexpr bool operator==(const Length&, const Length&) = default;
  };
  Base base = Base::generic;
  std::uint32_t multiple = 1;

  /// The unit of a length, with the longest base; nothing if the length is not a multiple of an attosecond below 2^31.
  static constexpr std::optional<TimeUnit> of(Length length) noexcept;
  /// The length of the unit; nothing for years, months and a generic unit.
  constexpr std::optional<Length> length() const noexcept;
  /// "ns", "25ms"; empty for a generic unit.
  std::string text() const;

  friend constexpr bool operator==(const TimeUnit&, const TimeUnit&) = default;

 private:
  static constexpr Length base_length(Base base) noexcept {
    constexpr Length lengths[] = {{604800, 1}, {86400, 1}, {3600, 1}, {60, 1}, {1, 1}};
    const auto index = static_cast<unsigned>(base) - static_cast<unsigned>(Base::week);
    Length length = lengths[index < 5 ? index : 4];
    for (unsigned i = 5; i <= index; ++i) {
      length.denominator *= 1000;
    }
    return length;
  }
};

/// The type of an array's elements: a number, a time, a fixed-width string, or a record of such fields. A value type;
/// cheap to copy.
class DType {
 public:
  enum class Kind : std::uint8_t {
    none,
    boolean,
    int8,
    int16,
    int32,
    int64,
    uint8,
    uint16,
    uint32,
    uint64,
    float16,
    bfloat16,
    float32,
    float64,
    complex64,
    complex128,
    float8_e4m3fn,
    float8_e5m2,
    bytes,       // fixed-width bytes, NumPy's S
    utf32,       // fixed-width text of 4-byte code points, NumPy's U
    record,      // named fields
    duration,    // NumPy's timedelta64: 64-bit integers that count a unit
    time_point,  // NumPy's datetime64: the same since 1970-01-01T00:00, without a time zone
  };
  struct Field;

  DType() = default;
  /// A type of fixed size; not bytes, utf32 or record. Times are of the generic unit.
  constexpr DType(Kind kind) noexcept : kind_(kind), size_(size_of(kind)) {}
  /// Fixed-width bytes or text of `length` bytes or code points.
  static DType fixed_bytes(std::uint32_t length) noexcept { return DType(Kind::bytes, length, nullptr); }
  static DType fixed_utf32(std::uint32_t length) noexcept { return DType(Kind::utf32, 4 * length, nullptr); }
  static DType duration(TimeUnit unit) noexcept { return DType(Kind::duration, unit); }
  static DType time_point(TimeUnit unit) noexcept { return DType(Kind::time_point, unit); }
  /// A record of `size` bytes. Fields must lie inside it.
  /// Throws: Error(invalid_argument).
  static DType record(std::vector<Field> fields, std::uint32_t size);

  Kind kind() const noexcept { return kind_; }
  /// Bytes of one element.
  std::size_t item_size() const noexcept { return size_; }
  bool is_record() const noexcept { return kind_ == Kind::record; }
  bool is_time() const noexcept { return kind_ == Kind::duration || kind_ == Kind::time_point; }
  /// The unit of times; generic for other kinds.
  TimeUnit unit() const noexcept { return {unit_base_, unit_multiple_}; }
  /// The fields of a record, empty for other kinds.
  const std::vector<Field>& fields() const noexcept;

  /// "float32", "complex64", "bytes[8]", "datetime64[ns]", "{x: float32, y: float32}".
  std::string name() const;
  /// NumPy's notation, little-endian: "<f4", "|b1", "<c8", "|S8", "<U4", "<M8[ns]". Types that NumPy lacks have their
  /// own name ("bfloat16", "float8_e4m3fn", "float8_e5m2"). Empty for records, which are lists of fields.
  std::string numpy() const;
  /// The reverse of numpy(). `big_endian` is set for a leading '>'.
  /// Throws: Error(unsupported).
  static DType from_numpy(std::string_view text, bool& big_endian);

  friend bool operator==(const DType& a, const DType& b) noexcept;

 private:
  DType(Kind kind, std::uint32_t size, std::shared_ptr<const std::vector<Field>> fields) noexcept
      : kind_(kind), size_(size), fields_(std::move(fields)) {}
  DType(Kind kind, TimeUnit unit) noexcept
      : kind_(kind), unit_base_(unit.base), size_(8), unit_multiple_(unit.multiple) {}
  static constexpr std::uint32_t size_of(Kind kind) noexcept {
    switch (kind) {
      case Kind::boolean:
      case Kind::int8:
      case Kind::uint8:
      case Kind::float8_e4m3fn:
      case Kind::float8_e5m2:
        return 1;
      case Kind::int16:
      case Kind::uint16:
      case Kind::float16:
      case Kind::bfloat16:
        return 2;
      case Kind::int32:
      case Kind::uint32:
      case Kind::float32:
        return 4;
      case Kind::int64:
      case Kind::uint64:
      case Kind::float64:
      case Kind::complex64:
      case Kind::duration:
      case Kind::time_point:
        return 8;
      case Kind::complex128:
        return 16;
      default:
        return 0;
    }
  }

  Kind kind_ = Kind::none;
  TimeUnit::Base unit_base_ = TimeUnit::Base::generic;
  std::uint32_t size_ = 0;
  std::uint32_t unit_multiple_ = 1;
  std::shared_ptr<const std::vector<Field>> fields_;
};

/// A field of a record: `count` elements of `type` at `offset` (count 1 for a plain member, more for a member array).
struct DType::Field {
  std::string name;
  DType type;
  std::uint32_t offset = 0;
  std::uint32_t count = 1;
  bool required = false;  // of a type to read into: an error where it is not stored; never stored, nor compared
  friend bool operator==(const Field& a, const Field& b) noexcept;
};

/// Maps an element type to its DType; specialise with a `static constexpr DType::Kind kind` for a type that has the
/// bits of one of the kinds.
template <class T>
struct DTypeOf {};

template <>
struct DTypeOf<bool> {
  static constexpr auto kind = DType::Kind::boolean;
};
template <>
struct DTypeOf<float> {
  static constexpr auto kind = DType::Kind::float32;
};
template <>
struct DTypeOf<double> {
  static constexpr auto kind = DType::Kind::float64;
};
template <>
struct DTypeOf<float16> {
  static constexpr auto kind = DType::Kind::float16;
};
template <>
struct DTypeOf<bfloat16> {
  static constexpr auto kind = DType::Kind::bfloat16;
};
template <>
struct DTypeOf<float8_e4m3fn> {
  static constexpr auto kind = DType::Kind::float8_e4m3fn;
};
template <>
struct DTypeOf<float8_e5m2> {
  static constexpr auto kind = DType::Kind::float8_e5m2;
};
template <std::integral T>
  requires(!std::same_as<T, bool> && sizeof(T) <= 8)
struct DTypeOf<T> {
  // `char` counts as unsigned everywhere, so that files do not depend on the platform.
  static constexpr bool is_signed = std::is_signed_v<T> && !std::same_as<T, char>;
  static constexpr auto kind = sizeof(T) == 1   ? (is_signed ? DType::Kind::int8 : DType::Kind::uint8)
                               : sizeof(T) == 2 ? (is_signed ? DType::Kind::int16 : DType::Kind::uint16)
                               : sizeof(T) == 4 ? (is_signed ? DType::Kind::int32 : DType::Kind::uint32)
                                                : (is_signed ? DType::Kind::int64 : DType::Kind::uint64);
};
template <class T>
  requires std::is_enum_v<T>
struct DTypeOf<T> : DTypeOf<std::underlying_type_t<T>> {};
template <>
struct DTypeOf<std::byte> {
  static constexpr auto kind = DType::Kind::uint8;
};
/// std::complex, recognised by its interface, so that the header `complex` need not be included.
template <class T>
  requires requires(const T& z) {
    typename T::value_type;
    requires std::same_as<typename T::value_type, float> || std::same_as<typename T::value_type, double>;
    requires sizeof(T) == 2 * sizeof(typename T::value_type);
    { z.real() } -> std::convertible_to<typename T::value_type>;
    { z.imag() } -> std::convertible_to<typename T::value_type>;
    T(z.real(), z.imag());
  }
struct DTypeOf<T> {
  static constexpr auto kind = sizeof(T) == 8 ? DType::Kind::complex64 : DType::Kind::complex128;
};

/// The unit of a chrono period; nothing for those without a unit in NumPy, such as 1/30 second.
template <class Period>
inline constexpr std::optional<TimeUnit> time_unit =
    TimeUnit::of({static_cast<std::uint64_t>(Period::num), static_cast<std::uint64_t>(Period::den)});
/// Clocks that count from 1970: the system clock and local time.
template <class Clock>
inline constexpr bool counts_from_1970 =
    std::is_same_v<Clock, std::chrono::system_clock> || std::is_same_v<Clock, std::chrono::local_t>;
/// 64-bit integers that count a unit. For other clocks they count from the clock's own epoch.
template <class Rep, class Period>
  requires(std::signed_integral<Rep> && sizeof(Rep) == 8 && time_unit<Period>.has_value())
struct DTypeOf<std::chrono::duration<Rep, Period>> {
  static constexpr auto kind = DType::Kind::duration;
  static constexpr TimeUnit unit = *time_unit<Period>;
};
template <class Clock, class Duration>
  requires requires { DTypeOf<Duration>::unit; }
struct DTypeOf<std::chrono::time_point<Clock, Duration>> {
  static constexpr auto kind = counts_from_1970<Clock> ? DType::Kind::time_point : DType::Kind::duration;
  static constexpr TimeUnit unit = DTypeOf<Duration>::unit;
};

/// A type whose objects are the elements of a numeric array.
template <class T>
concept Element = requires {
  { DTypeOf<T>::kind } -> std::convertible_to<DType::Kind>;
} && std::is_trivially_copyable_v<T>;

/// The DType of an element type.
template <Element T>
DType element_dtype() noexcept {
  constexpr DType::Kind kind = DTypeOf<T>::kind;
  if constexpr (kind == DType::Kind::duration) {
    return DType::duration(DTypeOf<T>::unit);
  } else if constexpr (kind == DType::Kind::time_point) {
    return DType::time_point(DTypeOf<T>::unit);
  } else {
    return DType(kind);
  }
}

constexpr std::optional<TimeUnit> TimeUnit::of(Length length) noexcept {
  __extension__ using Wide = unsigned __int128;
  for (auto base = Base::week; base <= Base::attosecond; base = static_cast<Base>(static_cast<int>(base) + 1)) {
    const Length one = base_length(base);
    const Wide multiple = Wide{length.numerator} * one.denominator;
    const Wide divisor = Wide{length.denominator} * one.numerator;
    if (divisor != 0 && multiple != 0 && multiple % divisor == 0) {
      // a shorter base has a larger multiple
      return multiple / divisor <= 0x7fffffff
                 ? std::optional(TimeUnit{base, static_cast<std::uint32_t>(multiple / divisor)})
                 : std::nullopt;
    }
  }
  return std::nullopt;
}

constexpr std::optional<TimeUnit::Length> TimeUnit::length() const noexcept {
  if (base < Base::week || multiple == 0) {
    return std::nullopt;
  }
  Length all = base_length(base);
  std::uint64_t a = all.denominator;
  for (std::uint64_t b = multiple; b != 0;) {
    const std::uint64_t rest = a % b;
    a = b;
    b = rest;
  }
  all.numerator *= multiple / a;  // below 2^20 · 2^31
  all.denominator /= a;
  return all;
}

}  // namespace stele

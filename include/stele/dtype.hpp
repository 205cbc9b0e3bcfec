#pragma once
// Element types of arrays: what a DType is, and the floating-point types C++20 lacks.

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
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
  friend bool operator==(float16 a, float16 b) noexcept { return static_cast<float>(a) == static_cast<float>(b); }
};

/// The upper half of a binary32. Conversion from float rounds to nearest even.
struct bfloat16 {
  std::uint16_t bits = 0;
  bfloat16() = default;
  explicit bfloat16(float value) noexcept;
  explicit operator float() const noexcept;
  friend bool operator==(bfloat16 a, bfloat16 b) noexcept { return static_cast<float>(a) == static_cast<float>(b); }
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

/// The type of an array's elements: a number, a fixed-width string, or a record of such fields. A value type; cheap to
/// copy.
class DType {
 public:
  enum class Kind : std::uint8_t {
    none, boolean, int8, int16, int32, int64, uint8, uint16, uint32, uint64, float16, bfloat16, float32, float64,
    complex64, complex128, float8_e4m3fn, float8_e5m2,
    bytes,   // fixed-width bytes, NumPy's S
    utf32,   // fixed-width text of 4-byte code points, NumPy's U
    record,  // named fields
  };
  struct Field;

  DType() = default;
  /// A type of fixed size; not bytes, utf32 or record.
  constexpr DType(Kind kind) noexcept : kind_(kind), size_(size_of(kind)) {}
  /// Fixed-width bytes or text of `length` bytes or code points.
  static DType fixed_bytes(std::uint32_t length) noexcept { return DType(Kind::bytes, length, nullptr); }
  static DType fixed_utf32(std::uint32_t length) noexcept { return DType(Kind::utf32, 4 * length, nullptr); }
  /// A record of `size` bytes. Fields must lie inside it. Throws: Error(invalid_argument).
  static DType record(std::vector<Field> fields, std::uint32_t size);

  Kind kind() const noexcept { return kind_; }
  /// Bytes of one element.
  std::size_t item_size() const noexcept { return size_; }
  bool is_record() const noexcept { return kind_ == Kind::record; }
  /// The fields of a record, empty for other kinds.
  const std::vector<Field>& fields() const noexcept;

  /// "float32", "complex64", "bytes[8]", "{x: float32, y: float32}".
  std::string name() const;
  /// NumPy's notation, little-endian: "<f4", "|b1", "<c8", "|S8", "<U4"; the type's own name ("bfloat16",
  /// "float8_e4m3fn", "float8_e5m2") where NumPy has none. Empty for records, which are lists of fields.
  std::string numpy() const;
  /// The reverse of numpy(). `big_endian` is set for a leading '>'. Throws: Error(unsupported).
  static DType from_numpy(std::string_view text, bool& big_endian);

  friend bool operator==(const DType& a, const DType& b) noexcept;

 private:
  DType(Kind kind, std::uint32_t size, std::shared_ptr<const std::vector<Field>> fields) noexcept
      : kind_(kind), size_(size), fields_(std::move(fields)) {}
  static constexpr std::uint32_t size_of(Kind kind) noexcept {
    switch (kind) {
      case Kind::boolean: case Kind::int8: case Kind::uint8: case Kind::float8_e4m3fn: case Kind::float8_e5m2:
        return 1;
      case Kind::int16: case Kind::uint16: case Kind::float16: case Kind::bfloat16:
        return 2;
      case Kind::int32: case Kind::uint32: case Kind::float32:
        return 4;
      case Kind::int64: case Kind::uint64: case Kind::float64: case Kind::complex64:
        return 8;
      case Kind::complex128:
        return 16;
      default:
        return 0;
    }
  }

  Kind kind_ = Kind::none;
  std::uint32_t size_ = 0;
  std::shared_ptr<const std::vector<Field>> fields_;
};

/// A field of a record: `count` elements of `type` at `offset` (count 1 for a plain member, more for a member array).
struct DType::Field {
  std::string name;
  DType type;
  std::uint32_t offset = 0;
  std::uint32_t count = 1;
  friend bool operator==(const Field&, const Field&) = default;
};

/// Maps an element type to its DType; specialise with a `static constexpr DType::Kind kind` for a type that has the
/// bits of one of the kinds.
template <class T>
struct DTypeOf {};

template <> struct DTypeOf<bool> { static constexpr auto kind = DType::Kind::boolean; };
template <> struct DTypeOf<float> { static constexpr auto kind = DType::Kind::float32; };
template <> struct DTypeOf<double> { static constexpr auto kind = DType::Kind::float64; };
template <> struct DTypeOf<float16> { static constexpr auto kind = DType::Kind::float16; };
template <> struct DTypeOf<bfloat16> { static constexpr auto kind = DType::Kind::bfloat16; };
template <> struct DTypeOf<float8_e4m3fn> { static constexpr auto kind = DType::Kind::float8_e4m3fn; };
template <> struct DTypeOf<float8_e5m2> { static constexpr auto kind = DType::Kind::float8_e5m2; };
template <std::integral T>
  requires(!std::same_as<T, bool> && sizeof(T) <= 8)
struct DTypeOf<T> {
  // `char` counts as unsigned everywhere, so that files do not depend on the platform.
  static constexpr bool is_signed = std::is_signed_v<T> && !std::same_as<T, char>;
  static constexpr auto kind =
      sizeof(T) == 1   ? (is_signed ? DType::Kind::int8 : DType::Kind::uint8)
      : sizeof(T) == 2 ? (is_signed ? DType::Kind::int16 : DType::Kind::uint16)
      : sizeof(T) == 4 ? (is_signed ? DType::Kind::int32 : DType::Kind::uint32)
                       : (is_signed ? DType::Kind::int64 : DType::Kind::uint64);
};
template <class T>
  requires std::is_enum_v<T>
struct DTypeOf<T> : DTypeOf<std::underlying_type_t<T>> {};
template <> struct DTypeOf<std::byte> { static constexpr auto kind = DType::Kind::uint8; };
/// std::complex, recognised by its interface so that <complex> need not be included.
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

/// A type whose objects are the elements of a numeric array.
template <class T>
concept Element = requires {
  { DTypeOf<T>::kind } -> std::convertible_to<DType::Kind>;
} && std::is_trivially_copyable_v<T>;

}  // namespace stele

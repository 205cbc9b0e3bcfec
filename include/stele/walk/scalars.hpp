#pragma once
// Numbers, booleans and enumerations. Integers are stored by value, floats by their bits; a stored number becomes any
// type that holds it exactly.

#include <limits>

#include "stele/walk.hpp"

namespace stele::walk {

template <class T>
struct As<T, Family::null> {
  static void write(OutVisitor& out, const T&) { out.null(); }
  static void read(InVisitor& in, T&) { in.null(); }
};

template <class T>
struct As<T, Family::boolean> {
  static void write(OutVisitor& out, T value) { out.boolean(value); }
  static void read(InVisitor& in, T& value) { value = in.boolean(); }
};

template <class T>
struct As<T, Family::integer> {
  static_assert(sizeof(T) <= 8, "stele: integers have up to 64 bits");
  static void write(OutVisitor& out, T value) {
    if constexpr (std::is_same_v<T, char>) {
      out.natural(static_cast<unsigned char>(value));
    } else if constexpr (std::is_signed_v<T>) {
      out.integer(value);
    } else {
      out.natural(value);
    }
  }
  static void read(InVisitor& in, T& value) {
    const Number number = in.number();
    if constexpr (std::is_same_v<T, char>) {
      value = static_cast<char>(to_unsigned(number, 255, in));
    } else if constexpr (std::is_signed_v<T>) {
      value = static_cast<T>(to_signed(number, std::numeric_limits<T>::min(), std::numeric_limits<T>::max(), in));
    } else {
      value = static_cast<T>(to_unsigned(number, std::numeric_limits<T>::max(), in));
    }
  }
};

template <class T>
struct As<T, Family::enumeration> {
  using Underlying = std::underlying_type_t<T>;
  static void write(OutVisitor& out, T value) { stele::write(out, static_cast<Underlying>(value)); }
  static void read(InVisitor& in, T& value) {
    Underlying raw{};
    stele::read(in, raw);
    value = static_cast<T>(raw);
  }
};

template <class T>
struct As<T, Family::real> {
  static void write(OutVisitor& out, T value) { out.real(value); }
  static void read(InVisitor& in, T& value) {
    if constexpr (sizeof(T) == 4) {
      value = to_float(in.number(), in);
    } else {
      value = to_double(in.number(), in);
    }
  }
};

/// float16 and types with its bits.
template <class T>
struct As<T, Family::half> {
  static void write(OutVisitor& out, const T& value) { out.real(__builtin_bit_cast(float16, value)); }
  static void read(InVisitor& in, T& value) { value = __builtin_bit_cast(T, to_float16(in.number(), in)); }
};

/// bfloat16 and types with its bits: stored as the float32 it is the upper half of.
template <class T>
struct As<T, Family::brain_float> {
  static void write(OutVisitor& out, const T& value) {
    const std::uint32_t bits = std::uint32_t{__builtin_bit_cast(std::uint16_t, value)} << 16;
    out.real(__builtin_bit_cast(float, bits));
  }
  static void read(InVisitor& in, T& value) { value = __builtin_bit_cast(T, to_bfloat16(in.number(), in)); }
};

/// 8-bit floats: stored by their bits.
template <class T>
struct As<T, Family::tiny_float> {
  static void write(OutVisitor& out, const T& value) { out.natural(__builtin_bit_cast(std::uint8_t, value)); }
  static void read(InVisitor& in, T& value) {
    value = __builtin_bit_cast(T, static_cast<std::uint8_t>(to_unsigned(in.number(), 255, in)));
  }
};

/// [real, imaginary].
template <class T>
struct As<T, Family::complex> {
  using Part = typename T::value_type;
  static void write(OutVisitor& out, const T& value) {
    out.begin_sequence(2);
    out.real(static_cast<Part>(value.real()));
    out.real(static_cast<Part>(value.imag()));
    out.end();
  }
  static void read(InVisitor& in, T& value) {
    Part parts[2];
    in.begin_sequence();
    for (Part& part : parts) {
      if (!in.next()) {
        in.error(Errc::type_mismatch, "a complex number has two parts");
      }
      stele::read(in, part);
    }
    if (in.next()) {
      in.error(Errc::type_mismatch, "a complex number has two parts");
    }
    value = T(parts[0], parts[1]);
  }
};

/// The float64 where it is exact, else [exponent, mantissa, negative] with value = mantissa * 2^exponent.
template <class T>
struct As<T, Family::long_real> {
  static_assert(std::numeric_limits<T>::digits <= 64, "stele: long double has more than 64 bits of mantissa here");
  static void write(OutVisitor& out, T value) {
    const double narrow = static_cast<double>(value);
    if (static_cast<T>(narrow) == value || value != value) {
      out.real(narrow);
      return;
    }
    const LongReal parts = split(value);
    out.begin_sequence(3);
    out.integer(parts.exponent);
    out.natural(parts.mantissa);
    out.boolean(parts.negative);
    out.end();
  }
  static void read(InVisitor& in, T& value) {
    if (in.kind() != Kind::sequence) {
      value = static_cast<T>(to_double(in.number(), in));
      return;
    }
    std::int64_t exponent = 0;
    std::uint64_t mantissa = 0;
    bool negative = false;
    in.begin_sequence();
    const auto item = [&](auto& part) {
      if (!in.next()) {
        in.error(Errc::type_mismatch, "a long double has three parts");
      }
      stele::read(in, part);
    };
    item(exponent);
    item(mantissa);
    item(negative);
    if (in.next() || exponent < -20000 || exponent > 20000) {
      in.error(Errc::type_mismatch, "no long double");
    }
    value = static_cast<T>(joined({mantissa, static_cast<int>(exponent), negative}));
  }
};

}  // namespace stele::walk

#pragma once
// Single values that are not numbers: text, paths, times, bit sets, optional, variant, tuples.

#include <limits>
#include <string>
#include <tuple>
#include <type_traits>

#include "stele/walk.hpp"
#include "stele/walk/forms.hpp"

namespace stele::walk {

template <class T>
struct As<T, Family::text> {
  static void write(OutVisitor& out, const T& value) {
    out.text(std::string_view(reinterpret_cast<const char*>(value.data()), value.size()));
  }
  static void read(InVisitor& in, T& value) {
    static_assert(
        requires { value.push_back(typename T::value_type{}); },
        "stele: a string view has no owner; read into a std::string");
    if constexpr (std::is_same_v<T, std::string>) {
      in.text(value);
    } else {
      std::string text;
      in.text(text);
      const auto* first = reinterpret_cast<const typename T::value_type*>(text.data());
      value.assign(first, first + text.size());
    }
  }
};

/// In the generic form, with slashes.
template <class T>
struct As<T, Family::path> {
  static void write(OutVisitor& out, const T& value) { out.text(value.generic_string()); }
  static void read(InVisitor& in, T& value) {
    std::string text;
    in.text(text);
    value = T(std::move(text));
  }
};

/// std::bitset as bytes, bit i in byte i / 8 at weight 2^(i % 8).
template <class T>
struct As<T, Family::bits> {
  static void write(OutVisitor& out, const T& value) {
    std::string packed((value.size() + 7) / 8, '\0');
    for (std::size_t i = 0; i < value.size(); ++i) {
      if (value.test(i)) {
        packed[i / 8] = static_cast<char>(static_cast<unsigned char>(packed[i / 8]) | (1U << (i % 8)));
      }
    }
    out.bytes(std::as_bytes(std::span(packed)));
  }
  static void read(InVisitor& in, T& value) {
    std::string packed;
    in.text(packed);
    if (packed.size() != (value.size() + 7) / 8) {
      in.error(Errc::type_mismatch, message({"expected ", value.size(), " bits, found ", packed.size(), " bytes"}));
    }
    for (std::size_t i = 0; i < 8 * packed.size(); ++i) {
      const bool bit = (static_cast<unsigned char>(packed[i / 8]) >> (i % 8) & 1U) != 0;
      if (i < value.size()) {
        value.set(i, bit);
      } else if (bit) {
        in.error(Errc::type_mismatch, "a bit beyond the last is set");
      }
    }
  }
};

/// [count, numerator, denominator] of a second. Read in another unit if that is exact, or into floating-point counts as
/// the nearest number.
template <class T>
struct As<T, Family::duration> {
  using Rep = typename T::rep;
  static constexpr TimeUnit::Length unit{static_cast<std::uint64_t>(T::period::num),
                                         static_cast<std::uint64_t>(T::period::den)};
  static void write(OutVisitor& out, const T& value) {
    out.begin_sequence(3);
    stele::write(out, value.count());
    out.natural(unit.numerator);
    out.natural(unit.denominator);
    out.end();
  }
  static void read(InVisitor& in, T& value) {
    // of integers the number as it is stored, which need not fit Rep in the stored unit
    std::conditional_t<std::is_integral_v<Rep>, Number, Rep> count{};
    TimeUnit::Length stored;
    read_exactly(in, 3, [&](std::size_t i) {
      if (i != 0) {
        stele::read(in, i == 1 ? stored.numerator : stored.denominator);
      } else if constexpr (std::is_integral_v<Rep>) {
        count = in.number();
      } else {
        stele::read(in, count);
      }
    });
    if (stored.numerator == 0 || stored.denominator == 0) {
      in.error(Errc::type_mismatch, "a duration in a unit of no length");
    }
    if constexpr (std::is_integral_v<Rep>) {
      const Number number = rescaled(count, stored, unit, in);
      if constexpr (std::is_signed_v<Rep>) {
        value = T(
            static_cast<Rep>(to_signed(number, std::numeric_limits<Rep>::min(), std::numeric_limits<Rep>::max(), in)));
      } else {
        value = T(static_cast<Rep>(to_unsigned(number, std::numeric_limits<Rep>::max(), in)));
      }
    } else if (const Rescale rescale(stored, unit); rescale.same()) {
      value = T(std::move(count));
    } else if constexpr (std::is_floating_point_v<Rep>) {
      value = T(static_cast<Rep>(rescale(static_cast<double>(count))));
    } else {
      in.error(Errc::type_mismatch, "the stored duration is of another unit");
    }
  }
};

template <class T>
struct As<T, Family::time_point> {
  static void write(OutVisitor& out, const T& value) { stele::write(out, value.time_since_epoch()); }
  static void read(InVisitor& in, T& value) {
    typename T::duration since_epoch{};
    stele::read(in, since_epoch);
    value = T(since_epoch);
  }
};

/// null or the value; [value] where the value may itself be null.
template <class T>
struct As<T, Family::optional> {
  using Value = typename T::value_type;
  static constexpr bool wrapped = may_be_null<Value>;
  static void write(OutVisitor& out, const T& value) {
    if (!value.has_value()) {
      out.null();
      return;
    }
    if constexpr (wrapped) {
      out.begin_sequence(1);
    }
    stele::write(out, *value);
    if constexpr (wrapped) {
      out.end();
    }
  }
  static void read(InVisitor& in, T& value) {
    if (in.kind() == Kind::null) {
      in.null();
      value.reset();
      return;
    }
    auto& inside = make_inside(value);
    if constexpr (wrapped) {
      read_exactly(in, 1, [&](std::size_t) { stele::read(in, inside); });
    } else {
      stele::read(in, inside);
    }
  }
};

/// A map of one entry: the alternative's name or form, and its value.
template <class T>
struct As<T, Family::variant> {
  using Indices = std::make_index_sequence<Alternatives<T>::count>;
  static void write(OutVisitor& out, const T& value) {
    if (value.valueless_by_exception()) {
      fail(Errc::invalid_argument, "a variant without a value cannot be stored");
    }
    out.begin_map(1);
    out.text(Alternatives<T>::list()[value.index()].marked_tag);
    [&]<std::size_t... I>(std::index_sequence<I...>) {
      (void)((value.index() == I && (stele::write(out, *get_if<I>(&value)), true)) || ...);
    }(Indices{});
    out.end();
  }
  static void read(InVisitor& in, T& value) {
    const std::string tag = begin_alternative(in);
    const std::size_t index = find_alternative(in, Alternatives<T>::list(), tag);
    [&]<std::size_t... I>(std::index_sequence<I...>) {
      (void)((index == I && (stele::read(in, make_alternative<I>(value)), true)) || ...);
    }(Indices{});
    end_alternative(in);
  }
};

template <class T>
struct As<T, Family::tuple> {
  static constexpr std::size_t count = std::tuple_size_v<T>;
  static void write(OutVisitor& out, const T& value) {
    out.begin_sequence(count);
    [&]<std::size_t... I>(std::index_sequence<I...>) {
      (stele::write(out, get<I>(value)), ...);
    }(std::make_index_sequence<count>{});
    out.end();
  }
  static void read(InVisitor& in, T& value) {
    read_exactly(in, count, [&](std::size_t i) {
      [&]<std::size_t... I>(std::index_sequence<I...>) {
        (void)((i == I && (stele::read(in, get<I>(value)), true)) || ...);
      }(std::make_index_sequence<count>{});
    });
  }
};

}  // namespace stele::walk

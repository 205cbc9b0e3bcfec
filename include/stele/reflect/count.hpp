#pragma once
// How many fields an aggregate has. Machinery of reflect.hpp, which is the one to include.
//
// `{}` initialises exactly one field, whatever it is, even a C array; so the greatest n for which T{{}, ..., {}} with n
// pairs of braces compiles is the number of fields. Fields that `{}` cannot initialise (no default constructor) are
// given an object that converts to anything. Such an object cannot become a C array: it becomes the array's first
// element, and the list goes on inside the array. width() tells how many objects an array takes so.

#include <cstddef>
#include <type_traits>
#include <utility>

#include "stele/reflect/fields.hpp"

namespace stele::reflection {

/// The most initialisers tried for aggregates with fields that `{}` cannot initialise; C arrays take one per element.
inline constexpr std::size_t max_initializers = 64;
inline constexpr std::size_t unknown = static_cast<std::size_t>(-1);

/// Converts to nothing: only a constructor that takes anything accepts it.
struct Inert {};

template <class T>
struct Any;

/// A type whose constructor takes anything, even an object that converts to anything but the type itself.
template <class T>
concept TakesAnything = std::is_convertible_v<Inert, T> && std::is_convertible_v<Any<T>, T>;

/// Converts to anything but T. What takes anything is left to its own constructor, so that nothing is ambiguous; the
/// operator for references is the worse match wherever both do.
template <class T>
struct Any {
  template <class U>
    requires(!std::is_same_v<std::remove_cv_t<U>, T> && !TakesAnything<U>)
  operator U() const;
  template <class U>
    requires(!std::is_same_v<std::remove_cv_t<U>, T> && !TakesAnything<U>)
  operator U&() const volatile;
};

/// Converts to the base classes of T only.
template <class T>
struct AnyBase {
  template <class U>
    requires(std::is_base_of_v<U, T> && !std::is_same_v<U, T>)
  operator U() const;
};
/// Converts to those base classes of T that have members.
template <class T>
struct AnyBaseWithMembers {
  template <class U>
    requires(std::is_base_of_v<U, T> && !std::is_same_v<U, T> && !std::is_empty_v<U>)
  operator U() const;
};

template <class T, std::size_t>
Any<T> any();

// clang-format off: a table
template <class T, std::size_t braces, std::size_t... I, std::size_t... J>
consteval bool accepts(std::index_sequence<I...>, std::index_sequence<J...>) {
  if constexpr (braces == 0) {
    return requires { T{any<T, I>()..., any<T, J>()...}; };
  } else if constexpr (braces == 1) {
    return requires { T{any<T, I>()..., {}, any<T, J>()...}; };
  } else if constexpr (braces == 2) {
    return requires { T{any<T, I>()..., {}, {}, any<T, J>()...}; };
  } else if constexpr (braces == 3) {
    return requires { T{any<T, I>()..., {}, {}, {}, any<T, J>()...}; };
  } else if constexpr (braces == 4) {
    return requires { T{any<T, I>()..., {}, {}, {}, {}, any<T, J>()...}; };
  } else if constexpr (braces == 5) {
    return requires { T{any<T, I>()..., {}, {}, {}, {}, {}, any<T, J>()...}; };
  } else if constexpr (braces == 6) {
    return requires { T{any<T, I>()..., {}, {}, {}, {}, {}, {}, any<T, J>()...}; };
  } else if constexpr (braces == 7) {
    return requires { T{any<T, I>()..., {}, {}, {}, {}, {}, {}, {}, any<T, J>()...}; };
  } else if constexpr (braces == 8) {
    return requires { T{any<T, I>()..., {}, {}, {}, {}, {}, {}, {}, {}, any<T, J>()...}; };
  } else if constexpr (braces == 9) {
    return requires { T{any<T, I>()..., {}, {}, {}, {}, {}, {}, {}, {}, {}, any<T, J>()...}; };
  } else if constexpr (braces == 10) {
    return requires { T{any<T, I>()..., {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, any<T, J>()...}; };
  } else if constexpr (braces == 11) {
    return requires { T{any<T, I>()..., {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, any<T, J>()...}; };
  } else if constexpr (braces == 12) {
    return requires { T{any<T, I>()..., {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, any<T, J>()...}; };
  } else if constexpr (braces == 13) {
    return requires { T{any<T, I>()..., {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, any<T, J>()...}; };
  } else if constexpr (braces == 14) {
    return requires { T{any<T, I>()..., {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, any<T, J>()...}; };
  } else if constexpr (braces == 15) {
    return requires { T{any<T, I>()..., {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, any<T, J>()...}; };
  } else if constexpr (braces == 16) {
    return requires { T{any<T, I>()..., {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {},
                         any<T, J>()...}; };
  } else if constexpr (braces == 17) {
    return requires { T{any<T, I>()..., {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {},
                         any<T, J>()...}; };
  } else if constexpr (braces == 18) {
    return requires { T{any<T, I>()..., {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {},
                         any<T, J>()...}; };
  } else if constexpr (braces == 19) {
    return requires { T{any<T, I>()..., {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {},
                         any<T, J>()...}; };
  } else if constexpr (braces == 20) {
    return requires { T{any<T, I>()..., {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {},
                         any<T, J>()...}; };
  } else if constexpr (braces == 21) {
    return requires { T{any<T, I>()..., {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {},
                         {}, any<T, J>()...}; };
  } else if constexpr (braces == 22) {
    return requires { T{any<T, I>()..., {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {},
                         {}, {}, any<T, J>()...}; };
  } else if constexpr (braces == 23) {
    return requires { T{any<T, I>()..., {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {},
                         {}, {}, {}, any<T, J>()...}; };
  } else if constexpr (braces == 24) {
    return requires { T{any<T, I>()..., {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {},
                         {}, {}, {}, {}, any<T, J>()...}; };
  } else if constexpr (braces == 25) {
    return requires { T{any<T, I>()..., {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {},
                         {}, {}, {}, {}, {}, any<T, J>()...}; };
  } else if constexpr (braces == 26) {
    return requires { T{any<T, I>()..., {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {},
                         {}, {}, {}, {}, {}, {}, any<T, J>()...}; };
  } else if constexpr (braces == 27) {
    return requires { T{any<T, I>()..., {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {},
                         {}, {}, {}, {}, {}, {}, {}, any<T, J>()...}; };
  } else if constexpr (braces == 28) {
    return requires { T{any<T, I>()..., {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {},
                         {}, {}, {}, {}, {}, {}, {}, {}, any<T, J>()...}; };
  } else if constexpr (braces == 29) {
    return requires { T{any<T, I>()..., {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {},
                         {}, {}, {}, {}, {}, {}, {}, {}, {}, any<T, J>()...}; };
  } else if constexpr (braces == 30) {
    return requires { T{any<T, I>()..., {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {},
                         {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, any<T, J>()...}; };
  } else if constexpr (braces == 31) {
    return requires { T{any<T, I>()..., {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {},
                         {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, any<T, J>()...}; };
  } else if constexpr (braces == 32) {
    return requires { T{any<T, I>()..., {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {},
                         {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, any<T, J>()...}; };
  } else if constexpr (braces == 33) {
    return requires { T{any<T, I>()..., {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {},
                         {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, any<T, J>()...}; };
  }
}
// clang-format on

/// Whether T can be initialised by `before` objects that convert to anything, then `braces` times `{}`, then `after`
/// such objects.
template <class T, std::size_t before, std::size_t braces, std::size_t after = 0>
inline constexpr bool takes = accepts<T, braces>(std::make_index_sequence<before>(), std::make_index_sequence<after>());

/// The most `{}` that T takes after `before` objects, by bisection; at most max_fields + 1. `low` are accepted.
template <class T, std::size_t before, std::size_t low = 0, std::size_t high = max_fields + 1>
consteval std::size_t most_braces() {
  if constexpr (low == high) {
    return low;
  } else if constexpr (constexpr std::size_t middle = (low + high + 1) / 2; takes<T, before, middle>) {
    return most_braces<T, before, middle, high>();
  } else {
    return most_braces<T, before, low, middle - 1>();
  }
}

/// Whether n objects and then most_braces() initialise every field of T.
template <class T, std::size_t n>
consteval bool fills() {
  if constexpr (takes<T, n, 0>) {
    constexpr std::size_t braces = most_braces<T, n>();
    return braces > max_fields || !takes<T, n, braces, 1>;
  } else {
    return false;
  }
}

/// The least number of objects that fills T; 0 where `{}` can initialise every field. `unknown` where there is none up
/// to max_initializers.
template <class T, std::size_t n = 0>
consteval std::size_t least_objects() {
  if constexpr (n > max_initializers) {
    return unknown;
  } else if constexpr (fills<T, n>()) {
    return n;
  } else {
    return least_objects<T, n + 1>();
  }
}

/// The greatest number of objects T takes, n of which it does take; `unknown` beyond max_initializers.
template <class T, std::size_t n>
consteval std::size_t most_objects() {
  if constexpr (n > max_initializers) {
    return unknown;
  } else if constexpr (takes<T, n + 1, 0>) {
    return most_objects<T, n + 1>();
  } else {
    return n;
  }
}

template <class T, std::size_t... I, std::size_t... J, std::size_t... K>
consteval bool accepts_list(std::index_sequence<I...>, std::index_sequence<J...>, std::index_sequence<K...>) {
  return requires { T{any<T, I>()..., {any<T, J>()...}, any<T, K>()...}; };
}

/// Like takes, with a list of objects in braces between.
template <class T, std::size_t before, std::size_t within, std::size_t after>
inline constexpr bool takes_list = accepts_list<T>(
    std::make_index_sequence<before>(), std::make_index_sequence<within>(), std::make_index_sequence<after>());

/// The same as width() for a field that `{}` cannot initialise: an array takes all its objects in braces as well.
template <class T, std::size_t total, std::size_t at, std::size_t size = 2>
consteval std::size_t width_in_braces() {
  if constexpr (at + size > total) {
    return 1;
  } else if constexpr (takes_list<T, at, size, total - at - size> && !takes_list<T, at, size, total - at - size + 1>) {
    return size;
  } else {
    return width_in_braces<T, total, at, size + 1>();
  }
}

/// How many of `total` objects the field takes that begins at object `at`: 1, or the elements of a C array.
template <class T, std::size_t total, std::size_t at, std::size_t rest = total - at - 1>
consteval std::size_t width() {
  if constexpr (takes<T, at, 1, rest>) {
    return total - at - rest;
  } else if constexpr (rest > 0) {
    return width<T, total, at, rest - 1>();
  } else {
    return width_in_braces<T, total, at>();
  }
}

/// The fields from object `at` on; `unknown` where `total` is.
template <class T, std::size_t total, std::size_t at = 0>
consteval std::size_t fields_from() {
  if constexpr (total == unknown) {
    return unknown;
  } else if constexpr (at >= total) {
    return 0;
  } else {
    return 1 + fields_from<T, total, at + width<T, total, at>()>();
  }
}

/// Initialises the fields with `()`, where no object is taken by an element of an array.
template <class T, std::size_t... I>
consteval bool has_no_array(std::index_sequence<I...>) {
  return requires { T(any<T, I>()...); };
}

/// The number of fields, base classes included; more than max_fields where there are more, `unknown` where they cannot
/// be counted.
template <class T>
consteval std::size_t count_elements() {
  constexpr std::size_t objects = least_objects<T>();
  if constexpr (objects == 0) {
    return most_braces<T, 0>();
  } else if constexpr (objects == unknown) {
    return unknown;
  } else if constexpr (has_no_array<T>(std::make_index_sequence<objects>())) {
    return objects + most_braces<T, objects>();
  } else {
    return fields_from<T, most_objects<T, objects>()>();
  }
}

/// Whether `Object` can initialise the element after `before` others, itself and not only a part of it.
template <class T, class Object, std::size_t... I, std::size_t... J>
consteval bool element_takes(std::index_sequence<I...> before, std::index_sequence<J...> after) {
  if constexpr (has_no_array<T>(std::make_index_sequence<before.size() + 1 + after.size()>())) {
    return requires(Object object) { T(any<T, I>()..., object, any<T, J>()...); };
  } else {
    return requires(Object object) { T{any<T, I>()..., object, any<T, J>()...}; };
  }
}
template <class T, class Object, std::size_t at>
consteval bool takes_at() {
  constexpr std::size_t objects = least_objects<T>();
  constexpr std::size_t after = objects == unknown || objects <= at ? 0 : objects - at - 1;
  return element_takes<T, Object>(std::make_index_sequence<at>(), std::make_index_sequence<after>());
}

/// The number of base classes, which are the first elements.
template <class T, std::size_t at = 0>
consteval std::size_t count_bases() {
  if constexpr (takes_at<T, AnyBase<T>, at>() && !takes_at<T, Inert, at>()) {
    return count_bases<T, at + 1>();
  } else {
    return at;
  }
}

/// Whether one of the base classes has members.
template <class T>
consteval bool has_base_with_members() {
  return []<std::size_t... I>(std::index_sequence<I...>) {
    return (takes_at<T, AnyBaseWithMembers<T>, I>() || ...);
  }(std::make_index_sequence<count_bases<T>()>());
}

}  // namespace stele::reflection

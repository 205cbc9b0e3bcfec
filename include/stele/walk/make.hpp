#pragma once
// How objects are made when loading: empty, to be read into.

#include <array>
#include <concepts>
#include <cstddef>
#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>

#include "stele/error.hpp"

namespace stele {

/// Makes objects of classes that keep their default constructor or `stele_make` private and declare `friend struct
/// stele::Access;`.
struct Access {
  template <class T>
  static consteval bool has_constructor() {
    return requires { T(); };
  }
  template <class T>
  static consteval bool has_factory() {
    return requires {
      { T::stele_make() } -> std::same_as<T>;
    };
  }
  template <class T>
  static T construct() {
    return T();
  }
  template <class T>
  static T make() {
    return T::stele_make();
  }
};

/// Specialise with `static T make()` for a class of another library without a default constructor: it returns an empty
/// object to be read into. What is not stored keeps the value it has there.
template <class T>
struct Make {
  using primary = void;
};

namespace walk {

template <class T>
concept MadeByTrait = !requires { typename Make<T>::primary; };
template <class T>
concept MadeByFactory = std::is_class_v<T> && Access::has_factory<T>();
/// By a default constructor that everyone may call, so that containers can do it in place.
template <class T>
inline constexpr bool made_in_place = std::is_default_constructible_v<T> && !MadeByTrait<T> && !MadeByFactory<T>;

template <class T>
struct Makers;
/// Whether make<T>() works.
template <class T>
inline constexpr bool can_make = MadeByTrait<T> || MadeByFactory<T> || Access::has_constructor<T>() || Makers<T>::value;

/// Of what is made of its parts.
template <class T>
struct Makers : std::false_type {};
template <class A, class B>
struct Makers<std::pair<A, B>> : std::bool_constant<can_make<std::remove_const_t<A>> && can_make<B>> {};
template <class... Ts>
struct Makers<std::tuple<Ts...>> : std::bool_constant<(can_make<Ts> && ...)> {};
template <class T, std::size_t N>
struct Makers<std::array<T, N>> : std::bool_constant<can_make<T>> {};

template <class T>
T make();

template <class T>
struct Parts;
template <class A, class B>
struct Parts<std::pair<A, B>> {
  static std::pair<A, B> make() { return {walk::make<std::remove_const_t<A>>(), walk::make<B>()}; }
};
template <class... Ts>
struct Parts<std::tuple<Ts...>> {
  static std::tuple<Ts...> make() { return std::tuple<Ts...>(walk::make<Ts>()...); }
};
template <class T, std::size_t N>
struct Parts<std::array<T, N>> {
  static std::array<T, N> make() {
    return []<std::size_t... I>(std::index_sequence<I...>) {
      return std::array<T, N>{((void)I, walk::make<T>())...};
    }(std::make_index_sequence<N>());
  }
};

/// An empty object to be read into: by Make<T>, by T::stele_make(), or by the default constructor.
template <class T>
T make() {
  static_assert(can_make<T>,
                "stele: an object is made empty and then read; give its class a default constructor or a `static T "
                "stele_make()` (either may be private, with `friend struct stele::Access;`), or specialise "
                "stele::Make<T>; an aggregate needs an initialiser for each member without a default constructor");
  if constexpr (MadeByTrait<T>) {
    return Make<T>::make();
  } else if constexpr (MadeByFactory<T>) {
    return Access::make<T>();
  } else if constexpr (Access::has_constructor<T>()) {
    return Access::construct<T>();
  } else if constexpr (can_make<T>) {
    return Parts<T>::make();
  } else {
    fail(Errc::invalid_argument, "no way to make an object");
  }
}

/// On the heap.
template <class T>
T* make_new() {
  return new T(make<T>());
}
template <class T>
std::shared_ptr<T> make_shared() {
  if constexpr (made_in_place<T>) {
    return std::make_shared<T>();
  } else {
    return std::shared_ptr<T>(make_new<T>());
  }
}
/// Alternative I of a variant.
template <std::size_t I, template <class...> class V, class... Ts>
auto& make_alternative(V<Ts...>& variant) {
  using Alternative = std::tuple_element_t<I, std::tuple<Ts...>>;
  if constexpr (made_in_place<Alternative>) {
    return variant.template emplace<I>();
  } else {
    return variant.template emplace<I>(make<Alternative>());
  }
}
/// The value of an optional, of another library too, where emplace() may return nothing.
template <class O>
auto& make_inside(O& optional) {
  using Value = typename O::value_type;
  if constexpr (made_in_place<Value>) {
    optional.emplace();
  } else {
    optional.emplace(make<Value>());
  }
  return *optional;
}
/// At the end of a container.
template <class C>
auto& make_back(C& container) {
  using Item = typename C::value_type;
  if constexpr (made_in_place<Item>) {
    return container.emplace_back();
  } else {
    return container.emplace_back(make<Item>());
  }
}

}  // namespace walk
}  // namespace stele

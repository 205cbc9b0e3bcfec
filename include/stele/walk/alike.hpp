#pragma once
// Classes that look like one of the standard library's containers, texts, optionals and so on. What such a class holds
// besides its items cannot be seen. So it is stored by its interface only if it belongs to the standard library, adds
// nothing to such a class, or is declared to be like one.

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <tuple>
#include <type_traits>
#include <utility>

#include "stele/walk/spelling.hpp"

namespace stele {

/// Whether the interface that T shares with a type of the standard library shows everything it holds: as a container, a
/// text, an optional, a variant, a tuple, a duration … Specialise it as true for such classes of other libraries, which
/// are then stored as the standard type is:
///
///   template <class T, class A>
///   inline constexpr bool stele::is_like_standard<boost::container::vector<T, A>> = true;
template <class T>
inline constexpr bool is_like_standard = false;

namespace walk {

/// The families of types, one implementation each.
enum class Family : std::uint8_t {
  null,
  boolean,
  integer,
  enumeration,
  half,
  brain_float,
  tiny_float,
  real,
  long_real,
  complex,  // walk/scalars.hpp
  text,
  path,
  bits,
  duration,
  time_point,
  optional,
  variant,
  tuple,  // walk/values.hpp
  unique_pointer,
  shared_pointer,
  weak_pointer,  // walk/pointers.hpp
  array,         // walk/arrays.hpp
  fixed,
  contiguous,
  booleans,
  sequence,  // walk/containers.hpp
  set,
  map,  // walk/keyed.hpp
  visited,
  aggregate,  // walk/records.hpp
  derived,
  refused,  // walk/refused.hpp
};

template <class T, class... Chars>
concept StringOf = requires(const T& t) {
  typename T::traits_type;
  typename T::value_type;
  requires(std::same_as<typename T::value_type, Chars> || ...);
  { t.data() } -> std::convertible_to<const typename T::value_type*>;
  t.size();
};
template <class T>
concept TextLike = StringOf<T, char, char8_t>;
/// Not stored: text is UTF-8.
template <class T>
concept WideTextLike = StringOf<T, wchar_t, char16_t, char32_t>;
template <class T>
concept PathLike = requires(const T& p) {
  p.native();
  p.lexically_normal();
  p.generic_string();
};
template <class T>
concept OptionalLike = requires(T& o) {
  typename T::value_type;
  { o.has_value() } -> std::convertible_to<bool>;
  *o;
  o.reset();
  o.emplace();
} || requires(T& o) {
  typename T::value_type;
  { o.has_value() } -> std::convertible_to<bool>;
  o.value();
  o.reset();
  o.value_or(std::declval<typename T::value_type>());
};
template <class T>
concept VariantLike = requires(const T& v) {
  { v.valueless_by_exception() } -> std::convertible_to<bool>;
  { v.index() } -> std::convertible_to<std::size_t>;
};
template <class T>
concept BitsLike = requires(T& b, const T& c) {
  { c.test(std::size_t{}) } -> std::convertible_to<bool>;
  b.set(std::size_t{}, true);
  c.to_ullong();
  c.size();
};
template <class T>
concept DurationLike = requires(const T& d) {
  typename T::rep;
  T::period::num;
  T::period::den;
  d.count();
};
template <class T>
concept TimePointLike = requires(const T& t) {
  typename T::clock;
  typename T::duration;
  t.time_since_epoch();
};
template <class T>
concept TupleLike = requires { std::tuple_size<T>::value; };
template <class T>
concept Iterable = requires(const T& c) {
  typename T::value_type;
  c.begin() != c.end();
  c.size();
};
template <class T>
concept MapLike = Iterable<T> && requires {
  typename T::key_type;
  typename T::mapped_type;
};
template <class T>
concept SetLike = Iterable<T> && requires { typename T::key_type; };
template <class T>
concept ContiguousLike = requires(const T& c) {
  typename T::value_type;
  { c.data() } -> std::convertible_to<const typename T::value_type*>;
  { c.size() } -> std::convertible_to<std::size_t>;
};

// clang-format off: tables

/// The family of a class by its interface; refused where it has none.
template <class T>
consteval Family likeness() {
  if constexpr (PathLike<T>) return Family::path;
  else if constexpr (TextLike<T>) return Family::text;
  else if constexpr (WideTextLike<T>) return Family::refused;
  else if constexpr (BitsLike<T>) return Family::bits;
  else if constexpr (DurationLike<T>) return Family::duration;
  else if constexpr (TimePointLike<T>) return Family::time_point;
  else if constexpr (VariantLike<T>) return Family::variant;
  else if constexpr (TupleLike<T>) return Family::tuple;
  else if constexpr (MapLike<T>) return Family::map;
  else if constexpr (SetLike<T>) return Family::set;
  else if constexpr (OptionalLike<T>) return Family::optional;
  else if constexpr (ContiguousLike<T>) return Family::contiguous;
  else if constexpr (Iterable<T>)
    return std::is_same_v<typename T::value_type, bool> && !requires(T& c) { c.emplace_front(); } ? Family::booleans
                                                                                                   : Family::sequence;
  else return Family::refused;
}

/// Whether the interface of T shows all it holds.
template <class T>
inline constexpr bool is_shown = is_standard<T> || is_like_standard<T>;

template <class B>
struct BaseAndByte : B {
  char byte;
};
/// D has no members besides those of its base class B: it is no larger, and B has no padding at its end to reuse; or it
/// is declared so.
template <class D, class B>
concept AddsNothing = !std::is_same_v<D, B> && std::is_convertible_v<D*, B*> && is_shown<B> &&
                      (is_like_standard<D> || (sizeof(D) == sizeof(B) && sizeof(BaseAndByte<B>) > sizeof(B)));

/// std::type_identity of the standard class that T derives from and adds nothing to; of void if there is none. A
/// class's own name is a member of the classes that derive from it.
template <class T>
consteval auto standard_base() {
  if constexpr (requires { requires AddsNothing<T, typename T::vector>; }) return std::type_identity<typename T::vector>();
  else if constexpr (requires { requires AddsNothing<T, typename T::deque>; }) return std::type_identity<typename T::deque>();
  else if constexpr (requires { requires AddsNothing<T, typename T::list>; }) return std::type_identity<typename T::list>();
  else if constexpr (requires { requires AddsNothing<T, typename T::set>; }) return std::type_identity<typename T::set>();
  else if constexpr (requires { requires AddsNothing<T, typename T::multiset>; }) return std::type_identity<typename T::multiset>();
  else if constexpr (requires { requires AddsNothing<T, typename T::map>; }) return std::type_identity<typename T::map>();
  else if constexpr (requires { requires AddsNothing<T, typename T::multimap>; }) return std::type_identity<typename T::multimap>();
  else if constexpr (requires { requires AddsNothing<T, typename T::unordered_set>; }) return std::type_identity<typename T::unordered_set>();
  else if constexpr (requires { requires AddsNothing<T, typename T::unordered_multiset>; }) return std::type_identity<typename T::unordered_multiset>();
  else if constexpr (requires { requires AddsNothing<T, typename T::unordered_map>; }) return std::type_identity<typename T::unordered_map>();
  else if constexpr (requires { requires AddsNothing<T, typename T::unordered_multimap>; }) return std::type_identity<typename T::unordered_multimap>();
  else if constexpr (requires { requires AddsNothing<T, typename T::basic_string>; }) return std::type_identity<typename T::basic_string>();
  else if constexpr (requires { requires AddsNothing<T, typename T::basic_string_view>; }) return std::type_identity<typename T::basic_string_view>();
  else if constexpr (requires { requires AddsNothing<T, typename T::span>; }) return std::type_identity<typename T::span>();
  else if constexpr (requires { requires AddsNothing<T, typename T::array>; }) return std::type_identity<typename T::array>();
  else if constexpr (requires { requires AddsNothing<T, typename T::bitset>; }) return std::type_identity<typename T::bitset>();
  else if constexpr (requires { requires AddsNothing<T, typename T::path>; }) return std::type_identity<typename T::path>();
  else if constexpr (requires { requires AddsNothing<T, typename T::optional>; }) return std::type_identity<typename T::optional>();
  else if constexpr (requires { requires AddsNothing<T, typename T::variant>; }) return std::type_identity<typename T::variant>();
  else if constexpr (requires { requires AddsNothing<T, typename T::pair>; }) return std::type_identity<typename T::pair>();
  else if constexpr (requires { requires AddsNothing<T, typename T::tuple>; }) return std::type_identity<typename T::tuple>();
  else if constexpr (requires { requires AddsNothing<T, typename T::duration>; }) return std::type_identity<typename T::duration>();
  else if constexpr (requires { requires AddsNothing<T, typename T::time_point>; }) return std::type_identity<typename T::time_point>();
  else if constexpr (requires { requires AddsNothing<T, typename T::unique_ptr>; }) return std::type_identity<typename T::unique_ptr>();
  else if constexpr (requires { requires AddsNothing<T, typename T::shared_ptr>; }) return std::type_identity<typename T::shared_ptr>();
  else if constexpr (requires { requires AddsNothing<T, typename T::weak_ptr>; }) return std::type_identity<typename T::weak_ptr>();
  else return std::type_identity<void>();
}

// clang-format on

template <class T>
using StandardBase = typename decltype(standard_base<T>())::type;

}  // namespace walk
}  // namespace stele

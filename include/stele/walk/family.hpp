#pragma once
// The families of types, and which one a type belongs to: what the other pages of walk/ build on.

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <string>
#include <type_traits>
#include <utility>

#include "stele/reflect.hpp"
#include "stele/types.hpp"
#include "stele/visitor.hpp"

namespace stele {

/// Specialise to give the fields of a class one does not own: `static void visit(auto& v, auto& self)`.
template <class T>
struct Visit {
  using primary = void;
};

namespace walk {

/// The families of types, one implementation each.
enum class Family : std::uint8_t {
  null, boolean, integer, enumeration, half, brain_float, tiny_float, real, long_real, complex,        // walk/scalars.hpp
  text, path, bits, duration, time_point, optional, variant, tuple,                                    // walk/values.hpp
  unique_pointer, shared_pointer, weak_pointer,                                                        // walk/pointers.hpp
  array,                                                                                               // walk/arrays.hpp
  fixed, contiguous, booleans, sequence,                                                               // walk/containers.hpp
  set, map,                                                                                            // walk/keyed.hpp
  visited, aggregate,                                                                                  // walk/records.hpp
  raw_pointer, unknown,
};

struct AnyFieldVisitor {
  static constexpr bool loading = false;
  template <class M>
  AnyFieldVisitor& operator()(std::string_view, M&&);
  template <class M>
  AnyFieldVisitor& renamed(std::string_view, std::string_view, M&&);
  std::uint32_t version(std::uint32_t);
};

template <class T>
concept TraitVisited = !requires { typename Visit<T>::primary; };
template <class T>
concept MemberVisited = requires(AnyFieldVisitor& v, T& self) { T::visit(v, self); };
template <class T>
concept TextLike = requires(const T& t) {
  typename T::traits_type;
  typename T::value_type;
  requires std::same_as<typename T::value_type, char> || std::same_as<typename T::value_type, char8_t>;
  { t.data() } -> std::convertible_to<const typename T::value_type*>;
  t.size();
};
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

template <class T> inline constexpr bool is_unique_pointer = false;
template <class T, class D> inline constexpr bool is_unique_pointer<std::unique_ptr<T, D>> = true;
template <class T> inline constexpr bool is_shared_pointer = false;
template <class T> inline constexpr bool is_shared_pointer<std::shared_ptr<T>> = true;
template <class T> inline constexpr bool is_weak_pointer = false;
template <class T> inline constexpr bool is_weak_pointer<std::weak_ptr<T>> = true;
template <class T> inline constexpr bool is_array = false;
template <class T, std::size_t R> inline constexpr bool is_array<Array<T, R>> = true;
template <class T> inline constexpr bool is_std_array = false;
template <class T, std::size_t N> inline constexpr bool is_std_array<std::array<T, N>> = true;

template <class T>
consteval Family family() {
  if constexpr (TraitVisited<T>) return Family::visited;
  else if constexpr (std::is_same_v<T, std::nullptr_t>) return Family::null;
  else if constexpr (std::is_same_v<T, bool>) return Family::boolean;
  else if constexpr (std::is_integral_v<T>) return Family::integer;
  else if constexpr (std::is_same_v<T, float> || std::is_same_v<T, double>) return Family::real;
  else if constexpr (std::is_same_v<T, long double>) return Family::long_real;
  else if constexpr (std::is_enum_v<T>) return Family::enumeration;
  else if constexpr (std::is_pointer_v<T>) return Family::raw_pointer;
  else if constexpr (std::is_array_v<T>) return Family::fixed;
  else if constexpr (!std::is_class_v<T>) return Family::unknown;
  else if constexpr (MemberVisited<T>) return Family::visited;
  else if constexpr (Element<T>) {
    constexpr auto kind = DTypeOf<T>::kind;
    if constexpr (kind == DType::Kind::float16) return Family::half;
    else if constexpr (kind == DType::Kind::bfloat16) return Family::brain_float;
    else if constexpr (kind == DType::Kind::complex64 || kind == DType::Kind::complex128) return Family::complex;
    else return Family::tiny_float;
  }
  else if constexpr (is_array<T>) return Family::array;
  else if constexpr (is_unique_pointer<T>) return Family::unique_pointer;
  else if constexpr (is_shared_pointer<T>) return Family::shared_pointer;
  else if constexpr (is_weak_pointer<T>) return Family::weak_pointer;
  else if constexpr (PathLike<T>) return Family::path;
  else if constexpr (TextLike<T>) return Family::text;
  else if constexpr (BitsLike<T>) return Family::bits;
  else if constexpr (DurationLike<T>) return Family::duration;
  else if constexpr (TimePointLike<T>) return Family::time_point;
  else if constexpr (VariantLike<T>) return Family::variant;
  else if constexpr (is_std_array<T>) return Family::fixed;
  else if constexpr (TupleLike<T>) return Family::tuple;
  else if constexpr (MapLike<T>) return Family::map;
  else if constexpr (SetLike<T>) return Family::set;
  else if constexpr (OptionalLike<T>) return Family::optional;
  else if constexpr (ContiguousLike<T>) return Family::contiguous;
  else if constexpr (Iterable<T>)
    return std::is_same_v<typename T::value_type, bool> && !requires(T& c) { c.emplace_front(); } ? Family::booleans
                                                                                                   : Family::sequence;
  else if constexpr (std::is_empty_v<T> && requires(const T& a) { { a == a } -> std::convertible_to<bool>; a <=> a; })
    return Family::null;  // std::monostate and its like
  else if constexpr (std::is_aggregate_v<T>) return Family::aggregate;
  else return Family::unknown;
}

/// Whether null may stand for a value of T, so that optional<T> must tell its own null apart.
template <class T>
inline constexpr bool may_be_null = [] {
  constexpr Family f = family<T>();
  return f == Family::null || f == Family::optional || f == Family::unique_pointer || f == Family::shared_pointer ||
         f == Family::weak_pointer;
}();

/// Opens a sequence that must have exactly `count` items and reads them by `item(index)`.
template <class F>
void read_exactly(InVisitor& in, std::size_t count, F&& item) {
  in.begin_sequence();
  for (std::size_t i = 0; i < count; ++i) {
    if (!in.next()) {
      in.error(Errc::type_mismatch, "expected " + std::to_string(count) + " items, found " + std::to_string(i));
    }
    item(i);
  }
  if (in.next()) {
    in.error(Errc::type_mismatch, "expected " + std::to_string(count) + " items, found more");
  }
}

/// The implementation for a family.
template <class T, Family F = family<T>()>
struct As;

template <class T>
struct As<T, Family::raw_pointer> {
  static_assert(!std::is_pointer_v<T>,
                "stele: a raw pointer has no owner; use std::unique_ptr, std::shared_ptr or std::optional");
};
template <class T>
struct As<T, Family::unknown> {
  static_assert(std::is_aggregate_v<T>,
                "stele: this type is no aggregate; give it `static void visit(auto& v, auto& self)` or specialise "
                "stele::Visit for it");
};

}  // namespace walk

/// How T crosses the seam: `static void write(OutVisitor&, const T&)` and `static void read(InVisitor&, T&)`.
/// Specialise for containers of other libraries; eigen.hpp is an example.
template <class T>
struct Walk : walk::As<T> {};

/// Writes the events of `value`.
template <class T>
void write(OutVisitor& out, const T& value) {
  Walk<T>::write(out, value);
}

/// Reads `value` from the events of what is stored. On an Error `value` is left in some valid state.
template <class T>
void read(InVisitor& in, T& value) {
  static_assert(!std::is_const_v<T>, "stele: cannot read into a const object");
  Walk<T>::read(in, value);
}

/// Reads a whole object, then does what `finish` does; where either fails, nothing that was made for it stays behind.
/// Want of memory is an Error(limit_exceeded) too.
template <class T, class F>
void read_whole(InVisitor& in, T& value, F&& finish) {
  try {
    read(in, value);
    finish();
  } catch (const std::bad_alloc&) {
    in.abandon();
    in.error(Errc::limit_exceeded, "there is not enough memory for what is stored");
  } catch (...) {
    in.abandon();
    throw;
  }
}

}  // namespace stele

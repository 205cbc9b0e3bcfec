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
#include "stele/walk/alike.hpp"

namespace stele {

/// Specialise it to say how a type of another library is saved and loaded, wherever it occurs. It has either
/// - `static void visit(auto& v, auto& self)`, which names the fields as a member of that name does, or
/// - `static void write(OutVisitor&, const T&)` and `static void read(InVisitor&, T&)`, which write and read any one
///   value, null included; stele/eigen/dense.hpp is an example.
template <class T>
struct Visit {
  using primary = void;
};

namespace walk {

struct AnyFieldVisitor {
  static constexpr bool loading = false;
  template <class M>
  AnyFieldVisitor& operator()(std::string_view, M&&);
  template <class M>
  AnyFieldVisitor& renamed(std::string_view, std::string_view, M&&);
  template <class B, class Self>
  AnyFieldVisitor& base(Self&);
  template <class M>
  AnyFieldVisitor& required(std::string_view, M&&);
  AnyFieldVisitor& required();
  std::uint32_t version(std::uint32_t);
};

/// A specialisation of Visit writes T, reads it, or both.
template <class T>
concept TraitWritten = requires(OutVisitor& out, const T& value) { Visit<T>::write(out, value); } ||
                       requires(InVisitor& in, T& value) { Visit<T>::read(in, value); };
/// A specialisation of Visit names the fields of T.
template <class T>
concept TraitVisited = !TraitWritten<T> && !requires { typename Visit<T>::primary; };
template <class T>
concept MemberVisited = requires(AnyFieldVisitor& v, T& self) { T::visit(v, self); };

// clang-format off: tables

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

/// The family of a class by its interface. An aggregate that looks like something else is one all the same: reflection
/// sees all of its members.
template <class T>
consteval Family class_family() {
  constexpr Family like = likeness<T>();
  if constexpr (like != Family::refused && is_standard<T>) return like;
  else if constexpr (!std::is_void_v<StandardBase<T>>) return Family::derived;
  else if constexpr (like != Family::refused && is_like_standard<T>) return like;
  else if constexpr (std::is_empty_v<T> && requires(const T& a) { { a == a } -> std::convertible_to<bool>; a <=> a; })
    return Family::null;  // std::monostate and similar
  else if constexpr (std::is_aggregate_v<T> && !TupleLike<T>) return Family::aggregate;
  else return Family::refused;
}

template <class T>
consteval Family family() {
  if constexpr (TraitVisited<T>) return Family::visited;
  else if constexpr (std::is_same_v<T, std::nullptr_t>) return Family::null;
  else if constexpr (std::is_same_v<T, bool>) return Family::boolean;
  else if constexpr (std::is_integral_v<T>) return Family::integer;
  else if constexpr (std::is_same_v<T, float> || std::is_same_v<T, double>) return Family::real;
  else if constexpr (std::is_same_v<T, long double>) return Family::long_real;
  else if constexpr (std::is_enum_v<T>) return Family::enumeration;
  else if constexpr (std::is_array_v<T>) return Family::fixed;
  else if constexpr (!std::is_class_v<T>) return Family::refused;
  else if constexpr (MemberVisited<T>) return Family::visited;
  else if constexpr (Element<T>) {
    constexpr auto kind = DTypeOf<T>::kind;
    if constexpr (kind == DType::Kind::float16) return Family::half;
    else if constexpr (kind == DType::Kind::bfloat16) return Family::brain_float;
    else if constexpr (kind == DType::Kind::duration || kind == DType::Kind::time_point)
      return requires { typename T::clock; } ? Family::time_point : Family::duration;
    else if constexpr (kind == DType::Kind::complex64 || kind == DType::Kind::complex128) return Family::complex;
    else return Family::tiny_float;
  }
  else if constexpr (is_array<T>) return Family::array;
  else if constexpr (is_unique_pointer<T>) return Family::unique_pointer;
  else if constexpr (is_shared_pointer<T>) return Family::shared_pointer;
  else if constexpr (is_weak_pointer<T>) return Family::weak_pointer;
  else if constexpr (is_std_array<T>) return Family::fixed;
  else return class_family<T>();
}

// clang-format on

/// Whether T is written by a Visit<T> of the user's, which may write anything. Those of the library have `using
/// built_in = T`.
template <class T>
inline constexpr bool is_custom_written =
    TraitWritten<T> && !requires { requires std::is_same_v<typename Visit<T>::built_in, T>; };
/// Whether the user says how T is written: then no array or run stands for many of them.
template <class T>
inline constexpr bool has_own_way = TraitVisited<T> || MemberVisited<T> || is_custom_written<T>;

/// Whether null may stand for a value of T, so that optional<T> must tell its own null apart.
template <class T>
inline constexpr bool may_be_null = [] {
  constexpr Family f = family<T>();
  if constexpr (requires { typename Visit<T>::written_as; }) {
    return may_be_null<typename Visit<T>::written_as>;
  } else if constexpr (is_custom_written<T>) {
    return true;
  } else if constexpr (f == Family::derived) {
    return may_be_null<StandardBase<T>>;
  } else if constexpr (f == Family::array) {
    return T::rank == 0;  // without its element
  } else {
    return f == Family::null || f == Family::optional || f == Family::unique_pointer || f == Family::shared_pointer ||
           f == Family::weak_pointer;
  }
}();

/// Opens a sequence that must have exactly `count` items and reads them by `item(index)`.
template <class F>
void read_exactly(InVisitor& in, std::size_t count, F&& item) {
  in.begin_sequence();
  for (std::size_t i = 0; i < count; ++i) {
    if (!in.next()) {
      in.error(Errc::type_mismatch, message({"expected ", count, " items, found ", i}));
    }
    item(i);
  }
  if (in.next()) {
    in.error(Errc::type_mismatch, message({"expected ", count, " items, found more"}));
  }
}

/// What a character literal is.
template <class T>
concept CharArray = std::rank_v<T> == 1 &&
                    (std::is_same_v<std::remove_extent_t<T>, char> || std::is_same_v<std::remove_extent_t<T>, char8_t>);
template <class T>
concept WideCharArray = std::rank_v<T> == 1 && (std::is_same_v<std::remove_extent_t<T>, wchar_t> ||
                                                std::is_same_v<std::remove_extent_t<T>, char16_t> ||
                                                std::is_same_v<std::remove_extent_t<T>, char32_t>);
/// The text of a literal or another array of characters: all of it but a zero at its end.
template <class C, std::size_t N>
std::string_view text_of(const C (&chars)[N]) noexcept {
  return {reinterpret_cast<const char*>(chars), chars[N - 1] == C{} ? N - 1 : N};
}

/// The implementation for a family.
template <class T, Family F = family<T>()>
struct As;

template <class T>
consteval void require_one_way() {
  static_assert(
      !requires(AnyFieldVisitor& v, T& self) { Visit<T>::visit(v, self); },
      "stele: a stele::Visit<T> has either visit(), or write() and read()");
}

/// Writes the events of `value`. An array of characters is an array.
template <class T>
void write_value(OutVisitor& out, const T& value) {
  if constexpr (TraitWritten<T>) {
    require_one_way<T>();
    static_assert(
        requires { Visit<T>::write(out, value); },
        "stele: to be saved, a stele::Visit<T> has `static void write(OutVisitor&, const T&)`");
    Visit<T>::write(out, value);
  } else {
    As<T>::write(out, value);
  }
}

}  // namespace walk

/// Writes the events of `value`. An array of char or char8_t, such as a literal, is text, without one zero at its end.
template <class T>
void write(OutVisitor& out, const T& value) {
  static_assert(!walk::WideCharArray<T>,
                "stele: text is stored as UTF-8; use a literal \"...\" or u8\"...\", std::string or std::u8string");
  if constexpr (walk::CharArray<T>) {
    out.text(walk::text_of(value));
  } else if constexpr (!walk::WideCharArray<T>) {
    walk::write_value(out, value);
  }
}

/// Writes a whole object; Errors have the place in it where they arose.
template <class T>
void write_whole(OutVisitor& out, const T& value) {
  try {
    write(out, value);
  } catch (const Error& error) {
    out.rethrow(
        error, [](OutVisitor& again, const void* object) { write(again, *static_cast<const T*>(object)); }, &value);
  }
}

/// Reads `value` from stored events. After an Error `value` is in some valid state.
template <class T>
void read(InVisitor& in, T& value) {
  static_assert(!std::is_const_v<T>, "stele: cannot read into a const object");
  if constexpr (walk::TraitWritten<T>) {
    walk::require_one_way<T>();
    static_assert(
        requires { Visit<T>::read(in, value); },
        "stele: to be loaded, a stele::Visit<T> has `static void read(InVisitor&, T&)`");
    Visit<T>::read(in, value);
  } else {
    walk::As<T>::read(in, value);
  }
}

/// Reads a whole object, then calls `finish`; if either fails, everything made for it is released. Errors have the
/// place where they arose. Lack of memory is an Error(limit_exceeded) too.
template <class T, class F>
void read_whole(InVisitor& in, T& value, F&& finish) {
  try {
    read(in, value);
    in.finish_shared();
    finish();
  } catch (const std::bad_alloc&) {
    in.abandon();
    in.error(Errc::limit_exceeded, "there is not enough memory for what is stored");
  } catch (const Error& error) {
    in.abandon();
    in.rethrow(error);
  } catch (...) {
    in.abandon();
    throw;
  }
}

}  // namespace stele

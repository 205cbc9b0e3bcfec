#pragma once
// Field reflection of aggregates: the number, names and references of the fields of a plain struct of up to 32 fields,
// without a macro or a line of code in it. Works for class templates, local types and types in unnamed namespaces.
// A type with base classes that have members, with reference or bit-field members, or with more fields has a static
// visit(v, self) instead.

#include <array>
#include <cstddef>
#include <string_view>
#include <type_traits>
#include <utility>

#include "stele/reflect/count.hpp"
#include "stele/reflect/fields.hpp"

namespace stele {

/// A class whose fields can be listed: an aggregate that is not a union and has no tuple protocol (as std::array has).
template <class T>
concept Aggregate =
    std::is_class_v<T> && std::is_aggregate_v<T> && !requires { std::tuple_size<std::remove_cv_t<T>>::value; };

namespace reflection {

template <Aggregate T>
consteval std::size_t count_fields() {
  constexpr std::size_t count = count_elements<T>();
  constexpr std::size_t bases = count_bases<T>();
  constexpr bool refused = has_base_with_members<T>();
  static_assert(!refused,
                "stele: an aggregate with a base class that has members; give it a static visit(v, self), with "
                "stele::visit_base<Base>(v, self) for the fields of the base class");
  static_assert(refused || count != unknown,
                "stele: an aggregate whose fields cannot be counted (C arrays beside a field without a default "
                "constructor, or a reference); give it a static visit(v, self)");
  static_assert(refused || count == unknown || count <= max_fields,
                "stele: an aggregate of more than 32 fields; give it a static visit(v, self)");
  return refused || count == unknown || count > max_fields ? 0 : count - bases;
}

}  // namespace reflection

/// The number of fields, 0 to 32. Base classes with members and more fields are compile-time errors that say what to
/// do.
template <Aggregate T>
inline constexpr std::size_t field_count = reflection::count_fields<std::remove_cv_t<T>>();

/// Returns use(field, ...), called with lvalue references to the fields in order of declaration; const if T is.
template <Aggregate T, class F>
constexpr decltype(auto) with_fields(T& object, F&& use) {
  return reflection::bind_fields<field_count<T>>(object, use);
}

namespace reflection {

/// An address as a template argument: within a class, since some compilers allow no bare address of a member.
struct Place {
  const volatile void* address;
};

struct Locate {
  template <class... Fields>
  constexpr auto operator()(Fields&... fields) const {
    return std::array<Place, sizeof...(Fields)>{
        Place{static_cast<const volatile void*>(__builtin_addressof(fields))}...};
  }
};

template <class T>
struct Specimen {  // around T, since a variable of a type without linkage would have to be defined
  T object;
};

// The specimen is declared only: it exists nowhere, but its fields have constant addresses, and an address spells the
// field's name. clang++ warns of the missing definition; g++ does not know these warnings.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpragmas"
#pragma GCC diagnostic ignored "-Wundefined-internal"
#pragma GCC diagnostic ignored "-Wundefined-var-template"

template <class T>
extern Specimen<T> specimen;

template <class T>
consteval auto places() {
  return with_fields(specimen<T>.object, Locate());
}

#pragma GCC diagnostic pop

/// The last identifier in the spelling of an address, as in "... = (& specimen<L>.Specimen<L>::object.L::bias)]".
consteval std::string_view last_name(const char* end) {
  while (end[-1] == ']' || end[-1] == ')' || end[-1] == '}') {
    --end;
  }
  const char* begin = end;
  while (begin[-1] != '.' && begin[-1] != ':') {
    --begin;
  }
  return {begin, static_cast<std::size_t>(end - begin)};
}

template <Place place>
consteval auto name_at() {  // auto: g++ would spell out an alias behind the address
  return last_name(__PRETTY_FUNCTION__ + sizeof(__PRETTY_FUNCTION__) - 1);
}

template <class T, std::size_t... I>
consteval std::array<std::string_view, sizeof...(I)> names(std::index_sequence<I...>) {
  if constexpr (requires { typename std::bool_constant<(places<T>(), true)>; }) {
    constexpr auto at = places<T>();
    return {name_at<at[I]>()...};
  } else {
    static_assert(sizeof...(I) > max_fields,
                  "stele: a reference, volatile or bit-field member cannot be reflected; "
                  "hold the value itself, or give the type a static visit(v, self)");
    return {};
  }
}

}  // namespace reflection

/// The names of the fields as they are written, in order of declaration; the views are valid forever.
template <Aggregate T>
inline constexpr std::array<std::string_view, field_count<T>> field_names =
    reflection::names<std::remove_cv_t<T>>(std::make_index_sequence<field_count<T>>());

/// Calls use(name, field) for each field in order; `name` is a std::string_view, `field` an lvalue, const if T is.
template <Aggregate T, class F>
constexpr void for_each_field(T& object, F&& use) {
  with_fields(object, [&use](auto&... fields) {
    [[maybe_unused]] std::size_t index = 0;
    (static_cast<void>(use(field_names<T>[index++], fields)), ...);
  });
}

/// A list of types.
template <class... T>
struct TypeList {
  static constexpr std::size_t size = sizeof...(T);
};

namespace reflection {

struct ListTypes {
  template <class... Fields>
  constexpr TypeList<Fields...> operator()(Fields&...) const {
    return {};
  }
};

}  // namespace reflection

/// The fields' types as declared, in order, as a TypeList.
template <Aggregate T>
using field_types = decltype(with_fields(std::declval<T&>(), reflection::ListTypes()));

}  // namespace stele

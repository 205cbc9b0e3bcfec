#pragma once
// What identifies the alternatives of a variant in a file: the stable name of a type if it has one, else its form, a
// short text that follows from what the type consists of ("int32", "text", "float64[]", "record {rate, momentum}").

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <vector>

#include "stele/walk/family.hpp"
#include "stele/walk/make.hpp"

namespace stele {

/// Specialise to give a type of another library a stable name: `static constexpr std::string_view name = "sgd";` and,
/// if older files have other names, `static constexpr std::string_view former_names[] = {"SGD"};`. One's own type has
/// the members `stele_name` and `stele_former_names` instead.
template <class T>
struct NameOf {
  using primary = void;
};

namespace walk {

/// The stable name of a type, empty where it has none.
template <class T>
constexpr std::string_view stable_name() {
  if constexpr (requires { std::string_view(NameOf<T>::name); }) {
    return NameOf<T>::name;
  } else if constexpr (requires { std::string_view(T::stele_name); }) {
    return T::stele_name;
  } else {
    return {};
  }
}
template <class T>
constexpr std::span<const std::string_view> former_names() {
  if constexpr (requires { std::span<const std::string_view>(NameOf<T>::former_names); }) {
    return NameOf<T>::former_names;
  } else if constexpr (requires { std::span<const std::string_view>(T::stele_former_names); }) {
    return T::stele_former_names;
  } else {
    return {};
  }
}

/// A form while it is put together. Longer ones than 200 bytes are cut, and end in a hash of the whole.
class Form {
 public:
  constexpr Form& operator+=(char c) {
    if (size_ < longest) {
      text_[size_] = c;
    }
    ++size_;
    hash_ = (hash_ ^ static_cast<unsigned char>(c)) * 16777619U;  // FNV-1a
    return *this;
  }
  constexpr Form& operator+=(std::string_view text) {
    for (const char c : text) {
      *this += c;
    }
    return *this;
  }
  constexpr Form& add_decimal(std::uint64_t number) {
    if (number >= 10) {
      add_decimal(number / 10);
    }
    return *this += static_cast<char>('0' + number % 10);
  }
  /// Ends it; the view is valid as long as this.
  constexpr std::string_view finish() {
    if (size_ > longest) {
      text_[longest - 9] = '~';
      for (std::size_t i = 0; i < 8; ++i) {
        text_[longest - 1 - i] = "0123456789abcdef"[hash_ >> 4 * i & 15U];
      }
      size_ = longest;
    }
    return {text_, size_};
  }

 private:
  static constexpr std::size_t longest = 200;
  char text_[longest] = {};
  std::size_t size_ = 0;
  std::uint32_t hash_ = 2166136261U;
};
constexpr std::string_view number_form(DType::Kind kind) {
  constexpr std::array<std::string_view, 18> names = {
      "none",   "bool",    "int8",     "int16",   "int32",   "int64",     "uint8",      "uint16",        "uint32",
      "uint64", "float16", "bfloat16", "float32", "float64", "complex64", "complex128", "float8_e4m3fn", "float8_e5m2"};
  return names[static_cast<std::size_t>(kind)];
}

/// A Visit that tells the form of what it writes: `static constexpr void add_form(std::string&)`.
template <class T>
concept OwnForm = requires(Form& form) { Visit<T>::add_form(form); };

template <class T, bool by_name = true>
constexpr void add_form(Form& form, int depth = 0);

/// "what(A, B)" for the arguments of a template.
template <class T>
struct ArgumentForms;
template <template <class...> class C, class... Ts>
struct ArgumentForms<C<Ts...>> {
  static constexpr void add(Form& form, std::string_view what, int depth) {
    form += what;
    bool first = true;
    ((form += first ? "(" : ", ", first = false, walk::add_form<Ts>(form, depth)), ...);
    form += first ? "()" : ")";
  }
};

/// The names that the visit of a class gives, asked of a new object.
template <class T>
void add_visited_names(Form& form);

template <class T>
constexpr void add_record_form(Form& form) {
  form += "record {";
  if constexpr (family<T>() == Family::aggregate) {
    bool first = true;
    for (const std::string_view name : field_names<T>) {
      form += first ? "" : ", ";
      form += name;
      first = false;
    }
  } else if (std::is_constant_evaluated()) {
    form += __PRETTY_FUNCTION__;  // to be compared with other forms only; it never reaches a file
  } else {
    add_visited_names<T>(form);
  }
  form += '}';
}

template <class Inner>
constexpr void add_form_of(Form& form, std::string_view what, int depth) {
  form += what;
  form += '(';
  if constexpr (std::is_polymorphic_v<Inner> && stable_name<Inner>().empty()) {
    form += "object";
  } else {
    add_form<Inner>(form, depth);
  }
  form += ')';
}

template <class T, bool by_name>
constexpr void add_form(Form& form, int depth) {
  constexpr Family f = family<T>();
  if (depth++ > 8) {
    form += "...";  // a type that contains itself
  } else if constexpr (by_name && !stable_name<T>().empty()) {
    form += stable_name<T>();
  } else if constexpr (OwnForm<T>) {
    Visit<T>::add_form(form);
  } else if constexpr (TraitWritten<T>) {
    static_assert(OwnForm<T>,
                  "stele: an alternative of a variant whose stele::Visit writes it needs a name: give it `static "
                  "constexpr std::string_view stele_name`, or specialise stele::NameOf for it");
  } else if constexpr (f == Family::refused) {
    form += "refused";  // writing and reading say why
  } else if constexpr (f == Family::derived) {
    add_form<std::remove_const_t<StandardBase<T>>>(form, depth);
  } else if constexpr (f == Family::null) {
    form += "null";
  } else if constexpr (f == Family::enumeration) {
    form += "enum ";
    form += number_form(DTypeOf<std::underlying_type_t<T>>::kind);
  } else if constexpr (f == Family::integer && std::is_same_v<T, char>) {
    form += "char";
  } else if constexpr (f == Family::long_real) {
    form += "long double";
  } else if constexpr (f == Family::duration) {
    form += "duration(";
    add_form<typename T::rep>(form, depth);
    form += ", ";
    form.add_decimal(static_cast<std::uint64_t>(T::period::num));
    form += ':';
    form.add_decimal(static_cast<std::uint64_t>(T::period::den));
    form += ')';
  } else if constexpr (f == Family::time_point) {
    add_form_of<typename T::duration>(form, "time", depth);
  } else if constexpr (Element<T>) {
    form += number_form(DTypeOf<T>::kind);
  } else if constexpr (f == Family::text) {
    form += std::is_same_v<typename T::value_type, char> ? "text" : "u8text";
  } else if constexpr (f == Family::path) {
    form += "path";
  } else if constexpr (f == Family::bits) {
    form += "bits[";
    form.add_decimal(T().size());
    form += ']';
  } else if constexpr (f == Family::optional) {
    add_form_of<typename T::value_type>(form, "optional", depth);
  } else if constexpr (f == Family::unique_pointer || f == Family::shared_pointer || f == Family::weak_pointer) {
    add_form_of<std::remove_cv_t<typename T::element_type>>(form,
                                                            f == Family::unique_pointer   ? "pointer"
                                                            : f == Family::shared_pointer ? "shared"
                                                                                          : "weak",
                                                            depth);
  } else if constexpr (f == Family::variant) {
    ArgumentForms<T>::add(form, "variant", depth);
  } else if constexpr (f == Family::tuple) {
    ArgumentForms<T>::add(form, "tuple", depth);
  } else if constexpr (f == Family::array) {
    add_form<std::remove_const_t<typename T::value_type>>(form, depth);
    form += '[';
    for (std::size_t i = 1; i < T::rank; ++i) {
      form += ',';
    }
    form += ']';
  } else if constexpr (f == Family::fixed) {
    add_form<typename As<T>::Item>(form, depth);
    form += '[';
    form.add_decimal(As<T>::count);
    form += ']';
  } else if constexpr (f == Family::contiguous || f == Family::booleans || f == Family::sequence) {
    add_form<std::remove_const_t<typename T::value_type>>(form, depth);
    form += "[]";
  } else if constexpr (f == Family::set) {
    add_form_of<typename T::key_type>(form, "set", depth);
  } else if constexpr (f == Family::map) {
    form += "map(";
    add_form<typename T::key_type>(form, depth);
    form += ", ";
    add_form<typename T::mapped_type>(form, depth);
    form += ')';
  } else if constexpr (f == Family::aggregate || f == Family::visited) {
    add_record_form<T>(form);
  } else {
    static_assert(f == Family::null,
                  "stele: an alternative of a variant of this type needs a name: give it `static constexpr "
                  "std::string_view stele_name`, or specialise stele::NameOf for it");
  }
}

/// Whether the form of a type with a name is of use: older files may have it instead.
template <class T>
inline constexpr bool has_form = [] {
  constexpr Family f = family<T>();
  return !TraitWritten<T> &&
         (f == Family::aggregate || (f == Family::visited && can_make<T>) || f == Family::enumeration);
}();

/// The name of a type, or its form.
template <class T, bool by_name = true>
constexpr Form form_of() {
  Form form;
  add_form<T, by_name>(form);
  return form;
}

/// Whether values of two types that have the same form are the same to a reader.
template <class A, class B>
inline constexpr bool alike = std::is_same_v<A, B> || (std::is_arithmetic_v<A> && std::is_arithmetic_v<B>) ||
                              (family<A>() == Family::null && family<B>() == Family::null);

template <class A, class... Rest>
consteval bool differ_from_first() {
  return ((alike<A, Rest> || form_of<A>().finish() != form_of<Rest>().finish()) && ...);
}
template <class... Ts>
inline constexpr bool told_apart = true;
template <class A, class... Rest>
inline constexpr bool told_apart<A, Rest...> = differ_from_first<A, Rest...>() && told_apart<Rest...>;

/// An alternative, as the compiled part of variants knows it.
struct Alternative {
  std::string name;  // the stable name of its type, or the form
  std::string form;  // of its type, also where that has a name
  bool named = false;
  const std::type_info* type = nullptr;
  std::span<const std::string_view> former_names;
  std::string tag;         // the name, with an ordinal after that of a type met before
  std::string marked_tag;  // what is stored: the tag, and the forms of others that could be taken for it
};
template <class T>
Alternative alternative() {
  Alternative made{
      std::string(form_of<T>().finish()), {}, !stable_name<T>().empty(), &typeid(T), former_names<T>(), {}, {}};
  if constexpr (stable_name<T>().empty()) {
    made.form = made.name;
  } else if constexpr (has_form<T>) {
    made.form = form_of<T, false>().finish();
  }
  return made;
}

/// The alternatives of a variant with their tags.
/// Throws: Error(invalid_argument) where two cannot be told apart.
std::vector<Alternative> complete(std::vector<Alternative> alternatives);
/// The alternatives of a variant type.
template <class V>
struct Alternatives;
template <template <class...> class V, class... Ts>
struct Alternatives<V<Ts...>> {
  static constexpr std::size_t count = sizeof...(Ts);
  static_assert(told_apart<Ts...>,
                "stele: two alternatives of a variant have the same form and could be mistaken for one another; give "
                "their types `static constexpr std::string_view stele_name`, or specialise stele::NameOf for them");
  static const std::vector<Alternative>& list() {
    static const std::vector<Alternative> made = complete({alternative<Ts>()...});
    return made;
  }
};

/// The index of the alternative that was stored as `tag`. Throws through `in`: Error(type_mismatch).
std::size_t find_alternative(InVisitor& in, std::span<const Alternative> alternatives, std::string_view tag);
/// Opens what stands for a variant and reads the tag; the value follows. Throws through `in`: Error(type_mismatch).
std::string begin_alternative(InVisitor& in);
void end_alternative(InVisitor& in);

}  // namespace walk

}  // namespace stele

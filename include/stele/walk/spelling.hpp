#pragma once
// What the compiler's spelling of a type tells: whether it is a class of the standard library or of Eigen, and whether
// its `visit` is a base class's. Spellings are compared with one another only; they never reach a file.

#include <cstddef>
#include <string_view>
#include <type_traits>
#include <utility>

namespace stele::walk {

template <class T>
consteval std::string_view spelling_of_type() {
  return __PRETTY_FUNCTION__;
}
template <auto function>
consteval std::string_view spelling_of_function() {
  return __PRETTY_FUNCTION__;
}

/// "std::vector<int>" of "… spelling_of_type() [with T = std::vector<int>; std::string_view = …]" (g++) or
/// "… spelling_of_type() [T = std::vector<int>]" (clang++).
template <class T>
consteval std::string_view spelling() {
  constexpr std::string_view model = spelling_of_type<int>();
  constexpr std::size_t begin = model.rfind("T = int") + 4;
  constexpr std::size_t behind = model.size() - begin - 3;
  std::string_view text = spelling_of_type<T>();
  text.remove_prefix(begin);
  text.remove_suffix(behind);
  return text;
}

/// A class of the standard library itself, in whatever inline namespace.
template <class T>
inline constexpr bool is_standard = spelling<T>().starts_with("std::");
template <class T>
inline constexpr bool is_eigen = spelling<T>().starts_with("Eigen::");

/// Converts to references to T only.
template <class T>
struct OnlyReference {
  template <class U>
    requires std::is_same_v<std::remove_cv_t<U>, T>
  operator U&() const;
};
/// Converts to references to base classes of T only.
template <class T>
struct BaseReference {
  template <class U>
    requires(std::is_base_of_v<U, T> && !std::is_same_v<std::remove_cv_t<U>, T>)
  operator U&() const;
};

/// "Base::visit<Visitor, Self>" (g++) or "Base::visit" (clang++) for an address; with or without `&` in front.
template <auto address>
consteval std::string_view spelling_of_address() {
  std::string_view text = spelling_of_function<address>();
  text.remove_prefix(text.find("= ") + 2);
  const std::size_t more = text.find("; std::string_view = ");
  text = text.substr(0, more != std::string_view::npos ? more : text.size() - 1);
  if (text.starts_with("(& ")) {
    text = text.substr(3, text.size() - 4);
  }
  if (text.starts_with('&')) {
    text.remove_prefix(1);
  }
  return text;
}

/// T::visit for the visitor V, in the first of the forms in which it is usually written: functions of these Selves,
/// else whatever has an address.
template <class T, class V, class Result, class... Selves>
struct VisitAddress {
  static constexpr bool known = false;
};
template <class T, class V, class Result>
  requires requires { spelling_of_function<&T::visit>(); }
struct VisitAddress<T, V, Result> {
  static constexpr bool known = true;
  static consteval std::string_view spelling() { return spelling_of_address<&T::visit>(); }
};
template <class T, class V, class Result, class Self, class... Selves>
struct VisitAddress<T, V, Result, Self, Selves...> : VisitAddress<T, V, Result, Selves...> {};
template <class T, class V, class Result, class Self, class... Selves>
  requires requires { spelling_of_function<static_cast<Result (*)(V&, Self)>(&T::visit)>(); }
struct VisitAddress<T, V, Result, Self, Selves...> {
  static constexpr bool known = true;
  static consteval std::string_view spelling() {
    return spelling_of_address<static_cast<Result (*)(V&, Self)>(&T::visit)>();
  }
};

/// Whether two spellings are equal apart from what stands in <> and [] and from spaces.
consteval bool same_but_for_arguments(std::string_view a, std::string_view b) {
  const auto next = [](std::string_view text, std::size_t& at) {
    for (std::size_t depth = 0; at < text.size();) {
      const char c = text[at++];
      if (c == '<' || c == '[') {
        ++depth;
      } else if ((c == '>' || c == ']') && depth > 0) {
        --depth;
      } else if (depth == 0 && c != ' ') {
        return c;
      }
    }
    return '\0';
  };
  std::size_t i = 0;
  std::size_t j = 0;
  while (true) {
    const char c = next(a, i);
    if (c != next(b, j)) {
      return false;
    }
    if (c == '\0') {
      return true;
    }
  }
}

/// Whether `function` is the visit of another class than `type`: only where that is certain. A base class that has
/// `type` among its template arguments knows its derived class and is trusted.
consteval bool is_visit_of_other(std::string_view function, std::string_view type) {
  constexpr std::string_view name = "::visit";
  constexpr auto none = std::string_view::npos;
  if (function.starts_with(type) && function.substr(type.size()).starts_with(name)) {
    return false;
  }
  const std::size_t end = function.ends_with(name) ? function.size() - name.size() : function.rfind("::visit<");
  if (end == none) {
    return false;
  }
  const std::string_view other = function.substr(0, end);
  for (std::size_t at = other.find(type, other.find('<')); at != none; at = other.find(type, at + 1)) {
    const std::string_view behind = other.substr(at + type.size());
    if ((other[at - 1] == '<' || other[at - 1] == ' ') &&
        (behind.starts_with('>') || behind.starts_with(',') || behind.starts_with(' '))) {
      return false;
    }
  }
  // Of one template, as in Layers<2> : Layers<1>, certain only with numbers for arguments: others have several
  // spellings (clang++ writes std::uint8_t or unsigned char).
  const auto head = [](std::string_view text) { return text.substr(0, text.find('<')); };
  const auto has_numbers = [&](std::string_view text) {
    return text.find_first_not_of("<0123456789-, >", head(text).size()) == none;
  };
  return !same_but_for_arguments(other, type) || (has_numbers(other) && has_numbers(type));
}

struct OwnVisit {
  static void visit(auto&, auto&) {}
};
struct InheritedVisit : OwnVisit {};

/// Whether T::visit, called with a visitor V, takes a T by reference and has a form from which it can be told whose it
/// is: its address, or a parameter that is a T or a base class by name.
template <class T, class V>
consteval bool has_plain_visit() {
  using Result = decltype(T::visit(std::declval<V&>(), std::declval<T&>()));
  if constexpr (requires { static_cast<Result (*)(V&, T)>(&T::visit); }) {
    return false;  // it would read into a copy
  } else if constexpr (VisitAddress<T, V, Result, T&, const T&>::known) {
    return true;
  } else {
    struct Other {};
    return !requires(V& v, Other self) { T::visit(v, self); };
  }
}

/// Whether T::visit, called with a visitor V, is that of a base class and so cannot know T's own fields.
template <class T, class V>
consteval bool inherits_visit() {
  using Result = decltype(T::visit(std::declval<V&>(), std::declval<T&>()));
  using Address = VisitAddress<T, V, Result, T&, const T&>;
  if constexpr (Address::known) {
    // A compiler that spells addresses in another way gives no answer.
    using Own = VisitAddress<OwnVisit, V, void, OwnVisit&>;
    using Inherited = VisitAddress<InheritedVisit, V, void, InheritedVisit&>;
    return !is_visit_of_other(Own::spelling(), spelling<OwnVisit>()) &&
           is_visit_of_other(Inherited::spelling(), spelling<InheritedVisit>()) &&
           is_visit_of_other(Address::spelling(), spelling<T>());
  } else {  // certain where it takes a base class by name
    return requires(V& v, BaseReference<T> base) { T::visit(v, base); } &&
           !requires(V& v, OnlyReference<T> self) { T::visit(v, self); };
  }
}

}  // namespace stele::walk

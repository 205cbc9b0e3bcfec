#pragma once
// Classes that add nothing to a standard type, and what cannot be stored, with the words that say what to do.

#include <type_traits>

#include "stele/walk.hpp"

namespace stele::walk {

/// As its base class, which is all there is of it.
template <class T>
struct As<T, Family::derived> {
  using Base = StandardBase<T>;
  static void write(OutVisitor& out, const T& value) { stele::write(out, static_cast<const Base&>(value)); }
  static void read(InVisitor& in, T& value) { stele::read(in, static_cast<Base&>(value)); }
};

/// A matrix or tensor of Eigen, or a class that derives from one.
template <class T>
concept EigenLike = (std::is_class_v<T> && is_eigen<T>) || requires {
  typename T::Scalar;
  T::RowsAtCompileTime;
};
template <class T>
concept CharPointer = std::is_pointer_v<T> && std::is_same_v<std::remove_cv_t<std::remove_pointer_t<T>>, char>;
/// A class with the interface of a standard type, but not declared to be like one.
template <class T>
concept LooksAlike = !EigenLike<T> && !WideTextLike<T> && likeness<T>() != Family::refused && !is_shown<T>;

/// An engine of <random>, whose header has its Visit.
template <class T>
concept EngineLike = std::is_class_v<T> && requires(T& engine) {
  typename T::result_type;
  engine.discard(0ULL);
  engine.seed();
  engine();
};
__extension__ typedef __int128 Integer128;
__extension__ typedef unsigned __int128 Natural128;
template <class T>
concept WideInteger = std::is_same_v<T, Integer128> || std::is_same_v<T, Natural128>;
/// Of the standard library, and none of those above.
template <class T>
concept StandardOther = std::is_class_v<T> && (is_standard<T> || spelling<T>().starts_with("__gnu_cxx::")) &&
                        !EigenLike<T> && !WideTextLike<T> && !LooksAlike<T> && !EngineLike<T>;

template <class T>
struct As<T, Family::refused> {
  static void write(OutVisitor&, const T&) { say(); }
  static void read(InVisitor&, T&) { say(); }

 private:
  static void say() {
    static_assert(!EngineLike<T>, "stele: random number engines need #include <stele/random.hpp>");
    static_assert(!WideInteger<T>, "stele: integers have up to 64 bits; store the two halves of a wider one");
    static_assert(!StandardOther<T>,
                  "stele: this class of the standard library has no content that could be stored (a lock, a thread, a "
                  "function, a handle, an iterator, a reference, a distribution …); leave the member out of visit, and "
                  "store what it is made of");
    static_assert(!CharPointer<T>,
                  "stele: a pointer to char has neither an owner nor a length; use std::string, or std::string_view to "
                  "write only");
    static_assert(!std::is_pointer_v<T> || CharPointer<T>,
                  "stele: a raw pointer has no owner; use std::unique_ptr, std::shared_ptr or std::optional");
    static_assert(
        !WideTextLike<T>,
        "stele: text is stored as UTF-8; convert wide text to std::string or std::u8string, or store its units "
        "as numbers in a std::vector<char16_t>");
    static_assert(!EigenLike<T>,
                  "stele: types of Eigen need #include <stele/eigen.hpp>, before this one is saved or loaded");
    static_assert(
        !LooksAlike<T>,
        "stele: this class looks like a container or another type of the standard library, but may hold more "
        "than it shows (a matrix its shape, a derived class its members); give it `static void visit(auto& v, "
        "auto& self)`, with stele::as_base<Base>(self) for a base class as a field; or, if its items are all "
        "there is, set stele::is_like_standard<T> = true; or specialise stele::Visit<T>");
    static_assert(
        !is_like_standard<T>,
        "stele: is_like_standard is set for a class without the interface of a standard type; a container has "
        "value_type, begin(), end() and size(), and to be loaded clear() and emplace_back() or insert()");
    static_assert(std::is_pointer_v<T> || WideTextLike<T> || EigenLike<T> || LooksAlike<T> || is_like_standard<T> ||
                      EngineLike<T> || WideInteger<T> || StandardOther<T>,
                  "stele: this type is no aggregate; give it `static void visit(auto& v, auto& self)` or specialise "
                  "stele::Visit for it");
  }
};

}  // namespace stele::walk

#pragma once
// The options of the library from Python's arguments.

#include <concepts>
#include <functional>
#include <initializer_list>
#include <limits>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "python.hpp"
#include "stele/options.hpp"

namespace stele::python {

using Warn = std::function<void(const std::string& message)>;

/// A str. Throws: TypeError.
std::string text_of(nb::handle value, const char* what);
/// Throws: TypeError for what is no int, ValueError.
std::uint64_t natural_of(nb::handle value, const std::string& what, std::uint64_t most);

/// Words for some values.
template <class E>
using Choices = std::initializer_list<std::pair<const char*, E>>;

/// What a word means. Throws: TypeError for what is no str, ValueError for another one.
template <class E>
E choice(nb::handle value, const char* what, Choices<E> choices) {
  const std::string name = text_of(value, what);
  std::string known;
  for (const auto& [label, meaning] : choices) {
    if (name == label) {
      return meaning;
    }
    known += (known.empty() ? "" : ", ") + std::string(label);
  }
  raise(PyExc_ValueError, std::string(what) + " is one of " + known + ", not " + name);
}

/// The arguments of a call by name; None is as good as none. Errors name the argument.
class Arguments {
 public:
  explicit Arguments(nb::dict given) : given_(std::move(given)) {}

  /// Null where it is not given. Valid as long as the dict.
  nb::handle find(const char* name);
  /// Sets `to` where it is given.
  template <class T>
  void take(const char* name, T& to) {
    if (const nb::handle value = find(name); value.is_valid()) {
      assign(to, value, name);
    }
  }
  template <class E>
  void take(const char* name, E& to, Choices<std::type_identity_t<E>> choices) {
    if (const nb::handle value = find(name); value.is_valid()) {
      to = choice<E>(value, name, choices);
    }
  }
  /// How something is encoded: codec, level, filter, threads.
  template <class Options>
  void take_coding(Options& options) {
    take("codec", options.codec);
    take("level", options.level);
    take("filter", options.filter);
    take("threads", options.threads);
  }
  /// An argument that nobody has looked for; empty if there is none.
  std::string unknown() const;
  /// Throws: TypeError for such an argument.
  void end() const;

 private:
  template <class T>
    requires std::is_arithmetic_v<T>
  static void assign(T& to, nb::handle value, const char* name) {
    if constexpr (std::unsigned_integral<T> && !std::same_as<T, bool>) {
      to = static_cast<T>(natural_of(value, name, std::numeric_limits<T>::max()));
    } else {
      to = nb::cast<T>(value);
    }
  }
  static void assign(std::string& to, nb::handle value, const char* name) { to = text_of(value, name); }
  static void assign(std::optional<int>& level, nb::handle value, const char* name);
  static void assign(Limits& to, nb::handle value, const char* name);
  static void assign(MapMode& to, nb::handle value, const char* name);
  static void assign(Sync& to, nb::handle value, const char* name);
  static void assign(Verify& to, nb::handle value, const char* name);
  static void assign(Metadata& to, nb::handle value, const char* name);
  /// Passes messages on, on any thread. The callable is kept until the interpreter ends, as a thread may warn while it
  /// does.
  static void assign(Warn& to, nb::handle callable, const char* name);

  const nb::dict given_;
  std::vector<std::string_view> known_;
};

/// The arguments that every function that saves takes, by name: codec, level, filter, threads, metadata, sync,
/// in_place, canonical, limits. None and absent mean the default. Throws: TypeError for others.
SaveOptions save_options(const nb::dict& given);
/// mmap_mode, verify, threads, limits, offset.
LoadOptions load_options(const nb::dict& given);

/// Nothing for None.
Metadata metadata_from(nb::handle given);
nb::dict metadata_to(const Metadata& metadata);

}  // namespace stele::python

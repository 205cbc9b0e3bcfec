#pragma once
// Values of the library that several threads of Python's may use, and what all of them have.

#include <concepts>
#include <functional>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <utility>

#include "numpy.hpp"
#include "objects/whole.hpp"
#include "options.hpp"
#include "stele/archive.hpp"
#include "streams.hpp"

namespace stele::python {

/// A value and its lock. Whoever holds the lock never waits for the GIL, so that others may wait for it with the GIL.
template <class T>
class Guarded {
 public:
  template <class... Args>
    requires std::constructible_from<T, Args...>
  explicit Guarded(Args&&... args) : value_(std::forward<Args>(args)...) {}

  /// `use` may run beside others.
  template <class F>
  auto read(F&& use) const {
    std::shared_lock lock(mutex_, std::try_to_lock);
    if (!lock) {
      const nb::gil_scoped_release released;
      lock.lock();
    }
    return use(value_);
  }
  template <class F>
  auto change(F&& use) {
    std::unique_lock lock(mutex_, std::try_to_lock);
    if (!lock) {
      const nb::gil_scoped_release released;
      lock.lock();
    }
    return use(value_);
  }
  /// The same without the GIL, for what takes long. `use` must touch no Python object.
  template <class F>
  auto read_released(F&& use) const {
    const nb::gil_scoped_release released;
    const std::shared_lock lock(mutex_);
    return use(value_);
  }
  template <class F>
  auto change_released(F&& use) {
    const nb::gil_scoped_release released;
    const std::unique_lock lock(mutex_);
    return use(value_);
  }

 private:
  T value_;
  mutable std::shared_mutex mutex_;
};

/// A property: what a function of the value, which takes no time, returns.
template <class T, class F>
void bind_number(nb::class_<Guarded<T>>& bound, const char* name, F get) {
  bound.def_prop_ro(name, [get](const Guarded<T>& self) { return self.read(std::mem_fn(get)); });
}

/// save(), load(), state(), from_state(), ==, copy(), and merge(), clear() and byte_count where the value has them.
template <class T>
void bind_value(nb::class_<Guarded<T>>& bound) {
  using Held = Guarded<T>;
  static constexpr auto copied = [](const T& value) { return T(value); };
  bound.def("save", [](const Held& self, nb::handle file, const nb::dict& options) {
    const Path path = path_from(file);
    const SaveOptions given = save_options(options);
    self.read_released([&](const T& value) { save(value, path, given); });
  });
  bound.def_static("load", [](nb::handle file, const nb::dict& options) {
    const Path path = path_from(file);
    LoadOptions given = load_options(options);
    given.strict = true;  // a file of another type is an error, not an empty table
    const nb::gil_scoped_release released;
    return new Held(load<T>(path, given));
  });
  bound.def("state", [](const Held& self) {
    return object_of(self.read_released([](const T& value) { return to_value(value); }), Trust{nb::none()});
  });
  bound.def_static("from_state", [](nb::handle state) {
    const Value value = to_value(GraphOut(state));
    return new Held(value.to<T>());
  });
  bound.def("copy", [](const Held& self) { return new Held(self.read_released(copied)); });
  bound.def("equals", [](const Held& self, const Held& other) {
    if (&self == &other) {
      return true;
    }
    const T copy = other.read_released(copied);
    return self.read_released([&](const T& value) { return value == copy; });
  });
  if constexpr (requires(T& value) { value.merge(value); }) {
    // Of a copy, as two locks in two orders would wait for each other.
    bound.def("merge", [](Held& self, const Held& other) {
      const T copy = other.read_released(copied);
      self.change_released([&](T& value) { value.merge(copy); });
    });
  }
  if constexpr (requires(T& value) { value.clear(); }) {
    bound.def("clear", [](Held& self) { self.change_released([](T& value) { value.clear(); }); });
  }
  if constexpr (requires(const T& value) { value.byte_count(); }) {
    bind_number<T>(bound, "byte_count", &T::byte_count);
  }
}

}  // namespace stele::python

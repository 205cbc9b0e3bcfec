#pragma once
// Values of the library that several threads of Python's may use, and what all of them have.

#include <concepts>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <utility>

#include "numpy.hpp"
#include "objects/graph.hpp"
#include "options.hpp"
#include "stele/archive.hpp"
#include "stele/value.hpp"
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

/// A plain Value as Python's objects.
nb::object plain_object(const Value& value);

/// save(), load(), state(), from_state(), ==, copy().
template <class T, class Class>
void bind_value(Class& bound) {
  using Held = Guarded<T>;
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
    return plain_object(self.read_released([](const T& value) { return to_value(value); }));
  });
  bound.def_static("from_state", [](nb::handle state) {
    const Value value = to_value(GraphOut(state));
    return new Held(value.to<T>());
  });
  bound.def("copy",
            [](const Held& self) { return new Held(self.read_released([](const T& value) { return T(value); })); });
  bound.def("equals", [](const Held& self, const Held& other) {
    if (&self == &other) {
      return true;
    }
    const T copy = other.read_released([](const T& value) { return T(value); });
    return self.read_released([&](const T& value) { return value == copy; });
  });
}

/// Adds the content of another: of a copy, as two locks in two orders would wait for each other.
template <class T>
void merge(Guarded<T>& self, const Guarded<T>& other) {
  const T copy = other.read_released([](const T& value) { return T(value); });
  self.change_released([&](T& value) { value.merge(copy); });
}

}  // namespace stele::python

#pragma once
// The parts of Python's objects in a Value: what is typed "py:module.name".

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "stele/array.hpp"
#include "stele/value.hpp"

namespace stele {

/// A class or function.
struct PickleName {
  std::string_view module;
  std::string_view name;  // in the module, "Outer.Inner"
};
/// The parts of "module.name" or "module:Outer.Inner"; names of Python 2 become those of Python 3. Nothing for other
/// text.
std::optional<PickleName> split_pickle_name(std::string_view text);
/// Whether a value of this name, without "py:", is an object: a call or an instance.
bool is_pickle_object_name(std::string_view name);

/// A call or an instance. Parts that are absent are null.
struct PickleObject {
  std::string_view name;
  const Value* callable = nullptr;   // instead of the name
  bool is_new = false;               // made by the class's __new__
  const Value* arguments = nullptr;  // a sequence, maybe shared
  const Value* keywords = nullptr;   // a map, maybe shared
  const Value* state = nullptr;
  const Value* items = nullptr;    // a sequence
  const Value* entries = nullptr;  // a map
  const Value* states = nullptr;   // a sequence
  std::size_t raw_states = 0;      // an array of NumPy: items of the state that are bytes, after its order
};
/// Takes a typed value apart that holds a record, or a map of the same.
/// Throws: Error(invalid_argument) for other fields than an object has.
PickleObject parse_pickle_object(const Value& typed);

/// An array of objects.
struct ObjectArray {
  Shape shape;
  Order order = Order::row_major;
  const Value* items = nullptr;  // a sequence, in that order

  /// Where the item lies that comes at `place` in row-major order.
  std::size_t index_of(std::size_t place) const noexcept;
};
/// Throws: Error(invalid_argument).
ObjectArray parse_object_array(const Value& content);

/// UTF-8 in which surrogates are encoded as other characters are.
bool is_utf8_with_surrogates(std::string_view text) noexcept;

}  // namespace stele

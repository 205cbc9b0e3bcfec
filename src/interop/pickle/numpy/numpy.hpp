#pragma once
// NumPy's objects in pickles: dtypes, arrays and scalars, by the state that NumPy gives them.

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "interop/npy/npy.hpp"
#include "interop/pickle/read/tree.hpp"

namespace stele::pickle {

/// What a dtype says.
struct NumpyType {
  std::string descr;              // as in a .npy header: "<f8", or a list of fields
  bool is_exact = false;          // whether `descr` says all
  bool is_plain = false;          // whether stele has such elements; the members below are then set
  bool has_objects = false;       // the elements are pointers to Python's objects
  bool is_object = false;         // and nothing else
  std::uint64_t item_size = 0;    // in bytes
  std::uint32_t field_count = 1;  // of nested records too
  DType dtype;
  std::vector<NpySwap> swaps;
};

/// The type of a dtype that has been built; null for another Value and where its state is of no known form. Looks once.
/// Throws: Error(limit_exceeded) for more than 4096 fields, and what Budget::charge() throws.
std::shared_ptr<const NumpyType> numpy_type(const Value& value, Budget& budget);
/// If the object is a dtype that a text says all of, that becomes its finished Value.
void settle_dtype(Object& object, Budget& budget);

/// Extents of an array; nothing unless `value` is a tuple of natural numbers.
std::optional<Shape> shape_of(const Value& value);

/// What becomes of a call of NumPy's once its state is known; nothing where it stays a generic object.
/// Throws: Error(malformed) where the bytes are not as many as the shape says.
std::optional<Value> built_array(const Object& object, const Value& state, Marks& marks);
/// The state of a subclass's array, with the elements as an array where stele has such; else nothing.
std::optional<Value> with_array(const Value& state, Budget& budget);
/// numpy.core.multiarray.scalar(dtype, bytes).
std::optional<Value> scalar(std::span<const Value> args, Budget& budget);
/// numpy.core.numeric._frombuffer(buffer, dtype, shape, order, axis_order).
std::optional<Value> from_buffer(std::span<const Value> args, Budget& budget);

/// An array as NumPy itself would have pickled it: of a subclass, or of a type that stele lacks. `elements` are the
/// array or its bytes.
Value reconstructed(Value subclass, const Shape& shape, Value dtype, Order order, Value elements);

}  // namespace stele::pickle

#pragma once
// Values without static types: a tree of what an archive holds, to inspect, convert or save again without the C++ types
// it was written from. Sharing and cycles stay as stored: a shared value where it is first met, references to it
// elsewhere.

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "stele/options.hpp"
#include "stele/walk.hpp"

namespace stele {

/// What a Value is. The first ten are those of Kind.
enum class ValueKind : std::uint8_t {
  null,
  boolean,
  integer,
  real,
  text,
  bytes,
  array,
  sequence,
  map,
  record,
  typed,      // a value under the registered name of a polymorphic type
  shared,     // a value that references refer to
  reference,  // stands for a shared value elsewhere
};
std::string_view to_string(ValueKind kind) noexcept;

/// An array of any element type and rank. Copies share the buffer, which lives as long as any of them.
class AnyArray {
 public:
  AnyArray() = default;
  /// `view` points into `buffer`.
  AnyArray(const ArrayView& view, std::shared_ptr<Buffer> buffer);
  /// Copies the elements densely, in memory order, to a buffer of its own.
  static AnyArray copy_of(const ArrayView& view);

  const ArrayView& view() const& noexcept { return view_; }
  const ArrayView& view() const&& = delete;
  const DType& dtype() const noexcept { return view_.dtype; }
  const Shape& shape() const noexcept { return view_.shape; }
  const std::shared_ptr<Buffer>& buffer() const noexcept { return buffer_; }

  /// Equal dtypes, shapes and bytes of the elements, whatever their strides.
  friend bool operator==(const AnyArray& a, const AnyArray& b);

 private:
  friend struct ValueAccess;
  ArrayView view_;
  std::shared_ptr<Buffer> buffer_;
  bool shareable_ = false;  // others had the buffer too, so it is stored as a shared value
};

/// Any value. Immutable: copies cost nothing, share everything they hold and may be used by several threads.
class Value {
 public:
  using Entry = std::pair<Value, Value>;  // key, value
  /// Ties references to their shared value; equal pointers mean the same one. The number is for people.
  using Anchor = std::shared_ptr<const std::uint64_t>;

  Value() noexcept = default;
  Value(const Value&) noexcept = default;
  Value& operator=(const Value&) noexcept = default;
  /// The source is null afterwards.
  Value(Value&& other) noexcept;
  Value& operator=(Value&& other) noexcept;
  ~Value() = default;

  Value(std::nullptr_t) noexcept {}
  template <std::same_as<bool> B>
  Value(B value) noexcept : kind_(ValueKind::boolean), bits_(value ? 1 : 0) {}
  template <std::integral I>
    requires(!std::same_as<I, bool> && sizeof(I) <= 8)
  Value(I value) noexcept : kind_(ValueKind::integer), bits_(static_cast<std::uint64_t>(value)) {
    if constexpr (std::same_as<I, char>) {
      bits_ = static_cast<unsigned char>(value);
    } else if (std::is_signed_v<I> && value < I{}) {
      number_ = Number::Type::negative;
      bits_ = ~bits_;
    }
  }
  Value(float16 value) noexcept : Value(Number{Number::Type::float16, value.bits}) {}
  Value(float value) noexcept : Value(Number{Number::Type::float32, __builtin_bit_cast(std::uint32_t, value)}) {}
  Value(double value) noexcept : Value(Number{Number::Type::float64, __builtin_bit_cast(std::uint64_t, value)}) {}
  explicit Value(const Number& number) noexcept;
  /// Text; bytes where it is not valid UTF-8.
  Value(std::string text);
  Value(std::string_view text) : Value(std::string(text)) {}
  template <class P>
    requires std::same_as<P, const char*> || std::same_as<P, char*>
  Value(P text) : Value(std::string(text)) {}
  template <std::size_t N>
  Value(char (&text)[N]) : Value(std::string(text)) {}
  /// A literal, without the zero at its end.
  template <std::size_t N>
  Value(const char (&text)[N]) : Value(std::string(walk::text_of(text))) {}
  Value(AnyArray array);

  static Value make_bytes(Bytes bytes);
  static Value make_sequence(std::vector<Value> items, Ordering ordering = Ordering::ordered);
  static Value make_map(std::vector<Entry> entries, Ordering ordering = Ordering::ordered);
  /// Throws: Error(invalid_argument) unless there is one value for each name.
  static Value make_record(std::vector<std::string> names, std::vector<Value> values, std::uint32_t version = 0);
  static Value make_typed(std::string name, Value content);
  static Anchor make_anchor(std::uint64_t number) { return std::make_shared<const std::uint64_t>(number); }
  /// The anchor must not be null.
  static Value make_shared(Anchor anchor, Value content);
  static Value make_reference(Anchor anchor);

  ValueKind kind() const noexcept { return kind_; }
  bool is(ValueKind kind) const noexcept { return kind_ == kind; }
  bool is_null() const noexcept { return kind_ == ValueKind::null; }
  bool is_number() const noexcept { return kind_ == ValueKind::integer || kind_ == ValueKind::real; }
  bool is_text() const noexcept { return kind_ == ValueKind::text; }
  bool is_array() const noexcept { return kind_ == ValueKind::array; }
  bool is_sequence() const noexcept { return kind_ == ValueKind::sequence; }
  bool is_map() const noexcept { return kind_ == ValueKind::map; }
  bool is_record() const noexcept { return kind_ == ValueKind::record; }

  // What a value of one kind holds. Views are valid as long as the Value or a copy of it.
  // Throw: Error(type_mismatch) for another kind.
  bool boolean() const;
  Number number() const;  // integer, real
  const std::string& text() const&;
  std::string text() const&& { return lvalue().text(); }
  Bytes bytes() const&;
  Bytes bytes() const&& = delete;
  const AnyArray& array() const&;
  AnyArray array() const&& { return lvalue().array(); }
  std::span<const Value> items() const&;  // sequence: the items; record: the values
  std::span<const Value> items() const&& = delete;
  std::span<const Entry> entries() const&;  // map
  std::span<const Entry> entries() const&& = delete;
  Ordering ordering() const;                         // sequence, map
  std::span<const std::string_view> names() const&;  // record
  std::span<const std::string_view> names() const&& = delete;
  std::uint32_t version() const;          // record; 0: none
  const std::string& type_name() const&;  // typed
  std::string type_name() const&& { return lvalue().type_name(); }
  const Value& content() const&;  // typed, shared
  Value content() const&& { return lvalue().content(); }
  Anchor anchor() const;  // shared, reference

  // The functions below see through typed and shared values.

  /// Items, entries or fields; 0 for other kinds.
  std::size_t size() const noexcept;
  bool empty() const noexcept { return size() == 0; }
  /// The items of a sequence or the values of a record.
  const Value* begin() const& { return inside().items().data(); }
  const Value* end() const& { return begin() + size(); }
  const Value* begin() const&& = delete;
  const Value* end() const&& = delete;
  /// An item of a sequence or a value of a record or map.
  /// Throws: Error(not_found).
  const Value& at(std::size_t index) const&;
  Value at(std::size_t index) const&& { return lvalue().at(index); }
  /// The field of that name, or the value of that key in a map; null where it is absent. Looks at one after another.
  const Value* find(std::string_view name) const& noexcept;
  const Value* find(std::string_view name) const&& = delete;
  bool contains(std::string_view name) const noexcept { return find(name) != nullptr; }
  /// find(), or Error(not_found).
  const Value& operator[](std::string_view name) const&;
  Value operator[](std::string_view name) const&& { return lvalue()[name]; }
  /// The value at a path, "layers/3/weights"; follows references to something inside this value.
  /// Throws: Error(not_found), Error(invalid_argument).
  const Value& at_path(std::string_view path) const&;
  Value at_path(std::string_view path) const&& { return lvalue().at_path(path); }

  /// The C++ value that this one holds; an Array shares the buffer. Options that count: strict, types, limits.depth.
  /// Throws: Error(type_mismatch) and what loading throws.
  template <class T>
  T to(const LoadOptions& options = {}) const;

  /// Equal trees: floats and arrays by their bits, maps in order, references that lead to the same places.
  friend bool operator==(const Value& a, const Value& b);

 private:
  friend struct ValueAccess;
  struct Node;
  const Value& inside() const noexcept;
  const Value& lvalue() const noexcept { return *this; }

  ValueKind kind_ = ValueKind::null;
  Number::Type number_ = Number::Type::natural;
  std::uint64_t bits_ = 0;            // boolean, integer, real
  std::shared_ptr<const Node> node_;  // all kinds that hold more
};

/// Builds a Value from events. Arrays are copied. Not thread-safe.
class ValueBuilder {
 public:
  /// How an array is copied; AnyArray::copy_of() if empty.
  using CopyArray = std::function<AnyArray(const ArrayView& view)>;
  explicit ValueBuilder(const TypeRegistry* types = nullptr, CopyArray copy = {});
  ~ValueBuilder();
  ValueBuilder(const ValueBuilder&) = delete;
  ValueBuilder& operator=(const ValueBuilder&) = delete;

  /// Valid as long as the builder.
  OutVisitor& visitor() noexcept;
  /// The value of the events; the builder can then take another.
  /// Throws: Error(invalid_argument) if it is not complete.
  Value finish();

 private:
  class Visitor;
  std::unique_ptr<Visitor> visitor_;
};

/// Plays back the events of a value, which must outlive the visitor. Value::to() lists the options that count.
std::unique_ptr<InVisitor> value_reader(const Value& value, const LoadOptions& options = {});

/// The Value of a C++ value.
template <class T>
Value to_value(const T& value, const TypeRegistry* types = nullptr) {
  ValueBuilder builder(types);
  write_whole(builder.visitor(), value);
  return builder.finish();
}

/// A Value is saved and loaded as what it holds. Loading one follows references only if they refer to something
/// outside.
template <>
struct Visit<Value> {
  static void write(OutVisitor& out, const Value& value);
  static void read(InVisitor& in, Value& value);
};
template <>
inline constexpr bool walk::may_be_null<Value> = true;

template <class T>
T Value::to(const LoadOptions& options) const {
  static_assert(
      std::is_move_constructible_v<T>,
      "stele: to<T>() returns a T, which can be neither moved nor copied (a destructor takes the move constructor "
      "away); use std::unique_ptr<T>");
  T value = walk::make<T>();
  const std::unique_ptr<InVisitor> in = value_reader(*this, options);
  read_whole(*in, value, [] {});
  return value;
}

}  // namespace stele

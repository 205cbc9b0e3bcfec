#pragma once
// The seam. A user's type writes itself as events to an OutVisitor and reads itself from an InVisitor. Formats, hashers
// and describers implement these two interfaces and never see the type. An array crosses whole, as one event.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <typeinfo>

#include "stele/array.hpp"
#include "stele/error.hpp"
#include "stele/io.hpp"

namespace stele {

class TypeRegistry;

/// Where a visitor is, for Errors.
struct Whereabouts {
  std::string path = {};
  std::optional<std::uint64_t> offset = std::nullopt;
  std::string file = {};
};

/// Whether the order of a container's items has a meaning.
enum class Ordering : std::uint8_t { ordered, unordered };

/// The fields of a record, in the order in which their values follow. The names must live until the whole object is
/// written: errors name them.
struct RecordInfo {
  std::span<const std::string_view> names;
  std::uint32_t version = 0;      // 0: the type carries none
  const void* type_id = nullptr;  // equal for records of one type with these very names; null: compare the names
};

/// A stored number, exactly.
struct Number {
  enum class Type : std::uint8_t { natural, negative, float16, float32, float64 };
  Type type = Type::natural;
  std::uint64_t bits = 0;  // the value; for negative: -1 - value; for floats: the bits
};

/// One text or number of a run.
struct PlainItem {
  /// `any` is asked for only: text that is stored as such, or a number. `text` may also be stored as bytes.
  enum class Kind : std::uint8_t { text, number, any };
  const char* text;    // null: a number
  std::uint64_t bits;  // the text's length, or Number::bits
  Number::Type type;   // of a number

  std::string_view view() const noexcept { return {text, static_cast<std::size_t>(bits)}; }
};

/// A step of a plain value: a leaf, or a container, whose items follow; a map's are keys and values in turn.
struct PlainPart {
  enum class Kind : std::uint8_t { null, boolean, number, text, bytes, sequence, map };
  Kind kind;
  Number::Type type;   // of a number
  std::uint8_t name;   // 0, or 1 + the place of the value's type among the names that were asked for
  const char* text;    // of text and bytes
  std::uint64_t bits;  // 0 or 1, Number::bits, the length of text, or the number of items or entries

  std::string_view view() const noexcept { return {text, static_cast<std::size_t>(bits)}; }
};

class OutVisitor;

/// An object that several pointers may share. Valid during the call it is given to.
class SharedOut {
 public:
  /// The most derived object.
  const void* object() const noexcept { return object_; }
  const std::type_info& type() const noexcept { return *type_; }
  /// The size of the object in bytes.
  virtual std::size_t bytes() const = 0;
  /// Tells whether the object still lives; once it is gone, another object may have its address. Expired from the start
  /// if nothing owns the object.
  virtual std::weak_ptr<const void> owner() const = 0;
  /// The registered name that the value is written under, or nothing.
  virtual std::string type_name() const = 0;
  /// The value, for writing it later.
  struct Later {
    std::shared_ptr<const void> value;
    void (*write)(OutVisitor& out, const void* value) = nullptr;
  };
  virtual Later later() const = 0;

 protected:
  SharedOut(const void* object, const std::type_info& type) noexcept : object_(object), type_(&type) {}
  ~SharedOut() = default;

 private:
  const void* object_;
  const std::type_info* type_;
};

/// Takes the events of one value. Events nest: a sequence is followed by its items, a map by key, value, key, value …,
/// a record by the values of its fields, each closed by end(). Not thread-safe.
class OutVisitor {
 public:
  OutVisitor() = default;
  OutVisitor(const OutVisitor&) = delete;
  OutVisitor& operator=(const OutVisitor&) = delete;
  virtual ~OutVisitor() = default;

  virtual void null() = 0;
  virtual void boolean(bool value) = 0;
  virtual void integer(std::int64_t value) = 0;
  virtual void natural(std::uint64_t value) = 0;
  virtual void real(float16 value) = 0;
  virtual void real(float value) = 0;
  virtual void real(double value) = 0;
  /// Text as UTF-8; what is not valid UTF-8 is kept as bytes.
  virtual void text(std::string_view value) = 0;
  virtual void bytes(Bytes value) = 0;
  /// Items of the innermost sequence, or keys and values of the innermost map: the same as a call of text(), integer()
  /// and so on for each.
  virtual void plain_items(std::span<const PlainItem> items);
  /// A numeric array of any rank, strided or dense.
  virtual void array(const ArrayView& value) = 0;
  /// A one-dimensional array of `count` bools, element i as bit i % 8 of byte i / 8, the lowest bit first; the bits
  /// after the last are 0. The same value as array() of as many bools.
  virtual void bits(Bytes packed, std::uint64_t count);
  virtual void begin_sequence(std::uint64_t count, Ordering ordering = Ordering::ordered) = 0;
  virtual void begin_map(std::uint64_t count, Ordering ordering = Ordering::ordered) = 0;
  virtual void begin_record(const RecordInfo& info) = 0;
  /// Closes the innermost sequence, map or record.
  virtual void end() = 0;
  /// An object that several pointers may share. True: its value follows, once. False: nothing follows; it was written
  /// before, or will be later.
  virtual bool begin_shared(const SharedOut& object) = 0;
  /// A value of a registered polymorphic type; the value follows.
  virtual void begin_typed(std::string_view name) = 0;

  /// Whether unordered containers are to be written in the order of their keys' bytes.
  bool canonical() const noexcept { return canonical_; }
  /// The polymorphic types that may occur, or null.
  const TypeRegistry* types() const noexcept { return types_; }

  /// To be called while `error` is handled: throws it again with the place in the object where it arose. `walk` writes
  /// the object: a visitor that does not keep the place walks it once more to find the place.
  [[noreturn]] void rethrow(const Error& error, void (*walk)(OutVisitor&, const void*), const void* object) const;

  /// While one lives, shared objects are written where they are met: the bytes decide about a place in a container, so
  /// they must be complete when the item is read.
  class AtOnce {
   public:
    explicit AtOnce(OutVisitor& out) noexcept : out_(out) { ++out_.at_once_; }
    ~AtOnce() { --out_.at_once_; }
    AtOnce(const AtOnce&) = delete;
    AtOnce& operator=(const AtOnce&) = delete;

   private:
    OutVisitor& out_;
  };

 protected:
  /// The current place; nothing if it is not kept.
  virtual std::optional<Whereabouts> place() const { return std::nullopt; }
  bool canonical_ = false;
  const TypeRegistry* types_ = nullptr;
  std::size_t at_once_ = 0;  // AtOnce that live
};

/// The kind of a stored value.
enum class Kind : std::uint8_t { null, boolean, integer, real, text, bytes, array, sequence, map, record };
std::string_view to_string(Kind kind) noexcept;

/// The stored properties of an array.
struct ArrayHeader {
  DType dtype;
  Shape shape;
  Order order = Order::row_major;
};

/// The destination of an array. The reader calls the functions below in order.
class ArrayTarget {
 public:
  explicit ArrayTarget(DType dtype) : dtype_(std::move(dtype)) {}
  ArrayTarget(const ArrayTarget&) = delete;
  ArrayTarget& operator=(const ArrayTarget&) = delete;
  virtual ~ArrayTarget() = default;

  /// The wanted element type; the reader converts if nothing is lost. Kind none accepts the stored type.
  const DType& dtype() const noexcept { return dtype_; }
  /// Whether this shape fits; if not, nothing else is called.
  virtual bool accepts(const ArrayHeader& stored) = 0;
  /// The wanted shape, for messages: "[?, 3]".
  virtual std::string expected() const = 0;
  /// The wanted order of the elements in memory().
  virtual Order order(const ArrayHeader& stored) = 0;
  /// The first byte of memory for at least the first `bytes` of the array's `total`. Called with growing `bytes` as
  /// data arrives, the last time with the total; earlier content stays. `trusted`: the input holds `total`.
  virtual std::byte* memory(const ArrayHeader& stored, std::uint64_t bytes, std::uint64_t total, bool trusted) = 0;
  /// The memory that an untrusted input may get before any data has arrived. Beyond it memory() should take the total
  /// at once: growing would copy and hold the data twice, and untouched memory costs nothing.
  static constexpr std::uint64_t claimed_bytes = std::uint64_t{4} << 20;
  /// Takes the existing elements instead of memory(): in a mapping, or in a buffer of another array. False if it
  /// cannot. `view` has the wanted dtype and points into `buffer`.
  virtual bool share(const ArrayView& view, const std::shared_ptr<Buffer>& buffer) = 0;
  /// Whether share() is worth calling.
  virtual bool can_share() const noexcept { return false; }

 protected:
  /// Helper of memory() for targets in a Buffer: `buffer`, null at first, or a larger one with its bytes.
  static std::shared_ptr<Buffer> grown(std::shared_ptr<Buffer> buffer, std::uint64_t bytes, std::uint64_t total,
                                       bool trusted);

 private:
  DType dtype_;
};

/// The destination of an array of bool that keeps no byte for each, piece by piece.
class BooleanTarget {
 public:
  BooleanTarget() = default;
  BooleanTarget(const BooleanTarget&) = delete;
  BooleanTarget& operator=(const BooleanTarget&) = delete;
  virtual ~BooleanTarget() = default;

  /// `count` elements follow. `trusted`: the input holds them.
  virtual void begin(std::uint64_t count, bool trusted) = 0;
  /// The next elements, a byte 0 or 1 each.
  virtual void append(Bytes elements) = 0;
};

/// The target of a stored pointer.
struct SharedIn {
  enum class State : std::uint8_t {
    inline_value,  // the value follows and nothing refers to it
    first,         // the value follows, and others refer to it
    reference,     // the value was stored before
    deferred,      // the value is stored later
  };
  State state = State::inline_value;
  std::uint64_t index = 0;    // but inline_value: which shared object
  std::string type = {};      // deferred: the registered name of its type, if it has one
  bool out_of_order = false;  // first: a reference to it may have been followed before
};

class InVisitor;

/// An object whose value is read later.
struct SharedLater {
  std::shared_ptr<void> object;
  std::string type = {};  // as in SharedIn
  void (*read)(InVisitor& in, void* object) = nullptr;
};

/// An object met earlier, with its dynamic type.
struct SharedObject {
  std::shared_ptr<void> pointer;  // to the most derived object
  const std::type_info* type = nullptr;
  void (*empty)(void* object) = nullptr;  // makes it as new; null where it cannot be assigned to

  /// Releases what the object holds.
  void abandon() const noexcept {
    try {
      if (pointer != nullptr && empty != nullptr) {
        empty(pointer.get());
      }
    } catch (...) {  // a constructor's; then it stays as it is
    }
  }
};

/// Which differences between the stored fields and those of a type are errors.
struct FieldRules {
  bool known = false;     // a stored field that the type does not have
  bool complete = false;  // a field of the type that is not stored
};

/// Plays the events of one value to a type that knows what it wants. Each function fails with the path and the offset
/// unless the stored value is of its kind. Not thread-safe.
class InVisitor {
 public:
  InVisitor() = default;
  InVisitor(const InVisitor&) = delete;
  InVisitor& operator=(const InVisitor&) = delete;
  virtual ~InVisitor() = default;

  /// The kind of the next value, without consuming it.
  virtual Kind kind() = 0;
  virtual void null() = 0;
  virtual bool boolean() = 0;
  virtual Number number() = 0;
  /// Text or bytes, into `out`.
  virtual void text(std::string& out) = 0;
  virtual void array(ArrayTarget& target) = 0;
  /// A one-dimensional array of bool.
  virtual void booleans(BooleanTarget& target);
  /// Opens a sequence and returns the number of its items, if it is stored. All counts of open containers together
  /// never exceed what an input of known size can hold. Call next() before each item until it returns false, which
  /// closes the sequence.
  virtual std::optional<std::uint64_t> begin_sequence() = 0;
  /// Opens a map; next() before each key; the value follows the key.
  virtual std::optional<std::uint64_t> begin_map() = 0;
  virtual bool next() = 0;
  /// Looks at the entries that follow in the innermost sequence or map, where next() would continue: entries that are
  /// ready and made of `kinds`, one kind for a sequence and two for a map, as many as fit into `out`. Returns their
  /// number, or 0 if they must be read one by one. They stay next until take_plain_items(); the texts are valid until
  /// then.
  virtual std::size_t peek_plain_items(std::span<const PlainItem::Kind> kinds, std::span<PlainItem> out);
  /// Consumes the first `count` entries looked at last.
  virtual void take_plain_items(std::size_t count);
  /// The same for values of any depth: those that are ready, whole, and made of the kinds of PlainPart alone. Sequences
  /// may have one of the type names `names`; keys of maps are texts and numbers. `out` gets the parts of as many values
  /// as fit, of a map's entries with their keys. Returns their number. They stay next until take_plain_values().
  virtual std::size_t peek_plain_values(std::span<const std::string_view> names, std::span<PlainPart> out);
  /// Consumes the first `count` values looked at last.
  virtual void take_plain_values(std::size_t count);
  /// How many of the `count` items of a container just opened may be reserved before any of them has arrived.
  virtual std::uint64_t expected_items(std::uint64_t count) const { return count; }
  /// Opens a record, or a map with text keys; next_field() until it says false, which closes it. `name` is valid until
  /// the next call of any function.
  virtual void begin_record() = 0;
  virtual bool next_field(std::string_view& name) = 0;
  /// Skips one value.
  virtual void skip() = 0;
  virtual SharedIn begin_shared() = 0;
  /// Where the next value is a reference: the index of the shared object. Nothing is consumed, and nothing looked up,
  /// as kind() does. Nothing for other values, and where that is not known beforehand.
  virtual std::optional<std::uint64_t> next_reference() { return std::nullopt; }
  /// Registers the object of index `index`, before its value is read, so that cycles find it.
  virtual void define_shared(std::uint64_t index, SharedObject object) = 0;
  /// The object of a reference; null if it lies outside what is being read and must be read by enter_shared().
  virtual SharedObject shared(std::uint64_t index) = 0;
  /// Moves to the value of a shared object elsewhere in the file; leave_shared() moves back.
  virtual void enter_shared(std::uint64_t index) = 0;
  virtual void leave_shared() = 0;
  /// Whether the next value is a shared object whose value is stored later.
  virtual bool at_deferred() { return false; }
  /// Registers a deferred object, defined before, to be read when its value comes, at the latest by finish_shared().
  virtual void defer(std::uint64_t index, SharedLater later);
  /// Called after the whole value: reads deferred values that have not come yet.
  virtual void finish_shared() {}
  /// The registered name of the next polymorphic value, or nothing if it is stored without one; call end_typed() after
  /// the value.
  virtual std::optional<std::string> begin_typed() = 0;
  virtual void end_typed() = 0;
  /// Called when reading failed: empties the shared objects made so far, as cycles among them would never be freed.
  virtual void abandon() noexcept {}

  /// Throws an Error at the place of the value read last.
  [[noreturn]] void error(Errc code, std::string message) {
    raise(code, std::move(message));
    __builtin_unreachable();
  }

  /// To be called while `error` is handled: throws it again with the place of the value read last.
  [[noreturn]] void rethrow(const Error& error) const;

  const FieldRules& field_rules() const noexcept { return field_rules_; }
  const TypeRegistry* types() const noexcept { return types_; }

  /// While one lives, a visitor with a choice does not defer what it reads; see OutVisitor::AtOnce.
  class AtOnce {
   public:
    explicit AtOnce(InVisitor& in) noexcept : in_(in) { ++in_.at_once_; }
    ~AtOnce() { --in_.at_once_; }
    AtOnce(const AtOnce&) = delete;
    AtOnce& operator=(const AtOnce&) = delete;

   private:
    InVisitor& in_;
  };

 protected:
  virtual Whereabouts place() const { return {}; }
  /// Called by rethrow(). Throws another Error if it knows a cause of `error`, such as damage found later.
  virtual void explain(const Error& /*error*/) const {}
  std::size_t at_once_ = 0;  // AtOnce that live
  /// Does what error() says; never returns. (GCC forgets [[noreturn]] on a virtual function.)
  virtual void raise(Errc code, std::string message) = 0;
  FieldRules field_rules_;
  const TypeRegistry* types_ = nullptr;
};

/// Conversions of stored numbers that lose nothing; they fail through `in` otherwise.
std::int64_t to_signed(const Number& number, std::int64_t lowest, std::int64_t highest, InVisitor& in);
std::uint64_t to_unsigned(const Number& number, std::uint64_t highest, InVisitor& in);
float to_float(const Number& number, InVisitor& in);
double to_double(const Number& number, InVisitor& in);
float16 to_float16(const Number& number, InVisitor& in);
bfloat16 to_bfloat16(const Number& number, InVisitor& in);

/// Converts counts of one unit of time to another. The smallest count is NumPy's NaT (not a time): it stays in a unit
/// of the same length and has no counterpart in others.
class Rescale {
 public:
  Rescale(TimeUnit::Length from, TimeUnit::Length to) noexcept;
  bool same() const noexcept { return up_ == 1 && down_ == 1; }
  /// False if the result is not an integer, or too large.
  bool operator()(std::int64_t count, std::int64_t& result) const noexcept;
  /// The nearest number.
  double operator()(double count) const noexcept;

 private:
  std::uint64_t up_ = 0;  // the result is count * up / down, in lowest terms; 0: too large
  std::uint64_t down_ = 0;
  TimeUnit::Length from_;
  TimeUnit::Length to_;
};
/// The same for a stored integer. Fails through `in` if the result is not an integer of 64 bits.
Number rescaled(const Number& number, TimeUnit::Length from, TimeUnit::Length to, InVisitor& in);

/// A finite long double as mantissa * 2^exponent, the mantissa 0 or at least 2^63.
struct LongReal {
  std::uint64_t mantissa = 0;
  int exponent = 0;
  bool negative = false;
};
LongReal split(long double value) noexcept;
long double joined(const LongReal& parts) noexcept;

}  // namespace stele

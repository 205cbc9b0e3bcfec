#pragma once
// Arrays that are left in their file until they are needed: a conversion reads each when it writes it, piece by piece.

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "archive/value/nodes.hpp"
#include "stele/value.hpp"
#include "stele/visitor.hpp"

namespace stele {

class LaterArray {
 public:
  explicit LaterArray(ArrayHeader header, bool shareable = false) : header_(std::move(header)), shareable_(shareable) {}
  LaterArray(const LaterArray&) = delete;
  LaterArray& operator=(const LaterArray&) = delete;
  virtual ~LaterArray() = default;

  const ArrayHeader& header() const noexcept { return header_; }
  /// Whether the same array may be at several places, as one object.
  bool shareable() const noexcept { return shareable_; }
  std::uint64_t bytes() const { return header_.shape.count() * header_.dtype.item_size(); }
  /// The elements as they lie densely in that order. Its last read() makes the checks of the format. One at a time.
  virtual std::unique_ptr<Source> open() = 0;
  /// Whether it may be opened again, and before the arrays that come first in its file, at no more than its own cost.
  virtual bool in_any_order() const { return true; }
  /// Passes the elements of open() to a function, in pieces.
  void pass(const std::function<void(Bytes)>& take);
  /// All of it.
  virtual AnyArray read();
  /// Reads all of it to `to`, densely in the order of the header, as elements of `dtype`, to which its own widen. False
  /// if it cannot, and then nothing is read.
  virtual bool read_as(const DType& dtype, const std::function<MutableBytes()>& to);

 private:
  const ArrayHeader header_;
  const bool shareable_;
};

/// The elements of one, for a reader that takes whole ones.
class ElementSource : public Source {
 public:
  ElementSource(std::uint64_t count, std::uint64_t item_size) : left_(count), item_size_(item_size) {}
  std::size_t read(MutableBytes into) final;

 protected:
  /// Reads the next elements, one at least.
  virtual void next(std::uint64_t count, std::byte* to) = 0;
  /// How many there still are; those of next() are among them.
  std::uint64_t left() const noexcept { return left_; }

 private:
  void take(std::uint64_t count, std::byte* to);
  std::uint64_t left_;
  const std::uint64_t item_size_;
  std::vector<std::byte> one_;
  Bytes rest_;  // of it
};

/// A value for a deferred array. The first access to its elements reads and keeps the whole array.
Value later_value(std::shared_ptr<LaterArray> array);
/// The deferred array of a value that has not been read; null for other values.
LaterArray* later_array(const Value& value) noexcept;

/// The dtype, shape and order of an array, without reading it.
ArrayHeader header_of(const Value& array);

/// Implemented by OutVisitors that can write deferred arrays in pieces.
class LaterOut {
 public:
  virtual void later(LaterArray& array) = 0;

 protected:
  ~LaterOut() = default;
};

/// Implemented by InVisitors that can leave arrays in the file.
class LaterIn {
 public:
  /// The value of the next array, which is passed over; an array that is met again is the same one. Nothing where it
  /// must be read, and then it still comes next.
  virtual std::optional<Value> leave() = 0;
  /// The next array, to be read once and completely before the visitor is used again. Null if leave() would return
  /// nothing: its elements are not contiguous, or other values refer to it.
  virtual std::shared_ptr<LaterArray> stream() = 0;

 protected:
  ~LaterIn() = default;
};

/// A tree whose large arrays stay in the file, for File::load(): those that lie there in one run, where the file can be
/// read at any place and is not mapped. They keep it open. What shares a buffer with them is an array of its own.
struct LaterTree {
  Value value;
};
template <>
struct Visit<LaterTree> {
  static void read(InVisitor& in, LaterTree& tree);
};

/// A root that is read in order, also from a pipe: `take` gets it once. An array may be one that comes while it is
/// read, which `take` must do.
struct StreamedRoot {
  std::function<void(const Value&)> take;
};
template <>
struct Visit<StreamedRoot> {
  static void read(InVisitor& in, StreamedRoot& root);
};

/// The node of an array that may come later.
struct ValueAccess::Array final : Node {
  const AnyArray& held() const;
  mutable AnyArray array;
  std::shared_ptr<LaterArray> later;
  mutable std::once_flag is_read;
};

}  // namespace stele

#pragma once
// Arrays that are left in their file until they are needed: a conversion reads each when it writes it, piece by piece.

#include <functional>
#include <memory>
#include <mutex>

#include "archive/value/nodes.hpp"
#include "stele/value.hpp"
#include "stele/visitor.hpp"

namespace stele {

class LaterArray {
 public:
  explicit LaterArray(ArrayHeader header) : header_(std::move(header)) {}
  LaterArray(const LaterArray&) = delete;
  LaterArray& operator=(const LaterArray&) = delete;
  virtual ~LaterArray() = default;

  const ArrayHeader& header() const noexcept { return header_; }
  std::uint64_t bytes() const { return header_.shape.count() * header_.dtype.item_size(); }
  /// The elements as they lie densely in that order. Its last read() makes the checks of the format. One at a time.
  virtual std::unique_ptr<Source> open() = 0;
  /// All of it.
  virtual AnyArray read();
  /// Reads all of it to `to`, densely in the order of the header, as elements of `dtype`, to which its own widen. False
  /// if it cannot, and then nothing is read.
  virtual bool read_as(const DType& dtype, const std::function<MutableBytes()>& to);

 private:
  const ArrayHeader header_;
};

/// The value of such an array. Whoever asks for its elements has it read whole, and kept.
Value later_value(std::shared_ptr<LaterArray> array);
/// The array behind a value that has not been read; null for others.
LaterArray* later_array(const Value& value) noexcept;

/// What an OutVisitor also is if it takes such arrays piece by piece.
class LaterOut {
 public:
  virtual void later(LaterArray& array) = 0;

 protected:
  ~LaterOut() = default;
};

/// The node of an array that may come later.
struct ValueAccess::Array final : Node {
  const AnyArray& held() const;
  mutable AnyArray array;
  std::shared_ptr<LaterArray> later;
  mutable std::once_flag is_read;
};

}  // namespace stele

#pragma once
// What a lazy array keeps.

#include <memory>
#include <string>

#include "archive/read/lazy/stored.hpp"
#include "stele/lazy_array.hpp"
#include "stele/options.hpp"

namespace stele {

/// The elements of an array that lies in several files. Thread-safe.
class BoxedElements {
 public:
  BoxedElements() = default;
  BoxedElements(const BoxedElements&) = delete;
  BoxedElements& operator=(const BoxedElements&) = delete;
  virtual ~BoxedElements() = default;

  /// As AnyLazyArray::read(), with as many ranges as axes, which are inside and have their counts.
  virtual void read(std::span<const Range> box, const DType& dtype, MutableBytes to) const = 0;
  /// As AnyLazyArray::gather().
  virtual void gather(std::span<const std::uint64_t> rows, const DType& dtype, MutableBytes to) const = 0;
};

struct AnyLazyArray::State {
  std::shared_ptr<const void> file;  // of which `elements` reads
  std::string file_name;
  std::string path;
  DType dtype;
  Shape shape;
  Order order = Order::row_major;
  std::string encoding;
  std::unique_ptr<StoredElements> elements;
  std::unique_ptr<BoxedElements> boxes;  // instead of `elements`
  std::uint64_t first = 0;               // position in `elements`
  std::int64_t strides[max_rank];        // in elements
  Limits limits;
  unsigned threads = 1;
};

}  // namespace stele

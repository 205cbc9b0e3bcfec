#pragma once
// What a lazy array keeps.

#include <memory>
#include <string>

#include "archive/read/lazy/stored.hpp"
#include "stele/lazy_array.hpp"
#include "stele/options.hpp"

namespace stele {

struct AnyLazyArray::State {
  std::shared_ptr<const void> file;  // of which `elements` reads
  std::string file_name;
  std::string path;
  DType dtype;
  Shape shape;
  Order order = Order::row_major;
  std::string encoding;
  std::unique_ptr<StoredElements> elements;
  std::uint64_t first = 0;         // position in `elements`
  std::int64_t strides[max_rank];  // in elements
  Limits limits;
  unsigned threads = 1;
};

}  // namespace stele

#pragma once
// What a lazy array keeps.

#include <mutex>
#include <optional>

#include "archive/read/lazy/stored.hpp"
#include "stele/lazy_array.hpp"
#include "stele/options.hpp"

namespace stele {

struct AnyLazyArray::State {
  /// Throws: Error(damaged).
  void verify() const;

  std::shared_ptr<const void> file;  // of which `elements` reads
  std::string file_name;
  std::string path;
  DType dtype;
  Shape shape;
  Order order = Order::row_major;
  std::string encoding;
  std::unique_ptr<StoredElements> elements;
  std::uint64_t first = 0;                // position in `elements`
  std::int64_t strides[max_rank];         // in elements
  std::optional<std::uint64_t> checksum;  // to be compared before the first read
  std::uint64_t offset = 0;               // of the elements, for messages
  std::uint64_t stored_count = 0;         // of `elements`
  mutable std::mutex mutex;               // guards `verified`
  mutable bool verified = false;
  Limits limits;
  unsigned threads = 1;
};

}  // namespace stele

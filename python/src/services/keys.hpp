#pragma once
// Keys of filters, sketches and counts: from one Python object, or from a whole array or list.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "numpy.hpp"
#include "stele/features/known_features.hpp"
#include "stele/filters/key_hash.hpp"

namespace stele::python {

/// A key in the form that the library hashes.
struct KeyItem {
  bool is_text = false;
  std::int64_t number = 0;  // modulo 2^64
  std::string_view text;    // UTF-8, or bytes
};
/// Of an int, str or bytes, and NumPy's scalars of these. Texts are valid as long as the object.
/// Throws: TypeError, OverflowError, UnicodeEncodeError.
KeyItem key_item(nb::handle key);
KeyHash key_hash(nb::handle key);
/// A text without its kind: tokens.
/// Throws: TypeError for an int.
std::string_view token_of(nb::handle token);

/// Many keys, in the order of an array's elements, row by row, or of an iterable.
class KeyItems {
 public:
  /// Throws: TypeError for floats and the like, and for a str or bytes, which is one key.
  explicit KeyItems(nb::handle keys);

  std::size_t size() const noexcept { return count_; }
  /// Of the array; one dimension for other iterables.
  const Shape& shape() const noexcept { return shape_; }

  /// Needs no GIL.
  std::vector<KeyHash> hashes() const;
  std::vector<Feature> features() const;
  /// Throws: TypeError where some are numbers.
  std::vector<std::string_view> tokens() const;

 private:
  void take_array(PyArrayObject* array);

  nb::object keep_;  // owns what is pointed to
  std::size_t count_ = 0;
  Shape shape_;
  std::vector<KeyItem> items_;  // or, if empty:
  const std::byte* numbers_ = nullptr;
  std::size_t item_size_ = 0;
  bool is_signed_ = false;
  std::unique_ptr<std::string> texts_;  // of an array of characters
  template <class F>
  void each(F&& use) const;
};

/// `counts` as 64-bit naturals: one for all, or as many as there are keys; none for None.
/// Throws: ValueError for negative ones and for another number of them.
std::vector<std::uint64_t> counts_of(nb::handle counts, std::size_t keys);

}  // namespace stele::python

#pragma once
// Iteration over a Store: ranges of items or keys, each read when it is reached.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>

#include "stele/store/key.hpp"
#include "stele/store/value.hpp"

namespace stele {

/// A key and its value.
struct StoreItem {
  StoreKey key;
  StoreValue value;
};

/// Steps through the items of one state of a store.
class StoreCursor {
 public:
  virtual ~StoreCursor() = default;
  /// The next item; false at the end. If `with_value` is false, the value is not read.
  /// Throws: Error(damaged), Error(io).
  virtual bool next(StoreItem& item, bool with_value) = 0;
};

/// A single-pass range, `for (const StoreItem& item : store.items())`. It shows the state of the store when it was
/// made, whatever is written, erased or moved meanwhile. It holds a read transaction: while it exists, the index cannot
/// reuse the space that writes free. Must not outlive the Store; one thread at a time.
template <class T>
class StoreRange {
 public:
  explicit StoreRange(std::unique_ptr<StoreCursor> cursor) : cursor_(std::move(cursor)) {}

  class iterator {
   public:
    using value_type = T;
    using difference_type = std::ptrdiff_t;
    using iterator_category = std::input_iterator_tag;
    iterator() = default;
    explicit iterator(StoreRange* range) : range_(range) { ++*this; }
    const T& operator*() const noexcept { return range_->current(); }
    const T* operator->() const noexcept { return &range_->current(); }
    iterator& operator++() {
      if (!range_->cursor_->next(range_->item_, std::is_same_v<T, StoreItem>)) {
        range_ = nullptr;
      }
      return *this;
    }
    void operator++(int) { ++*this; }
    friend bool operator==(const iterator& a, std::default_sentinel_t) noexcept { return a.range_ == nullptr; }

   private:
    StoreRange* range_ = nullptr;
  };
  iterator begin() { return iterator(this); }
  std::default_sentinel_t end() const noexcept { return {}; }

 private:
  const T& current() const noexcept {
    if constexpr (std::is_same_v<T, StoreItem>) {
      return item_;
    } else {
      return item_.key;
    }
  }
  std::unique_ptr<StoreCursor> cursor_;
  StoreItem item_;
};

using StoreItems = StoreRange<StoreItem>;
using StoreKeys = StoreRange<StoreKey>;

/// The sort key of a secondary order: an integer, a float or the first 24 bytes of a text. Integers come before floats
/// and floats before texts; NaN comes after all other floats.
class StoreOrderValue {
 public:
  template <std::integral I>
  StoreOrderValue(I value) : StoreOrderValue(static_cast<std::int64_t>(value), 0) {}
  StoreOrderValue(double value);
  StoreOrderValue(std::string_view text);
  const std::string& sortable() const noexcept { return sortable_; }

 private:
  StoreOrderValue(std::int64_t value, int);
  std::string sortable_;
};

/// A secondary order: its name, and the function that returns an item's sort key. The function must return the same for
/// the same item, as long as the order is kept.
struct StoreOrder {
  std::string name;
  std::function<StoreOrderValue(const StoreKey& key, const StoreValue& value)> by;
};

}  // namespace stele

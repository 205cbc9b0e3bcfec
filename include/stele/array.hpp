#pragma once
// Arrays: Shape and Order, ArrayView (any array, described), and Array<T, Rank>, which owns, shares or maps a buffer.

#include <algorithm>
#include <array>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <utility>

#include "stele/dtype.hpp"
#include "stele/error.hpp"

namespace stele {

inline constexpr std::size_t max_rank = 32;

/// Extents in elements, outermost first; the rank is their number. Rank 0 is a single element.
class Shape {
 public:
  Shape() noexcept {}
  Shape(std::initializer_list<std::uint64_t> extents) : Shape(std::span(extents.begin(), extents.size())) {}
  /// Throws: Error(limit_exceeded) for more than max_rank extents.
  explicit Shape(std::span<const std::uint64_t> extents);

  std::size_t rank() const noexcept { return rank_; }
  std::uint64_t operator[](std::size_t axis) const noexcept { return extents_[axis]; }
  std::uint64_t& operator[](std::size_t axis) noexcept { return extents_[axis]; }
  const std::uint64_t* begin() const noexcept { return extents_; }
  const std::uint64_t* end() const noexcept { return extents_ + rank_; }
  void push_back(std::uint64_t extent);
  /// The number of elements.
  /// Throws: Error(out_of_range) beyond 2^63 - 1.
  std::uint64_t count() const;
  /// "[60000, 28, 28]".
  std::string text() const;
  friend bool operator==(const Shape& a, const Shape& b) noexcept;

 private:
  std::uint32_t rank_ = 0;
  std::uint64_t extents_[max_rank];  // only the first rank_ are set
};

/// Which index varies slowest in memory.
enum class Order : std::uint8_t { row_major, column_major };

/// Bytes that arrays share. Whatever owns them (heap memory, a Mapping, a user's object) lives as long as a Buffer.
class Buffer : public std::enable_shared_from_this<Buffer> {
 public:
  /// Heap memory, 64-byte aligned, not initialised. Large ones are advised to use huge pages.
  /// Throws: Error(limit_exceeded) if there is no memory.
  static std::shared_ptr<Buffer> allocate(std::size_t bytes);
  /// Memory that `owner` keeps alive.
  static std::shared_ptr<Buffer> wrap(std::byte* data, std::size_t bytes, bool writable, std::shared_ptr<void> owner);

  const std::byte* data() const noexcept { return data_; }
  /// Throws: Error(read_only) if writable() is false.
  std::byte* mutable_data() const {
    if (!writable_) {
      fail(
          Errc::read_only,
          "the array is mapped read-only, or is a copy where changes should reach the file; map with copy_on_write, or "
          "clone() it");
    }
    return data_;
  }
  std::size_t size() const noexcept { return size_; }
  bool writable() const noexcept { return writable_; }

 private:
  struct Made;
  Buffer() = default;
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  bool writable_ = true;
  std::shared_ptr<void> owner_;
};

/// A description of any array, without ownership: what crosses the seam. Strides are in bytes and may be negative or
/// zero.
struct ArrayView {
  DType dtype;
  Shape shape;
  const std::byte* data = nullptr;
  std::int64_t strides[max_rank];  // the first shape.rank() are set
  const Buffer* buffer = nullptr;  // set where the bytes lie in a Buffer that several arrays may share

  ArrayView() noexcept {}
  /// A dense one-dimensional array.
  ArrayView(DType type, const void* first, std::uint64_t count) noexcept
      : dtype(std::move(type)), data(static_cast<const std::byte*>(first)) {
    shape.push_back(count);
    strides[0] = static_cast<std::int64_t>(dtype.item_size());
  }
  /// A dense array in the given order.
  ArrayView(DType type, const void* first, const Shape& extents, Order order);

  /// The bytes of all elements.
  /// Throws: Error(out_of_range) beyond 2^63 - 1.
  std::uint64_t byte_count() const;
  /// Whether the elements lie without gaps in that order.
  bool is_dense(Order order) const noexcept;
};

/// Copies elements `first` to `first + count` of `from`, counted in `order`, densely to `to`.
void gather(const ArrayView& from, Order order, std::uint64_t first, std::uint64_t count, std::byte* to);
/// The reverse: copies dense elements to positions `first` to `first + count` of the array that `to` describes and
/// whose first element is `data` (`to.data` is not used).
void scatter(const std::byte* from, Order order, std::uint64_t first, std::uint64_t count, const ArrayView& to,
             std::byte* data);

/// An array of T with Rank dimensions over a shared buffer. Copies share the buffer, as NumPy's views do; clone()
/// copies the elements. The buffer, a mapped one too, lives as long as any array over it. Different threads may use
/// distinct arrays; the caller synchronises access to the elements.
///
/// Members that read return const elements, also on a non-const array. The members whose names begin with mutable_
/// write elements; they throw Error(read_only) if the buffer is a read-only mapping. An Array<const T> has none of
/// these.
template <class T, std::size_t Rank = 1>
class Array {
 public:
  using value_type = T;
  static constexpr std::size_t rank = Rank;

  /// An array without elements.
  Array() noexcept = default;
  /// A new array of elements set to zero (T{}).
  explicit Array(const std::array<std::uint64_t, Rank>& shape, Order order = Order::row_major)
      : Array(uninitialized(shape, order)) {
    std::fill_n(mutable_data(), size(), T{});
  }
  /// A new array with uninitialised elements.
  static Array uninitialized(const std::array<std::uint64_t, Rank>& shape, Order order = Order::row_major) {
    const std::uint64_t count = Shape(shape).count();
    if (count > (std::uint64_t{1} << 62) / sizeof(T)) {
      fail(Errc::limit_exceeded, message({"array of ", count, " elements"}));
    }
    auto buffer = Buffer::allocate(static_cast<std::size_t>(count) * sizeof(T));
    const T* data = reinterpret_cast<const T*>(buffer->data());
    return Array(std::move(buffer), data, shape, dense_strides(shape, order));
  }
  /// A view of a buffer: `data` points into it; strides count elements.
  Array(std::shared_ptr<Buffer> buffer, const T* data, const std::array<std::uint64_t, Rank>& shape,
        const std::array<std::int64_t, Rank>& strides) noexcept
      : buffer_(std::move(buffer)), data_(data), shape_(shape), strides_(strides) {}

  /// The first element.
  const T* data() const noexcept { return data_; }
  /// The first element, writable.
  /// Throws: Error(read_only).
  T* mutable_data()
    requires(!std::is_const_v<T>)
  {
    require_writable();
    return const_cast<T*>(data_);
  }
  /// Whether mutable_data(), mutable_span() and mutable_at() work.
  bool writable() const noexcept { return buffer_ == nullptr || buffer_->writable(); }
  std::uint64_t size() const noexcept {
    std::uint64_t n = data_ == nullptr && Rank == 0 ? 0 : 1;
    for (std::uint64_t extent : shape_) {
      n *= extent;
    }
    return n;
  }
  bool empty() const noexcept { return size() == 0; }
  const std::array<std::uint64_t, Rank>& shape() const noexcept { return shape_; }
  /// In elements.
  const std::array<std::int64_t, Rank>& strides() const noexcept { return strides_; }
  /// What keeps the elements alive; null for an array without elements.
  const std::shared_ptr<Buffer>& buffer() const noexcept { return buffer_; }
  bool is_dense(Order order = Order::row_major) const noexcept {
    return strides_ == dense_strides(shape_, order) || size() <= 1;
  }

  /// One element; indices are not checked (assert).
  template <class... I>
    requires(sizeof...(I) == Rank && (std::convertible_to<I, std::int64_t> && ...))
  const T& operator()(I... index) const noexcept {
    return data_[offset(static_cast<std::int64_t>(index)...)];
  }
  const T& operator[](std::uint64_t i) const noexcept
    requires(Rank == 1)
  {
    return (*this)(i);
  }
  /// One element, writable; indices are not checked (assert). Each call checks whether the array is writable: for a
  /// loop over all elements use mutable_span() or mutable_data().
  /// Throws: Error(read_only).
  template <class... I>
    requires(sizeof...(I) == Rank && (std::convertible_to<I, std::int64_t> && ...) && !std::is_const_v<T>)
  T& mutable_at(I... index) {
    return mutable_data()[offset(static_cast<std::int64_t>(index)...)];
  }
  const T* begin() const noexcept
    requires(Rank == 1)
  {
    assert(is_dense());
    return data_;
  }
  const T* end() const noexcept
    requires(Rank == 1)
  {
    return begin() + size();
  }

  /// The elements as a span in memory order.
  /// Throws: Error(invalid_argument) if there are gaps between them.
  std::span<const T> span() const& {
    require_dense();
    return {data_, static_cast<std::size_t>(size())};
  }
  std::span<const T> span() && = delete;
  operator std::span<const T>() const& { return span(); }
  operator std::span<const T>() && = delete;
  /// The same, writable.
  /// Throws: Error(read_only), Error(invalid_argument) if there are gaps between the elements.
  std::span<T> mutable_span() & requires(!std::is_const_v<T>) {
    require_dense();
    return {mutable_data(), static_cast<std::size_t>(size())};
  } void mutable_span() && = delete;

  /// Rows `first` to `last` (excluded) of the outermost dimension, over the same buffer.
  Array slice(std::uint64_t first, std::uint64_t last) const
    requires(Rank >= 1)
  {
    if (first > last || last > shape_[0]) {
      fail(Errc::out_of_range, "slice outside the array");
    }
    Array part = *this;
    part.shape_[0] = last - first;
    part.data_ = data_ + static_cast<std::int64_t>(first) * strides_[0];
    return part;
  }
  /// The same elements with axes reversed, over the same buffer.
  Array transposed() const noexcept {
    Array turned = *this;
    for (std::size_t i = 0; i < Rank; ++i) {
      turned.shape_[i] = shape_[Rank - 1 - i];
      turned.strides_[i] = strides_[Rank - 1 - i];
    }
    return turned;
  }
  /// A dense copy with its own buffer.
  Array clone(Order order = Order::row_major) const {
    Array copy = uninitialized(shape_, order);
    gather(view_as(DType::fixed_bytes(sizeof(T))), order, 0, size(), copy.buffer_->mutable_data());
    return copy;
  }

  /// The description that crosses the seam. Valid as long as this array.
  ArrayView view() const&
    requires Element<T>
  {
    return view_as(element_dtype<std::remove_const_t<T>>());
  }
  ArrayView view_as(DType dtype) const& {
    ArrayView v;
    v.dtype = std::move(dtype);
    v.shape = Shape(shape_);
    v.data = reinterpret_cast<const std::byte*>(data_);
    for (std::size_t i = 0; i < Rank; ++i) {
      v.strides[i] = strides_[i] * static_cast<std::int64_t>(sizeof(T));
    }
    v.buffer = buffer_.get();
    return v;
  }

  /// Equal shapes and elements, whatever the strides.
  friend bool operator==(const Array& a, const Array& b) {
    if (a.shape_ != b.shape_) {
      return false;
    }
    std::array<std::uint64_t, Rank> index{};
    for (std::uint64_t n = a.size(); n > 0; --n) {
      if (!(a.at(index) == b.at(index))) {
        return false;
      }
      for (std::size_t axis = Rank; axis-- > 0;) {
        if (++index[axis] < a.shape_[axis]) {
          break;
        }
        index[axis] = 0;
      }
    }
    return true;
  }

  /// Element strides of a dense array.
  static std::array<std::int64_t, Rank> dense_strides(const std::array<std::uint64_t, Rank>& shape,
                                                      Order order) noexcept {
    std::array<std::int64_t, Rank> strides{};
    std::int64_t step = 1;
    for (std::size_t i = 0; i < Rank; ++i) {
      const std::size_t axis = order == Order::row_major ? Rank - 1 - i : i;
      strides[axis] = step;
      step *= static_cast<std::int64_t>(shape[axis]);
    }
    return strides;
  }

 private:
  template <class... I>
  std::int64_t offset(I... index) const noexcept {
    std::int64_t at = 0;
    std::size_t axis = 0;
    ((assert(index >= 0 && static_cast<std::uint64_t>(index) < shape_[axis]), at += index * strides_[axis], ++axis),
     ...);
    return at;
  }
  const T& at(const std::array<std::uint64_t, Rank>& index) const noexcept {
    std::int64_t at = 0;
    for (std::size_t axis = 0; axis < Rank; ++axis) {
      at += static_cast<std::int64_t>(index[axis]) * strides_[axis];
    }
    return data_[at];
  }
  void require_writable() const {
    if (buffer_ != nullptr) {
      (void)buffer_->mutable_data();
    }
  }
  void require_dense() const {
    if (!is_dense(Order::row_major) && !is_dense(Order::column_major)) {
      fail(Errc::invalid_argument, "a span of an array whose elements are not dense; clone() it");
    }
  }

  std::shared_ptr<Buffer> buffer_;
  const T* data_ = nullptr;
  std::array<std::uint64_t, Rank> shape_{};
  std::array<std::int64_t, Rank> strides_{};
};

}  // namespace stele

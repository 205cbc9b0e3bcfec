#pragma once
// Arrays in open files of which parts are read: rows, boxes, batches.

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "stele/array.hpp"
#include "stele/io.hpp"
#include "stele/walk/arrays.hpp"

namespace stele {

/// Positions along one axis of an array: `first`, `first + step`, …, `count` of them.
struct Range {
  /// As many as there are.
  static constexpr std::uint64_t rest = ~std::uint64_t{0};

  std::uint64_t first = 0;
  std::uint64_t count = rest;
  std::int64_t step = 1;  // below 0: towards the beginning; not 0
};

/// An array of any type in an open file. Its elements stay in the file: each call reads and decodes only what it needs,
/// of compressed files whole blocks. A file that cannot be read at any place, such as another tool's gzip file, was
/// decompressed into memory when it was opened.
///
/// A copy costs nothing. An array keeps its file open, so it stays valid after the File is gone. Several threads may
/// call its members at once.
///
/// What is checked: small arrays against the file's checksums, as everything outside the large arrays is. An array of
/// 4 KiB or more has one checksum, which a part cannot be compared with; File::verify() checks all of them, and blocks
/// of compressed files have checksums of their own.
class AnyLazyArray {
 public:
  const DType& dtype() const noexcept;
  const Shape& shape() const noexcept;
  /// Which index varies slowest in the file.
  Order order() const noexcept;
  /// "raw", "pieces", "view", or the name of the encoding.
  const std::string& encoding() const noexcept;

  /// The extents of a box: a Range for each of the first axes; the other axes count as a whole.
  /// Throws: Error(invalid_argument) for more ranges than axes and a step of 0, Error(out_of_range).
  Shape extents(std::span<const Range> box) const;
  /// Reads the elements of a box to `to`, densely in row-major order, converted to `dtype` as load() does. `to` has
  /// room for exactly these elements. Record fields that are not stored keep the contents of `to`.
  /// Throws: Error(type_mismatch), Error(out_of_range), Error(invalid_argument), Error(limit_exceeded),
  /// Error(damaged), Error(malformed), Error(truncated), Error(io).
  void read(std::span<const Range> box, const DType& dtype, MutableBytes to) const;
  /// Reads rows, positions along the first axis, in any order and any number of times, to `to` in that order. Rows that
  /// lie close together are read at once. Throws as read().
  void gather(std::span<const std::uint64_t> rows, const DType& dtype, MutableBytes to) const;

 private:
  friend class File;
  struct State;
  explicit AnyLazyArray(std::shared_ptr<const State> state) : state_(std::move(state)) {}
  void read(std::span<const Range> box, std::span<const std::uint64_t> rows, bool gather, const DType& dtype,
            MutableBytes to) const;
  std::shared_ptr<const State> state_;
};

/// An array of T with Rank axes in an open file; see AnyLazyArray. Elements are converted as load() does.
template <class T, std::size_t Rank>
class LazyArray {
 public:
  /// `Rank` or fewer ranges, from the first axis on: {{1000, 1000}, {5, 1}}.
  using Box = std::initializer_list<Range>;

  explicit LazyArray(AnyLazyArray array) : array_(std::move(array)) {}

  const AnyLazyArray& any() const noexcept { return array_; }
  const DType& dtype() const noexcept { return array_.dtype(); }
  std::array<std::uint64_t, Rank> shape() const noexcept { return shape_of(array_.shape()); }
  Order order() const noexcept { return array_.order(); }
  const std::string& encoding() const noexcept { return array_.encoding(); }

  /// `count` rows from row `first` on, in row-major order.
  /// Throws: Error(out_of_range), and what AnyLazyArray::read() throws.
  Array<T, Rank> rows(std::uint64_t first, std::uint64_t count) const {
    return read({Range{first, count}});
  }
  /// A box.
  Array<T, Rank> read(std::span<const Range> box) const {
    Array<T, Rank> part = room(array_.extents(box));
    array_.read(box, walk::dtype_of<T>(), bytes_of(part));
    return part;
  }
  Array<T, Rank> read(Box box) const { return read(std::span(box.begin(), box.size())); }
  /// A box, to memory of the caller's that has room for exactly its elements, in row-major order.
  void read(std::span<const Range> box, std::span<T> to) const {
    array_.read(box, walk::dtype_of<T>(), std::as_writable_bytes(to));
  }
  void read(Box box, std::span<T> to) const { read(std::span(box.begin(), box.size()), to); }
  /// These rows in this order; see AnyLazyArray::gather().
  Array<T, Rank> gather(std::span<const std::uint64_t> rows) const
    requires(Rank >= 1)
  {
    Shape shape = array_.shape();
    shape[0] = rows.size();
    Array<T, Rank> part = room(shape);
    array_.gather(rows, walk::dtype_of<T>(), bytes_of(part));
    return part;
  }
  Array<T, Rank> gather(std::initializer_list<std::uint64_t> rows) const
    requires(Rank >= 1)
  {
    return gather(std::span(rows.begin(), rows.size()));
  }

 private:
  static std::array<std::uint64_t, Rank> shape_of(const Shape& shape) noexcept {
    std::array<std::uint64_t, Rank> extents{};
    std::copy_n(shape.begin(), Rank, extents.begin());
    return extents;
  }
  static Array<T, Rank> room(const Shape& shape) {
    if constexpr (requires { DTypeOf<T>::kind; }) {
      return Array<T, Rank>::uninitialized(shape_of(shape));
    } else {
      return Array<T, Rank>(shape_of(shape));  // where a field is not stored, its default stands
    }
  }
  static MutableBytes bytes_of(Array<T, Rank>& array) {
    return {reinterpret_cast<std::byte*>(array.mutable_data()), static_cast<std::size_t>(array.size()) * sizeof(T)};
  }
  AnyLazyArray array_;
};

}  // namespace stele

#pragma once
// Eigen's dense types. A vector (one row or column at compile time) is an array of rank 1, any other matrix one of rank
// 2 in the order in which it lies in memory. Views are written with their strides and read where the shape is theirs.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <Eigen/Core>

#include "stele/eigen/fixed.hpp"
#include "stele/eigen/target.hpp"
#include "stele/walk.hpp"

namespace stele {

namespace eigen {

template <class D>
D dense_base(const Eigen::DenseBase<D>*);
/// Adds nothing to its dense base class, as VectorBlock does.
template <class T>
concept DerivedDense = !Dense<T> && !walk::MemberVisited<T> &&
                       requires(const T* p) { requires sizeof(decltype(dense_base(p))) == sizeof(T); };
/// Has its coefficients in memory, at regular distances.
template <class T>
concept Strided = Dense<T> && (T::Flags & Eigen::DirectAccessBit) != 0;
template <class T>
concept Assignable = Dense<T> && (T::Flags & Eigen::LvalueBit) != 0;

template <class T>
inline constexpr Order order_of = T::IsRowMajor ? Order::row_major : Order::column_major;

/// The matrices that a type can hold.
struct MatrixExtents {
  Extent rows;
  Extent cols;
  bool is_vector = false;

  /// Rows and columns for a stored shape, if it fits: a vector takes a matrix of one row or column, a matrix takes a
  /// rank of 1 as one column.
  std::optional<std::array<Eigen::Index, 2>> fit(const Shape& shape) const noexcept {
    if (shape.rank() != 1 && shape.rank() != 2) {
      return std::nullopt;
    }
    std::uint64_t r = shape[0];
    std::uint64_t c = shape.rank() == 2 ? shape[1] : 1;
    if (is_vector) {
      if (r != 1 && c != 1) {
        return std::nullopt;
      }
      const bool is_column = cols.fixed && cols.most == 1;
      const std::uint64_t n = r == 1 ? c : r;
      r = is_column ? n : 1;
      c = is_column ? 1 : n;
    }
    if (!rows.fits(r) || !cols.fits(c)) {
      return std::nullopt;
    }
    return std::array{static_cast<Eigen::Index>(r), static_cast<Eigen::Index>(c)};
  }
  /// "[3, ?]", "[?]".
  std::string text() const {
    if (is_vector) {
      return message({"[", (cols.fixed && cols.most == 1 ? rows : cols).text(), "]"});
    }
    return message({"[", rows.text(), ", ", cols.text(), "]"});
  }
};

consteval Extent extent_of(int size, int max_size) {
  if (size != Eigen::Dynamic) {
    return {static_cast<std::uint64_t>(size), true};
  }
  if (max_size != Eigen::Dynamic) {
    return {static_cast<std::uint64_t>(max_size), false};
  }
  return {static_cast<std::uint64_t>(std::numeric_limits<Eigen::Index>::max()), false};
}
template <PlainDense T>
inline constexpr MatrixExtents extents_of{extent_of(T::RowsAtCompileTime, T::MaxRowsAtCompileTime),
                                          extent_of(T::ColsAtCompileTime, T::MaxColsAtCompileTime),
                                          bool(T::IsVectorAtCompileTime)};
/// Accepts only the size of `value`.
template <Dense T>
MatrixExtents current_extents(const T& value) noexcept {
  return {{static_cast<std::uint64_t>(value.rows()), true},
          {static_cast<std::uint64_t>(value.cols()), true},
          bool(T::IsVectorAtCompileTime)};
}

template <Strided T>
ArrayView view_of(const T& value) {
  using Scalar = typename T::Scalar;
  constexpr auto item = static_cast<std::int64_t>(sizeof(Scalar));
  ArrayView view;
  view.dtype = walk::dtype_of<Scalar>();
  view.data = value.size() == 0 ? nullptr : reinterpret_cast<const std::byte*>(value.data());
  if constexpr (T::IsVectorAtCompileTime) {
    view.shape.push_back(static_cast<std::uint64_t>(value.size()));
    view.strides[0] = value.innerStride() * item;
  } else {
    view.shape.push_back(static_cast<std::uint64_t>(value.rows()));
    view.shape.push_back(static_cast<std::uint64_t>(value.cols()));
    view.strides[0] = value.rowStride() * item;
    view.strides[1] = value.colStride() * item;
  }
  return view;
}

/// Receives an array into a Matrix or Array of any size.
template <PlainDense T>
class PlainTarget final : public PlacedTarget {
 public:
  PlainTarget(InVisitor& in, T& value)
      : PlacedTarget(in, walk::dtype_of<Scalar>(), order_of<T>, T::MaxSizeAtCompileTime != Eigen::Dynamic),
        value_(value) {}
  bool accepts(const ArrayHeader& stored) override { return extents_of<T>.fit(stored.shape).has_value(); }
  std::string expected() const override { return extents_of<T>.text(); }
  std::byte* memory(const ArrayHeader& stored, std::uint64_t bytes, std::uint64_t total, bool trusted) override {
    if constexpr (grows) {
      if (!trusted) {
        std::byte* const data = allocate(total, [&] { return grow((bytes + sizeof(Scalar) - 1) / sizeof(Scalar)); });
        if (bytes < total) {
          return data;
        }
      }
    }
    return PlacedTarget::memory(stored, bytes, total, trusted);
  }

 private:
  using Scalar = typename T::Scalar;
  static constexpr int inner = T::IsRowMajor ? T::ColsAtCompileTime : T::RowsAtCompileTime;
  static constexpr int max_outer = T::IsRowMajor ? T::MaxRowsAtCompileTime : T::MaxColsAtCompileTime;
  /// Whether outer slices can be added after the existing ones. A vector is a single slice.
  static constexpr bool grows = T::MaxSizeAtCompileTime == Eigen::Dynamic &&
                                (T::IsVectorAtCompileTime || max_outer == Eigen::Dynamic) && inner != 0;

  std::byte* place(const ArrayHeader& stored) override {
    const auto size = *extents_of<T>.fit(stored.shape);
    value_.resize(size[0], size[1]);  // keeps coefficients of the same number
    return reinterpret_cast<std::byte*>(value_.data());
  }
  /// Makes room for `count` coefficients in memory order; what is there stays. The shape is set in the end.
  std::byte* grow(std::uint64_t count) {
    const auto n = static_cast<Eigen::Index>(count);
    if constexpr (T::IsVectorAtCompileTime) {
      value_.conservativeResize(growing_ ? std::max(value_.size(), n) : n);
    } else {
      constexpr Eigen::Index slice = inner == Eigen::Dynamic ? 1 : inner;
      const auto resize = [&](Eigen::Index outer) {
        value_.conservativeResize(T::IsRowMajor ? outer : slice, T::IsRowMajor ? slice : outer);
      };
      if (!growing_) {
        value_.resize(T::IsRowMajor ? 0 : slice, T::IsRowMajor ? slice : 0);
      }
      resize(std::max(value_.outerSize(), (n + slice - 1) / slice));
    }
    growing_ = true;
    return reinterpret_cast<std::byte*>(value_.data());
  }

  T& value_;
  bool growing_ = false;
};

/// Receives an array of the very shape of a view whose coefficients lie without gaps.
template <Strided T>
class ViewTarget final : public PlacedTarget {
 public:
  ViewTarget(InVisitor& in, T& value)
      : PlacedTarget(in, walk::dtype_of<typename T::Scalar>(), order_of<T>, true), value_(value) {}
  bool accepts(const ArrayHeader& stored) override { return current_extents(value_).fit(stored.shape).has_value(); }
  std::string expected() const override { return current_extents(value_).text(); }

 private:
  std::byte* place(const ArrayHeader&) override { return reinterpret_cast<std::byte*>(value_.data()); }
  T& value_;
};

/// Coefficients row by row, of types that arrays cannot have.
template <class Scalar>
struct Coefficients {
  std::uint64_t rows = 0;
  std::uint64_t cols = 0;
  std::vector<Scalar> values;
};

template <Dense T>
void require_size(InVisitor& in, T& value, const Shape& stored) {
  if constexpr (PlainDense<T>) {
    if (const auto size = extents_of<T>.fit(stored)) {
      value.resize((*size)[0], (*size)[1]);
      return;
    }
    in.error(Errc::type_mismatch, message({"expected ", extents_of<T>.text(), ", found ", stored.text()}));
  } else if (!current_extents(value).fit(stored)) {
    in.error(Errc::type_mismatch, message({"expected ", current_extents(value).text(), ", found ", stored.text()}));
  }
}

template <Dense T>
void read_coefficients(InVisitor& in, T& value) {
  Coefficients<typename T::Scalar> stored;
  stele::read(in, stored);
  const std::uint64_t count = stored.values.size();
  if (stored.cols == 0 ? count != 0 : count % stored.cols != 0 || count / stored.cols != stored.rows) {
    in.error(Errc::damaged,
             message({"a matrix of ", count, " values is not ", Shape{stored.rows, stored.cols}.text()}));
  }
  require_size(in, value, {stored.rows, stored.cols});
  std::size_t next = 0;
  for (Eigen::Index i = 0; i < value.rows(); ++i) {
    for (Eigen::Index j = 0; j < value.cols(); ++j) {
      value.coeffRef(i, j) = std::move(stored.values[next++]);
    }
  }
}

/// Reads a sequence of numbers, as other writers have vectors.
template <Dense T>
void read_sequence(InVisitor& in, T& value) {
  std::vector<typename T::Scalar> items;
  stele::read(in, items);
  require_size(in, value, {items.size()});
  for (std::size_t i = 0; i < items.size(); ++i) {
    value.coeffRef(static_cast<Eigen::Index>(i)) = items[i];
  }
}

template <Strided T>
bool has_gaps(const T& value) noexcept {
  return value.innerStride() != 1 || (value.outerSize() > 1 && value.outerStride() != value.innerSize());
}

template <Dense T>
void read_array(InVisitor& in, T& value) {
  if constexpr (PlainDense<T>) {
    PlainTarget<T> target(in, value);
    in.array(target);
  } else {
    if constexpr (Strided<T>) {
      if (!has_gaps(value)) {
        ViewTarget<T> target(in, value);
        in.array(target);
        return;
      }
    }
    typename T::PlainObject copy;
    copy.resize(value.rows(), value.cols());
    ViewTarget<typename T::PlainObject> target(in, copy);
    in.array(target);
    value = copy;
  }
}

}  // namespace eigen

namespace eigen {

/// An extent in the form of a type; nothing where it is known at run time only.
constexpr void add_extent(walk::Form& form, int extent) {
  if (extent != Eigen::Dynamic) {
    form.add_decimal(static_cast<std::uint64_t>(extent));
  }
}

}  // namespace eigen

template <eigen::Dense T>
struct Visit<T> {
  using built_in = T;
  using Scalar = typename T::Scalar;

  static constexpr void add_form(walk::Form& form) {
    walk::add_form<Scalar>(form);
    form += '[';
    eigen::add_extent(form, T::IsVectorAtCompileTime ? T::SizeAtCompileTime : T::RowsAtCompileTime);
    if constexpr (!T::IsVectorAtCompileTime) {
      form += ',';
      eigen::add_extent(form, T::ColsAtCompileTime);
    }
    form += ']';
  }
  static void write(OutVisitor& out, const T& value) {
    if constexpr (!eigen::ArrayScalar<Scalar>) {
      eigen::Coefficients<Scalar> coefficients{
          static_cast<std::uint64_t>(value.rows()), static_cast<std::uint64_t>(value.cols()), {}};
      for (Eigen::Index i = 0; i < value.rows(); ++i) {
        for (Eigen::Index j = 0; j < value.cols(); ++j) {
          coefficients.values.push_back(value.coeff(i, j));
        }
      }
      stele::write(out, coefficients);
    } else if constexpr (eigen::Strided<T>) {
      out.array(eigen::view_of(value));
    } else {
      const typename T::PlainObject evaluated(value);
      out.array(eigen::view_of(evaluated));
    }
  }
  static void read(InVisitor& in, T& value) {
    static_assert(eigen::Assignable<T>, "stele: this Eigen expression cannot be assigned to; read into a matrix");
    if constexpr (!eigen::ArrayScalar<Scalar>) {
      eigen::read_coefficients(in, value);
    } else if (T::IsVectorAtCompileTime && in.kind() == Kind::sequence) {
      if constexpr (T::IsVectorAtCompileTime) {
        eigen::read_sequence(in, value);
      }
    } else {
      eigen::read_array(in, value);
    }
  }
};

template <eigen::DerivedDense T>
struct Visit<T> : Visit<decltype(eigen::dense_base(static_cast<const T*>(nullptr)))> {
  using built_in = T;
};

}  // namespace stele

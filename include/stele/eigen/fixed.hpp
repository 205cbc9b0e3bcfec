#pragma once
// Eigen types that can be items of an array: its scalars, and objects of fixed size, so that a std::vector<Vector3f> is
// one array [n, 3] and a std::vector<Matrix4d> one array [n, 4, 4].

#include <cstddef>
#include <optional>
#include <type_traits>
#include <vector>

#include <Eigen/Core>

#include "stele/walk.hpp"

namespace stele {

template <>
struct DTypeOf<Eigen::half> {
  static constexpr auto kind = DType::Kind::float16;
};
template <>
struct DTypeOf<Eigen::bfloat16> {
  static constexpr auto kind = DType::Kind::bfloat16;
};

namespace eigen {

template <class T>
concept Dense = std::is_base_of_v<Eigen::DenseBase<T>, T>;
/// Owns its coefficients: Matrix and Array.
template <class T>
concept PlainDense = Dense<T> && std::is_base_of_v<Eigen::PlainObjectBase<T>, T>;
template <class T>
consteval bool is_array_scalar() {
  if constexpr (walk::is_cell<T>) {
    return std::is_same_v<typename walk::Cell<T>::ElementType, T>;
  } else {
    return false;
  }
}
/// A type of coefficients that an array can have: numbers and plain records of them.
template <class T>
concept ArrayScalar = is_array_scalar<T>();

/// Names the matrix that is the whole content of an object of fixed size; specialise for classes that wrap one.
template <class T>
struct FixedMatrix {};
template <PlainDense T>
  requires(T::SizeAtCompileTime != Eigen::Dynamic && T::SizeAtCompileTime != 0)
struct FixedMatrix<T> {
  using type = T;
};
/// Fixed-size objects whose memory is that of their coefficients.
template <class T>
concept Packed = requires { typename FixedMatrix<T>::type; } && walk::is_cell<typename FixedMatrix<T>::type::Scalar> &&
                 sizeof(T) == FixedMatrix<T>::type::SizeAtCompileTime * sizeof(typename FixedMatrix<T>::type::Scalar);

}  // namespace eigen

/// Vectors and row-major matrices are items of a dense array.
template <eigen::Packed T>
struct walk::Cell<T> {
  using Matrix = typename eigen::FixedMatrix<T>::type;
  static constexpr bool is_cell =
      (Matrix::IsVectorAtCompileTime || Matrix::IsRowMajor) && !TraitVisited<T> && !is_custom_written<T>;
  using ElementType = typename Cell<typename Matrix::Scalar>::ElementType;
  static void extents(Shape& shape) {
    if constexpr (Matrix::IsVectorAtCompileTime) {
      shape.push_back(Matrix::SizeAtCompileTime);
    } else {
      shape.push_back(Matrix::RowsAtCompileTime);
      shape.push_back(Matrix::ColsAtCompileTime);
    }
    Cell<typename Matrix::Scalar>::extents(shape);
  }
};

/// A vector of column-major matrices: an array [n, rows, cols], transposed on the way.
template <eigen::Packed T, class Allocator>
  requires(!walk::is_cell<T> && !walk::is_custom_written<T> &&
           eigen::ArrayScalar<typename eigen::FixedMatrix<T>::type::Scalar>)
struct Visit<std::vector<T, Allocator>> {
  using built_in = std::vector<T, Allocator>;
  using Matrix = typename eigen::FixedMatrix<T>::type;
  using Scalar = typename Matrix::Scalar;
  static constexpr int rows = Matrix::RowsAtCompileTime;
  static constexpr int cols = Matrix::ColsAtCompileTime;

  static void write(OutVisitor& out, const std::vector<T, Allocator>& value) {
    ArrayView view(walk::dtype_of<Scalar>(), value.data(), Shape{value.size(), rows, cols}, Order::row_major);
    view.strides[1] = sizeof(Scalar);
    view.strides[2] = rows * sizeof(Scalar);
    out.array(view);
  }
  static void read(InVisitor& in, std::vector<T, Allocator>& value) {
    if (in.kind() == Kind::sequence) {
      walk::As<std::vector<T, Allocator>>::read(in, value);
      return;
    }
    walk::CellTarget<std::vector<T, Allocator>, T> target(value, std::nullopt);
    in.array(target);
    for (T& item : value) {
      using RowMajor = Eigen::Matrix<Scalar, rows, cols, Eigen::RowMajor>;
      const RowMajor turned = Eigen::Map<const RowMajor>(item.data());
      Eigen::Map<Eigen::Matrix<Scalar, rows, cols>>(item.data()) = turned;
    }
  }
};

}  // namespace stele

#pragma once
// as_eigen(): a stele::Array viewed as an Eigen::Map, without a copy.

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "stele/array.hpp"
#include "stele/eigen/dense.hpp"

namespace stele {

namespace eigen {

template <class T>
using ArrayMap = Eigen::Map<T, Eigen::Unaligned, Eigen::Stride<Eigen::Dynamic, Eigen::Dynamic>>;
template <class T>
using RowMatrix = Eigen::Matrix<std::remove_const_t<T>, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
template <class T>
using ColumnVector = Eigen::Matrix<std::remove_const_t<T>, Eigen::Dynamic, 1>;

template <class M, class Data, class T, std::size_t Rank>
auto map_array(Data* data, const Array<T, Rank>& array) {
  const auto index = [](auto n) { return static_cast<Eigen::Index>(n); };
  if constexpr (Rank == 1) {
    return Eigen::Map<M, Eigen::Unaligned, Eigen::InnerStride<>>(data, index(array.shape()[0]),
                                                                 Eigen::InnerStride<>(index(array.strides()[0])));
  } else {
    return ArrayMap<M>(data, index(array.shape()[0]), index(array.shape()[1]),
                       {index(array.strides()[0]), index(array.strides()[1])});
  }
}

template <class M, class Data, class T, std::size_t Rank>
Eigen::Map<M, Eigen::Unaligned, Eigen::OuterStride<>> map_dense(Data* data, const Array<T, Rank>& array) {
  static_assert(std::is_same_v<typename std::remove_const_t<M>::Scalar, std::remove_const_t<T>>,
                "stele: the map has another scalar than the array");
  const auto size = extents_of<std::remove_const_t<M>>.fit(Shape(array.shape()));
  if (!size) {
    fail(Errc::invalid_argument, message({"an array ", Shape(array.shape()).text(), " as a matrix ",
                                          extents_of<std::remove_const_t<M>>.text()}));
  }
  // Axes of an extent of 1 have a stride without meaning.
  const auto stride = [&](std::size_t axis, std::int64_t otherwise) {
    return axis < Rank && array.shape()[axis < Rank ? axis : 0] > 1 ? array.strides()[axis < Rank ? axis : 0]
                                                                    : otherwise;
  };
  const bool turned = M::IsVectorAtCompileTime && Rank == 2 && array.shape()[0] == 1;
  const std::size_t inner_axis = M::IsVectorAtCompileTime ? (turned ? 1 : 0) : (M::IsRowMajor ? 1 : 0);
  const std::int64_t inner = M::IsRowMajor ? (*size)[1] : (*size)[0];
  if (stride(inner_axis, 1) != 1) {
    fail(Errc::invalid_argument,
         "the elements of the array are not next to one another in the matrix's order; use "
         "as_eigen() without a type, or clone() it in that order");
  }
  const std::int64_t outer = M::IsVectorAtCompileTime ? inner : stride(1 - inner_axis, inner);
  return {data, (*size)[0], (*size)[1], Eigen::OuterStride<>(static_cast<Eigen::Index>(outer))};
}

}  // namespace eigen

/// The array as a matrix (Rank 2) or vector (Rank 1) over the same elements, with strides known at run time. The map is
/// valid as long as the array's buffer.
template <class T, std::size_t Rank>
  requires(Rank == 1 || Rank == 2)
auto as_eigen(const Array<T, Rank>& array) {
  using M = std::conditional_t<Rank == 1, eigen::ColumnVector<T>, eigen::RowMatrix<T>>;
  return eigen::map_array<const M>(array.data(), array);
}
template <class T, std::size_t Rank>
void as_eigen(const Array<T, Rank>&&) = delete;
/// The same, writable.
/// Throws: Error(read_only) if the buffer is a read-only mapping.
template <class T, std::size_t Rank>
  requires((Rank == 1 || Rank == 2) && !std::is_const_v<T>)
auto as_mutable_eigen(Array<T, Rank>& array) {
  using M = std::conditional_t<Rank == 1, eigen::ColumnVector<T>, eigen::RowMatrix<T>>;
  return eigen::map_array<M>(array.mutable_data(), array);
}

/// The array as an M, such as Eigen::MatrixXf, on which Eigen computes at full speed: as above, but the elements must
/// lie in the order of M.
/// Throws: Error(invalid_argument) if they do not, or if the shape does not fit.
template <eigen::PlainDense M, class T, std::size_t Rank>
  requires(Rank == 1 || Rank == 2)
auto as_eigen(const Array<T, Rank>& array) {
  return eigen::map_dense<const M>(array.data(), array);
}
template <eigen::PlainDense M, class T, std::size_t Rank>
void as_eigen(const Array<T, Rank>&&) = delete;
/// The same, writable.
/// Throws: as as_eigen(), and Error(read_only) if the buffer is a read-only mapping.
template <eigen::PlainDense M, class T, std::size_t Rank>
  requires((Rank == 1 || Rank == 2) && !std::is_const_v<T>)
auto as_mutable_eigen(Array<T, Rank>& array) {
  return eigen::map_dense<M>(array.mutable_data(), array);
}

}  // namespace stele

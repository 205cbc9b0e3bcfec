#pragma once
// Eigen's tensors, from <unsupported/Eigen/CXX11/Tensor>, which the user includes. They are known by their interface.

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>

#include "stele/eigen/dense.hpp"

namespace stele {

namespace eigen {

/// Tensor, TensorFixedSize and TensorMap; not expressions, which have no memory.
template <class T>
concept TensorLike = requires(const T& tensor) {
  typename T::Scalar;
  typename T::Index;
  typename T::Dimensions;
  { T::NumIndices + 0 } -> std::integral;
  { T::Layout + 0 } -> std::integral;
  { tensor.dimension(0) } -> std::integral;
  { tensor.data() } -> std::convertible_to<const typename T::Scalar*>;
};
/// One whose extents can change.
template <class T>
concept ResizableTensor =
    TensorLike<T> && requires(T& tensor, const typename T::Dimensions& dimensions) { tensor.resize(dimensions); };

template <TensorLike T>
inline constexpr auto tensor_rank = static_cast<unsigned>(T::NumIndices);  // converts to any index
template <TensorLike T>
inline constexpr Order tensor_order =
    static_cast<int>(T::Layout) == static_cast<int>(Eigen::RowMajor) ? Order::row_major : Order::column_major;

template <TensorLike T>
Shape tensor_shape(const T& tensor) {
  Shape shape;
  for (unsigned axis = 0; axis < tensor_rank<T>; ++axis) {
    shape.push_back(static_cast<std::uint64_t>(tensor.dimension(axis)));
  }
  return shape;
}

template <TensorLike T>
class TensorTarget final : public PlacedTarget {
 public:
  TensorTarget(InVisitor& in, T& tensor)
      : PlacedTarget(in, walk::dtype_of<typename T::Scalar>(), tensor_order<T>, !ResizableTensor<T>), tensor_(tensor) {}
  bool accepts(const ArrayHeader& stored) override {
    bool fits = stored.shape.rank() == tensor_rank<T>;
    for (unsigned axis = 0; fits && axis < tensor_rank<T>; ++axis) {
      fits = extent(axis).fits(stored.shape[axis]);
    }
    return fits;
  }
  std::string expected() const override {
    std::string text = "[";
    for (unsigned axis = 0; axis < tensor_rank<T>; ++axis) {
      text.append(axis == 0 ? "" : ", ").append(extent(axis).text());
    }
    return text + "]";
  }

 private:
  Extent extent(unsigned axis) const {
    if constexpr (ResizableTensor<T>) {
      (void)axis;
      return {static_cast<std::uint64_t>(std::numeric_limits<typename T::Index>::max()), false};
    } else {
      return {static_cast<std::uint64_t>(tensor_.dimension(axis)), true};
    }
  }
  std::byte* place(const ArrayHeader& stored) override {
    if constexpr (ResizableTensor<T>) {
      typename T::Dimensions dimensions;
      for (unsigned axis = 0; axis < tensor_rank<T>; ++axis) {
        dimensions[axis] = static_cast<typename T::Index>(stored.shape[axis]);
      }
      tensor_.resize(dimensions);
    }
    return reinterpret_cast<std::byte*>(tensor_.data());
  }
  T& tensor_;
};

}  // namespace eigen

template <eigen::TensorLike T>
struct Visit<T> {
  using built_in = T;
  using Scalar = typename T::Scalar;
  static_assert(eigen::ArrayScalar<Scalar>, "stele: the coefficients of a tensor are numbers or records of numbers");

  static constexpr void add_form(walk::Form& form) {
    walk::add_form<Scalar>(form);
    form += '[';
    for (int i = 1; i < T::NumDimensions; ++i) {
      form += ',';
    }
    form += ']';
  }
  static void write(OutVisitor& out, const T& value) {
    out.array(ArrayView(walk::dtype_of<Scalar>(), value.data(), eigen::tensor_shape(value), eigen::tensor_order<T>));
  }
  static void read(InVisitor& in, T& value) {
    static_assert(!std::is_const_v<std::remove_pointer_t<decltype(value.data())>>,
                  "stele: a map of a const tensor cannot be read into");
    eigen::TensorTarget<T> target(in, value);
    in.array(target);
  }
};

}  // namespace stele

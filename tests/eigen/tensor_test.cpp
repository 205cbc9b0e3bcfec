#include "stele/eigen.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <sstream>

#include <unsupported/Eigen/CXX11/Tensor>

#include "eigen/support.hpp"

namespace stele::test {
namespace {

struct Volume {
  int id = 0;
  Eigen::Tensor<float, 3> voxels;
};

TEST(EigenTensor, IsAMemberLikeAnyOther) {
  Volume volume{3, Eigen::Tensor<float, 3>(2, 2, 2)};
  volume.voxels.setRandom();
  EXPECT_EQ(round_trip(volume).voxels(1, 0, 1), volume.voxels(1, 0, 1));
}

template <class T>
bool equal(const T& a, const T& b) {
  return a.dimensions() == b.dimensions() && std::equal(a.data(), a.data() + a.size(), b.data());
}

TEST(EigenTensor, TensorsComeBack) {
  Eigen::Tensor<float, 3> columns(2, 3, 4);
  columns.setRandom();
  Eigen::Tensor<float, 3, Eigen::RowMajor> rows(2, 3, 4);
  rows = columns.swap_layout().shuffle(std::array<int, 3>{2, 1, 0});
  EXPECT_TRUE(equal(round_trip(columns), columns));
  EXPECT_TRUE(equal(round_trip(rows), rows));
  EXPECT_EQ(stored(columns).order, Order::column_major);
  EXPECT_EQ(stored(rows).order, Order::row_major);
  EXPECT_EQ(stored(rows).shape, (Shape{2, 3, 4}));
  const auto turned = reread<Eigen::Tensor<float, 3, Eigen::RowMajor>>(columns);
  EXPECT_EQ(turned(1, 2, 3), columns(1, 2, 3));
  EXPECT_TRUE(equal(turned, rows));

  Eigen::Tensor<std::int64_t, 0> scalar;
  scalar() = 5;
  EXPECT_EQ(round_trip(scalar)(), 5);
  Eigen::TensorFixedSize<double, Eigen::Sizes<2, 2>> fixed;
  fixed.setRandom();
  EXPECT_EQ(round_trip(fixed)(1, 0), fixed(1, 0));
  EXPECT_TRUE((round_trip(Eigen::Tensor<double, 2>(0, 3)).dimension(1) == 3));
}

TEST(EigenTensor, LargeTensorsComeFromAStream) {
  Eigen::Tensor<double, 2> value(1000, 2000);
  value.setRandom();
  std::stringstream stream;
  save(stream, value);
  EXPECT_TRUE(equal((load<Eigen::Tensor<double, 2>>(stream)), value));
}

TEST(EigenTensor, TensorMapsAreWrittenAndRead) {
  Eigen::Tensor<float, 2> value(3, 4);
  value.setRandom();
  const Eigen::TensorMap<const Eigen::Tensor<float, 2>> view(value.data(), 3, 4);
  EXPECT_TRUE(equal(reread<Eigen::Tensor<float, 2>>(view), value));
  Eigen::Tensor<float, 2> target(3, 4);
  read_into_view(to_bytes(value), Eigen::TensorMap<Eigen::Tensor<float, 2>>(target));
  EXPECT_TRUE(equal(target, value));
  Eigen::Tensor<float, 2> other(4, 3);
  const Error error =
      error_of([&] { read_into_view(to_bytes(value), Eigen::TensorMap<Eigen::Tensor<float, 2>>(other)); });
  EXPECT_EQ(error.message(), "expected float32[4, 3], found float32[3, 4]");
  EXPECT_EQ((conversion_error<Eigen::Tensor<float, 3>>(value).message()),
            "expected float32[?, ?, ?], found float32[3, 4]");
}

}  // namespace
}  // namespace stele::test

// Eigen types as items of an array: scalars, and matrices of fixed size.

#include "stele/eigen.hpp"

#include <gtest/gtest.h>

#include <array>
#include <deque>
#include <vector>

#include "eigen/support.hpp"

namespace stele::test {
namespace {

TEST(EigenFixed, HalvesAreNumbersOfTheirOwn) {
  EXPECT_TRUE(same(round_trip(Eigen::half(1.5F)), Eigen::half(1.5F)));
  EXPECT_TRUE(same(round_trip(Eigen::bfloat16(1.5F)), Eigen::bfloat16(1.5F)));
}

TEST(EigenFixed, VectorsOfFixedVectorsAreOneArray) {
  const std::vector<Eigen::Vector3f> points{{1, 2, 3}, {4, 5, 6}};
  EXPECT_EQ(stored(points).shape, (Shape{2, 3}));
  EXPECT_TRUE(same(round_trip(points), points));
  EXPECT_TRUE(same(reread<RowMatrixXd>(points), (RowMatrixXd(2, 3) << 1, 2, 3, 4, 5, 6).finished()));
  EXPECT_TRUE(same(reread<std::vector<Eigen::Vector3f>>(rising<Eigen::MatrixXf>(2, 3)), points));
  const std::deque<Eigen::Vector3f> items(points.begin(), points.end());
  EXPECT_TRUE(same(reread<std::vector<Eigen::Vector3f>>(items), points));
  EXPECT_EQ(conversion_error<std::vector<Eigen::Vector2f>>(points).message(),
            "expected float32[?, 2], found float32[2, 3]");
  const std::array<Eigen::Vector2d, 3> fixed{Eigen::Vector2d(1, 2), Eigen::Vector2d(3, 4), Eigen::Vector2d(5, 6)};
  EXPECT_EQ(stored(fixed).shape, (Shape{3, 2}));
  EXPECT_TRUE(same(round_trip(fixed), fixed));
}

TEST(EigenFixed, VectorsOfFixedMatricesAreOneArray) {
  using Rows = Eigen::Matrix<float, 2, 3, Eigen::RowMajor>;
  using Columns = Eigen::Matrix<float, 2, 3>;
  const std::vector<Rows> rows{rising<Rows>(2, 3), 2 * rising<Rows>(2, 3)};
  const std::vector<Columns> columns{rising<Columns>(2, 3), 2 * rising<Columns>(2, 3)};
  EXPECT_EQ(stored(rows).shape, (Shape{2, 2, 3}));
  EXPECT_EQ(stored(columns).shape, (Shape{2, 2, 3}));
  EXPECT_TRUE(same(round_trip(rows), rows));
  EXPECT_TRUE(same(round_trip(columns), columns));
  EXPECT_TRUE(same(reread<std::vector<Columns>>(rows), columns));
  EXPECT_EQ(to_bytes(rows), to_bytes(columns));
  EXPECT_TRUE(same(reread<std::vector<Columns>>(std::deque<Columns>(columns.begin(), columns.end())), columns));
  EXPECT_TRUE(round_trip(std::vector<Eigen::Matrix4d>()).empty());
  EXPECT_EQ(conversion_error<std::vector<Eigen::Matrix2f>>(columns).message(),
            "expected float32[?, 2, 2], found float32[2, 2, 3]");
}

}  // namespace
}  // namespace stele::test

// as_eigen(): a stele::Array as an Eigen::Map.

#include "stele/eigen.hpp"

#include <gtest/gtest.h>

#include <utility>

#include "eigen/support.hpp"

namespace stele::test {
namespace {

TEST(EigenMap, ArraysAreSeenAsMatrices) {
  Array<float, 2> rows({2, 3});
  as_mutable_eigen(rows) = rising<Eigen::MatrixXf>(2, 3);
  EXPECT_EQ(rows(1, 0), 4);
  EXPECT_TRUE(same(as_eigen(rows), rising<Eigen::MatrixXf>(2, 3)));
  const auto turned = rows.transposed();
  EXPECT_TRUE(same(as_eigen(turned), rising<Eigen::MatrixXf>(2, 3).transpose()));
  Array<double> vector({3});
  as_mutable_eigen(vector) << 1, 2, 3;
  EXPECT_EQ(vector[2], 3);
  const auto columns = reread<Array<float, 2>>(rising<Eigen::MatrixXf>(4, 5));
  EXPECT_TRUE(same(as_eigen(columns), rising<Eigen::MatrixXf>(4, 5)));
  const auto takes = [](auto&& array) { return requires { as_eigen(std::forward<decltype(array)>(array)); }; };
  EXPECT_TRUE(takes(rows));
  EXPECT_FALSE(takes(Array<float, 2>()));
}

TEST(EigenMap, AMatrixOverAReadOnlyArrayCannotBeWritten) {
  const auto memory = counting<float, 2>({3, 4});
  const auto buffer = Buffer::wrap(memory.buffer()->mutable_data(), memory.buffer()->size(), false, memory.buffer());
  Array<float, 2> rows(buffer, memory.data(), memory.shape(), memory.strides());
  EXPECT_EQ(as_eigen(rows)(2, 3), 11);
  EXPECT_EQ((as_eigen<Eigen::Matrix<float, Dynamic, Dynamic, Eigen::RowMajor>>(rows)(2, 3)), 11);
  EXPECT_EQ(error_of([&] { (void)as_mutable_eigen(rows); }).code(), Errc::read_only);
  EXPECT_EQ(
      error_of([&] { (void)as_mutable_eigen<Eigen::Matrix<float, Dynamic, Dynamic, Eigen::RowMajor>>(rows); }).code(),
      Errc::read_only);
  const auto writes = [](auto& array) { return requires { as_eigen(array)(0, 0) = 1.0F; }; };
  EXPECT_FALSE(writes(rows));
}

TEST(EigenMap, ArraysInTheMatrixOrderAreSeenAsThatMatrix) {
  const auto m = rising<Eigen::MatrixXf>(4, 5);
  auto columns = reread<Array<float, 2>>(m);
  EXPECT_TRUE(same(as_eigen<Eigen::MatrixXf>(columns), m));
  EXPECT_TRUE(same((as_eigen<Eigen::Matrix<float, 4, Dynamic>>(columns)), m));
  as_mutable_eigen<Eigen::MatrixXf>(columns) *= 2;
  EXPECT_TRUE(same(as_eigen<Eigen::MatrixXf>(columns), 2 * m));
  const auto rows = columns.clone();
  EXPECT_TRUE(same((as_eigen<Eigen::Matrix<float, Dynamic, Dynamic, Eigen::RowMajor>>(rows)), 2 * m));
  const auto slice = rows.slice(1, 3);
  EXPECT_TRUE(same((as_eigen<Eigen::Matrix<float, Dynamic, Dynamic, Eigen::RowMajor>>(slice)), 2 * m.middleRows(1, 2)));
  EXPECT_EQ(error_of([&] { as_eigen<Eigen::MatrixXf>(rows); }).code(), Errc::invalid_argument);
  EXPECT_EQ(error_of([&] { as_eigen<Eigen::Matrix3Xf>(columns); }).code(), Errc::invalid_argument);
  const auto vector = reread<Array<float, 1>>(Eigen::Vector3f(1, 2, 3));
  EXPECT_TRUE(same(as_eigen<Eigen::VectorXf>(vector), Eigen::Vector3f(1, 2, 3)));
  EXPECT_TRUE(same(as_eigen<Eigen::MatrixXf>(vector), Eigen::Vector3f(1, 2, 3)));
  EXPECT_TRUE(same(as_eigen<Eigen::RowVectorXf>(vector), Eigen::RowVector3f(1, 2, 3)));
}

}  // namespace
}  // namespace stele::test

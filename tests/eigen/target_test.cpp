// Reading arrays into memory that Eigen allocates: which shapes a type takes, and data of unknown length.

#include "stele/eigen.hpp"

#include <gtest/gtest.h>

#include <sstream>
#include <string>

#include "eigen/support.hpp"

namespace stele::test {
namespace {

template <class M>
class EigenLarge : public testing::Test {};
using LargeTypes =
    testing::Types<Eigen::MatrixXf, RowMatrixXd, Matrix3Xd, MatrixX3f,
                   Eigen::Matrix<float, 3, Dynamic, Eigen::RowMajor>, Eigen::Matrix<float, Dynamic, 3, Eigen::RowMajor>,
                   Eigen::Matrix<float, Dynamic, Dynamic, Eigen::ColMajor, 3, 100>,
                   Eigen::Matrix<float, Dynamic, Dynamic, Eigen::RowMajor, 3, Dynamic>,
                   Eigen::Matrix<float, Dynamic, Dynamic, Eigen::ColMajor, 3, Dynamic>, Eigen::MatrixXcd>;
TYPED_TEST_SUITE(EigenLarge, LargeTypes);

TYPED_TEST(EigenLarge, GrowsWithDataOfUnknownLength) {
  constexpr Eigen::Index rows = TypeParam::MaxRowsAtCompileTime == 3   ? 3
                                : TypeParam::MaxColsAtCompileTime == 3 ? 500'000
                                                                       : 3'000;
  constexpr Eigen::Index cols = TypeParam::MaxColsAtCompileTime > 0 ? TypeParam::MaxColsAtCompileTime
                                : rows == 3                         ? 500'000
                                                                    : 501;
  const auto value = rising<TypeParam>(rows, cols);
  std::stringstream stream;
  save(stream, value);
  EXPECT_TRUE(same(load<TypeParam>(stream), value));
}

TEST(EigenTarget, LongVectorsComeFromAStream) {
  const Eigen::VectorXd value = Eigen::VectorXd::LinSpaced(3'000'000, 0, 1);
  std::stringstream stream;
  save(stream, value);
  EXPECT_TRUE(same(load<Eigen::VectorXd>(stream), value));
}

TEST(EigenTarget, ATruncatedStreamIsAnError) {
  std::stringstream stream;
  save(stream, Eigen::MatrixXd(Eigen::MatrixXd::Ones(1000, 3000)));
  std::stringstream half(stream.str().substr(0, 10'000'000));
  EXPECT_EQ(error_of([&] { load<Eigen::MatrixXd>(half); }).code(), Errc::truncated);
  std::stringstream again(stream.str().substr(0, 10'000'000));
  EXPECT_EQ(error_of([&] { load<RowMatrixXd>(again); }).code(), Errc::truncated);
}

TEST(EigenTarget, WrongShapesAreRefused) {
  const auto m = rising<Eigen::MatrixXf>(3, 4);
  EXPECT_EQ(conversion_error<Eigen::VectorXf>(m).message(), "expected float32[?], found float32[3, 4]");
  EXPECT_EQ(conversion_error<Eigen::Vector3f>(Eigen::VectorXf(4)).message(), "expected float32[3], found float32[4]");
  EXPECT_EQ(conversion_error<Eigen::RowVector3f>(Eigen::VectorXf(4)).message(),
            "expected float32[3], found float32[4]");
  EXPECT_EQ(conversion_error<Eigen::Matrix2f>(m).message(), "expected float32[2, 2], found float32[3, 4]");
  EXPECT_EQ(conversion_error<Eigen::MatrixXi>(m).message(), "expected int32[?, ?], found float32[3, 4]");
  EXPECT_EQ((conversion_error<Eigen::Matrix<float, Dynamic, Dynamic, 0, 2, 9>>(m).message()),
            "expected float32[<=2, <=9], found float32[3, 4]");
  EXPECT_EQ(conversion_error<MatrixX3f>(Eigen::VectorXf(4)).message(), "expected float32[?, 3], found float32[4]");
  EXPECT_EQ(conversion_error<Eigen::MatrixXf>(Array<float, 3>({1, 2, 3})).message(),
            "expected float32[?, ?], found float32[1, 2, 3]");
  EXPECT_EQ(conversion_error<Eigen::MatrixXf>(std::string("text")).code(), Errc::type_mismatch);
}

TEST(EigenTarget, BoundedMatricesTakeWhatFits) {
  using Bounded = Eigen::Matrix<float, Dynamic, Dynamic, Eigen::ColMajor, 4, 4>;
  const auto m = rising<Eigen::MatrixXf>(3, 4);
  EXPECT_TRUE(same(reread<Bounded>(m), m));
  EXPECT_EQ(conversion_error<Bounded>(rising<Eigen::MatrixXf>(3, 5)).code(), Errc::type_mismatch);
}

}  // namespace
}  // namespace stele::test

#include "stele/eigen.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "eigen/support.hpp"

namespace stele::test {
namespace {

// --- Dense -----------------------------------------------------------------------------------------------------------

template <class M>
class EigenDense : public testing::Test {};
using DenseTypes =
    testing::Types<Eigen::MatrixXd, RowMatrixXd, Matrix3Xd, Eigen::ArrayXXi, Eigen::MatrixXcf, Eigen::MatrixXcd,
                   Eigen::Matrix<Eigen::half, Dynamic, Dynamic>, Eigen::Matrix<Eigen::bfloat16, Dynamic, Dynamic>,
                   Eigen::Matrix<bool, Dynamic, Dynamic>, Eigen::Matrix<std::uint8_t, Dynamic, Dynamic>,
                   Eigen::Matrix<long double, Dynamic, Dynamic>>;
TYPED_TEST_SUITE(EigenDense, DenseTypes);

TYPED_TEST(EigenDense, ComesBackAsItWas) {
  const auto value = rising<TypeParam>(3, 3);
  const auto bytes = to_bytes(value);
  EXPECT_TRUE(same(from_bytes<TypeParam>(bytes), value));
  auto replaced = rising<TypeParam>(3, 3);
  replaced.setZero();
  Reader reader{Bytes(bytes)};
  reader.read_into(replaced);
  EXPECT_TRUE(same(replaced, value));
}

TEST(Eigen, FixedSizeMatricesComeBack) {
  EXPECT_TRUE(same(round_trip(rising<Eigen::Matrix3f>(3, 3)), rising<Eigen::Matrix3f>(3, 3)));
  EXPECT_TRUE(same((round_trip(rising<Eigen::Matrix<int, 2, 5, Eigen::RowMajor>>(2, 5))),
                   (rising<Eigen::Matrix<int, 2, 5, Eigen::RowMajor>>(2, 5))));
  EXPECT_TRUE(same(round_trip(Eigen::Vector4d(1, 2, 3, 4)), Eigen::Vector4d(1, 2, 3, 4)));
  EXPECT_TRUE(same((round_trip(Eigen::Matrix<double, 1, 1>(7))), (Eigen::Matrix<double, 1, 1>(7))));
}

TEST(Eigen, VectorsComeBackAsArraysOfRankOne) {
  const Eigen::VectorXf column = Eigen::VectorXf::LinSpaced(5, 0, 4);
  const Eigen::RowVectorXd row = Eigen::RowVectorXd::LinSpaced(7, 0, 6);
  EXPECT_TRUE(same(round_trip(column), column));
  EXPECT_TRUE(same(round_trip(row), row));
  EXPECT_EQ(stored(column).shape, Shape{5});
  EXPECT_EQ(stored(row).shape, Shape{7});
  EXPECT_TRUE(same(reread<std::vector<float>>(column), (std::vector<float>{0, 1, 2, 3, 4})));
  EXPECT_TRUE(same(reread<Eigen::VectorXf>(std::vector<float>{1, 2}), Eigen::Vector2f(1, 2)));
}

TEST(Eigen, CompressedMatricesComeBack) {
  const Eigen::MatrixXf value = Eigen::MatrixXf::Constant(2000, 3000, 1.5F);
  EXPECT_TRUE(same(from_bytes<Eigen::MatrixXf>(to_bytes(value, {.codec = "gzip"})), value));
}

TEST(Eigen, MatricesAreStoredAsTheyLieInMemory) {
  const ArrayHeader column = stored(rising<Eigen::MatrixXf>(3, 4));
  EXPECT_EQ(column.dtype, DType(DType::Kind::float32));
  EXPECT_EQ(column.shape, (Shape{3, 4}));
  EXPECT_EQ(column.order, Order::column_major);
  const ArrayHeader row = stored(rising<RowMatrixXd>(3, 4));
  EXPECT_EQ(row.shape, (Shape{3, 4}));
  EXPECT_EQ(row.order, Order::row_major);
  EXPECT_EQ(stored(Eigen::Matrix<Eigen::half, 2, 2>()).dtype, DType(DType::Kind::float16));
  EXPECT_EQ(stored(Eigen::Matrix<Eigen::bfloat16, 2, 2>()).dtype, DType(DType::Kind::bfloat16));
  EXPECT_EQ(stored(Eigen::Matrix<bool, 2, 2>(Eigen::Matrix<bool, 2, 2>::Ones())).dtype, DType(DType::Kind::boolean));
  EXPECT_EQ(stored(Eigen::MatrixXcd(Eigen::MatrixXcd::Zero(2, 2))).dtype, DType(DType::Kind::complex128));
}

TEST(Eigen, StorageOrdersAndSizesConvert) {
  const auto value = rising<Eigen::MatrixXd>(3, 5);
  EXPECT_TRUE(same(reread<RowMatrixXd>(value), value));
  EXPECT_TRUE(same(reread<Eigen::MatrixXd>(RowMatrixXd(value)), value));
  EXPECT_TRUE(same(reread<Matrix3Xd>(value), value));
  EXPECT_TRUE(same((reread<Eigen::Matrix<double, 3, 5>>(value)), value));
  EXPECT_TRUE(same(reread<Eigen::ArrayXXd>(value).matrix(), value));
  EXPECT_TRUE(same(reread<Eigen::MatrixXd>(rising<Eigen::MatrixXf>(3, 5)), value));
}

TEST(Eigen, VectorsAndMatricesOfOneColumnConvert) {
  const Eigen::VectorXd column = Eigen::VectorXd::LinSpaced(4, 1, 4);
  EXPECT_TRUE(same(reread<Eigen::MatrixXd>(column), column));
  EXPECT_TRUE(same(reread<Eigen::RowVectorXd>(column), column.transpose()));
  EXPECT_TRUE(same(reread<Eigen::VectorXd>(Eigen::MatrixXd(column)), column));
  EXPECT_TRUE(same(reread<Eigen::VectorXd>(Eigen::MatrixXd(column.transpose())), column));
  EXPECT_TRUE(same(reread<RowMatrixXd>(Eigen::MatrixXd(column.transpose())), column.transpose()));
  EXPECT_EQ(reread<Eigen::RowVectorXd>(Eigen::MatrixXd(1, 0)).size(), 0);
}

TEST(Eigen, EmptyMatricesKeepTheirSize) {
  const auto loaded = round_trip(Eigen::MatrixXf(0, 5));
  EXPECT_EQ(loaded.rows(), 0);
  EXPECT_EQ(loaded.cols(), 5);
  EXPECT_EQ(round_trip(Eigen::MatrixXd(4, 0)).rows(), 4);
  EXPECT_EQ(round_trip(Eigen::VectorXf()).size(), 0);
  EXPECT_EQ(round_trip(Matrix3Xd(3, 0)).cols(), 0);
  EXPECT_EQ((round_trip(Eigen::Matrix<long double, Dynamic, Dynamic>(0, 5)).cols()), 5);
  Eigen::MatrixXf old = Eigen::MatrixXf::Ones(3, 3);
  const auto bytes = to_bytes(Eigen::MatrixXf());
  Reader reader{Bytes(bytes)};
  reader.read_into(old);
  EXPECT_EQ(old.size(), 0);
}

TEST(Eigen, SpecialNumbersKeepTheirBits) {
  Eigen::Matrix<Eigen::half, 3, 1> halves(Eigen::half(1.5F), Eigen::half(-0.0F), Eigen::half(65504.0F));
  EXPECT_TRUE(same(round_trip(halves), halves));
  Eigen::VectorXd value(3);
  value << std::numeric_limits<double>::infinity(), -0.0, std::numeric_limits<double>::denorm_min();
  const auto loaded = round_trip(value);
  EXPECT_TRUE(same(loaded, value));
  EXPECT_TRUE(std::signbit(loaded(1)));
}

TEST(Eigen, VectorsTakeSequencesOfNumbers) {
  const std::deque<int> items{1, 2, 3};
  EXPECT_TRUE(same(reread<Eigen::VectorXd>(items), Eigen::Vector3d(1, 2, 3)));
  EXPECT_TRUE(same(reread<Eigen::RowVector3i>(items), Eigen::RowVector3i(1, 2, 3)));
  using Bools = Eigen::Matrix<bool, Dynamic, 1>;
  EXPECT_TRUE(same(reread<Bools>(std::deque<bool>{true, false}).cast<int>(), Eigen::Vector2i(1, 0)));
  EXPECT_EQ(conversion_error<Eigen::Vector2d>(items).message(), "expected [2], found [3]");
}

// --- Views and expressions -------------------------------------------------------------------------------------------

TEST(Eigen, ViewsAreWrittenWithTheirStrides) {
  const auto m = rising<Eigen::MatrixXd>(6, 8);
  EXPECT_TRUE(same(reread<Eigen::MatrixXd>(m.block(1, 2, 3, 4)), m.block(1, 2, 3, 4)));
  EXPECT_TRUE(same(reread<Eigen::RowVectorXd>(m.row(2)), m.row(2)));
  EXPECT_TRUE(same(reread<Eigen::VectorXd>(m.col(2)), m.col(2)));
  EXPECT_TRUE(same(reread<Eigen::VectorXd>(m.col(2).segment(1, 3)), m.col(2).segment(1, 3)));
  EXPECT_TRUE(same(reread<Eigen::VectorXd>(m.diagonal()), m.diagonal()));
  EXPECT_TRUE(same(reread<Eigen::MatrixXd>(m.transpose()), m.transpose()));
  EXPECT_TRUE(same(reread<Eigen::MatrixXd>(m.array()), m));
  EXPECT_TRUE(same(reread<Eigen::MatrixXd>(m.transpose().bottomRows(2)), m.transpose().bottomRows(2)));
  const Eigen::Ref<const Eigen::MatrixXd> ref = m.leftCols(3);
  EXPECT_TRUE(same(reread<Eigen::MatrixXd>(ref), m.leftCols(3)));
  EXPECT_EQ(stored(m.transpose()).order, Order::row_major);
}

TEST(Eigen, MapsAreWrittenWithTheirStrides) {
  const Eigen::VectorXf data = Eigen::VectorXf::LinSpaced(60, 0, 59);
  using Strides = Eigen::Stride<Dynamic, Dynamic>;
  const Eigen::Map<const Eigen::MatrixXf, 0, Strides> map(data.data(), 4, 3, Strides(15, 2));
  EXPECT_TRUE(same(reread<Eigen::MatrixXf>(map), map));
  const Eigen::Map<const Eigen::VectorXf, 0, Eigen::InnerStride<>> spread(data.data(), 20, Eigen::InnerStride<>(3));
  EXPECT_TRUE(same(reread<Eigen::VectorXf>(spread), spread));
  const Eigen::Map<const Eigen::Matrix<float, 3, Dynamic, Eigen::RowMajor>> rows(data.data(), 3, 20);
  EXPECT_TRUE(same(reread<Eigen::MatrixXf>(rows), rows));
}

TEST(Eigen, ExpressionsAreWrittenAsTheirValue) {
  const auto m = rising<Eigen::MatrixXd>(3, 3);
  const Eigen::MatrixXd sum = 2 * m + Eigen::MatrixXd::Identity(3, 3);
  EXPECT_TRUE(same(reread<Eigen::MatrixXd>(2 * m + Eigen::MatrixXd::Identity(3, 3)), sum));
  EXPECT_TRUE(same(reread<Eigen::MatrixXd>(m * m), (m * m).eval()));
  EXPECT_TRUE(same(reread<Eigen::Vector3f>(Eigen::Vector3f::Ones()), Eigen::Vector3f::Ones()));
  EXPECT_TRUE(same(reread<Eigen::MatrixXd>(m.rowwise().reverse()), m.rowwise().reverse()));
  const Eigen::MatrixXcd z = Eigen::MatrixXcd::Random(3, 4);
  EXPECT_TRUE(same(reread<Eigen::MatrixXd>(z.real()), z.real()));
}

TEST(Eigen, ViewsOfTheSameShapeCanBeReadInto) {
  const auto value = rising<Eigen::MatrixXd>(3, 4);
  const auto bytes = to_bytes(value);
  Eigen::MatrixXd m = Eigen::MatrixXd::Zero(6, 8);
  read_into_view(bytes, m.block(1, 2, 3, 4));
  EXPECT_TRUE(same(m.block(1, 2, 3, 4), value));
  EXPECT_EQ(m.sum(), value.sum());
  m.setZero();
  read_into_view(bytes, m.block(1, 2, 4, 3).transpose());
  EXPECT_TRUE(same(m.block(1, 2, 4, 3), value.transpose()));

  Eigen::VectorXd data = Eigen::VectorXd::Zero(30);
  read_into_view(bytes, Eigen::Map<Eigen::MatrixXd>(data.data(), 3, 4));
  EXPECT_TRUE(same(Eigen::Map<Eigen::MatrixXd>(data.data(), 3, 4), value));
  read_into_view(bytes, Eigen::Map<RowMatrixXd>(data.data(), 3, 4));
  EXPECT_TRUE(same(Eigen::Map<RowMatrixXd>(data.data(), 3, 4), value));
  Eigen::MatrixXd target(3, 4);
  read_into_view(bytes, Eigen::Ref<Eigen::MatrixXd>(target));
  EXPECT_TRUE(same(target, value));
  read_into_view(to_bytes(Eigen::Vector4d(1, 2, 3, 4)), target.row(1));
  EXPECT_TRUE(same(target.row(1), Eigen::RowVector4d(1, 2, 3, 4)));
  EXPECT_TRUE(same(target.row(2), value.row(2)));
  read_into_view(to_bytes(Eigen::Vector2d(8, 9)), target.col(0).head<2>());
  EXPECT_EQ(target(1, 0), 9);
}

TEST(Eigen, ViewsOfAnotherShapeAreRefused) {
  const auto bytes = to_bytes(rising<Eigen::MatrixXd>(3, 4));
  Eigen::MatrixXd m = Eigen::MatrixXd::Zero(6, 8);
  const Error error = error_of([&] { read_into_view(bytes, m.block(0, 0, 4, 3)); });
  EXPECT_EQ(error.code(), Errc::type_mismatch);
  EXPECT_EQ(error.message(), "expected float64[4, 3], found float64[3, 4]");
  EXPECT_EQ(m.norm(), 0);
}

// --- Wrong shapes ----------------------------------------------------------------------------------------------------

struct Layer {
  std::string name;
  Eigen::MatrixXf weights;
  Eigen::VectorXf bias;
};
struct Model {
  std::vector<Layer> layers;
  int epoch = 0;
};
struct FixedLayer {
  std::string name;
  Eigen::Matrix<float, 3, Dynamic> weights;
  Eigen::Vector3f bias;
};
struct FixedModel {
  std::vector<FixedLayer> layers;
};

TEST(Eigen, AWrongShapeIsAnErrorWithPathAndBothShapes) {
  const Model model{{{"a", rising<Eigen::MatrixXf>(3, 2), Eigen::Vector3f(1, 2, 3)},
                     {"b", rising<Eigen::MatrixXf>(4, 2), Eigen::Vector3f(1, 2, 3)}}};
  const Error error = conversion_error<FixedModel>(model);
  EXPECT_EQ(error.code(), Errc::type_mismatch);
  EXPECT_EQ(error.path(), "layers/1/weights");
  EXPECT_EQ(error.message(), "expected float32[3, ?], found float32[4, 2]");
  EXPECT_TRUE(error.offset().has_value());
}

struct StoredCoefficients {
  std::uint64_t rows, cols;
  std::vector<long double> values;
};

TEST(Eigen, MatricesOfOtherScalarsMustBeWhole) {
  using M = Eigen::Matrix<long double, Dynamic, Dynamic>;
  const M loaded = reread<M>(StoredCoefficients{2, 1, {1.0L, 2.0L}});
  EXPECT_EQ(loaded(1, 0), 2.0L);
  EXPECT_EQ(conversion_error<M>(StoredCoefficients{2, 2, {1.0L}}).code(), Errc::damaged);
  EXPECT_EQ(conversion_error<M>(StoredCoefficients{std::uint64_t{1} << 63, 2, {}}).code(), Errc::damaged);
  EXPECT_EQ((conversion_error<Eigen::Matrix<long double, 2, 2>>(StoredCoefficients{1, 1, {1.0L}}).message()),
            "expected [2, 2], found [1, 1]");
}

// --- In structs and containers ---------------------------------------------------------------------------------------

struct Everything {
  Eigen::MatrixXf dynamic = Eigen::MatrixXf::Random(2, 3);
  Eigen::Matrix3d fixed = Eigen::Matrix3d::Random();
  Eigen::VectorXd vector = Eigen::VectorXd::Random(4);
  Eigen::ArrayXXi array = Eigen::ArrayXXi::Constant(2, 2, 7);
  Eigen::Vector2f small = Eigen::Vector2f::Random();
  Eigen::SparseMatrix<double> sparse{2, 2};
  std::optional<Eigen::VectorXf> maybe = Eigen::VectorXf(Eigen::VectorXf::Random(3));
  std::pair<Eigen::Vector3f, int> pair{Eigen::Vector3f::Random(), 4};
  int last = 0;
};

TEST(Eigen, StructsWithEigenMembersNeedNoCode) {
  const Model model{{{"a", Eigen::MatrixXf::Random(3, 2), Eigen::VectorXf::Random(3)},
                     {"b", Eigen::MatrixXf::Random(40, 200), Eigen::VectorXf::Random(40)}},
                    7};
  const Model loaded = round_trip(model);
  ASSERT_EQ(loaded.layers.size(), 2U);
  EXPECT_EQ(loaded.epoch, 7);
  EXPECT_EQ(loaded.layers[1].name, "b");
  EXPECT_TRUE(same(loaded.layers[1].weights, model.layers[1].weights));
  EXPECT_TRUE(same(loaded.layers[1].bias, model.layers[1].bias));
  static_assert(field_names<Layer>[1] == "weights");
}

TEST(Eigen, MembersOfAllKindsComeBack) {
  Everything value;
  value.sparse.insert(1, 0) = 3;
  value.last = 9;
  const Everything loaded = round_trip(value);
  EXPECT_TRUE(same(loaded.dynamic, value.dynamic));
  EXPECT_TRUE(same(loaded.fixed, value.fixed));
  EXPECT_TRUE(same(loaded.vector, value.vector));
  EXPECT_TRUE((loaded.array == value.array).all());
  EXPECT_TRUE(same(loaded.small, value.small));
  EXPECT_TRUE(same(loaded.sparse.toDense(), value.sparse.toDense()));
  EXPECT_TRUE(same(*loaded.maybe, *value.maybe));
  EXPECT_TRUE(same(loaded.pair.first, value.pair.first));
  EXPECT_EQ(loaded.last, 9);
}

TEST(Eigen, OneMatrixOfAnArchiveCanBeLoaded) {
  const Model model{{{"a", Eigen::MatrixXf::Random(3, 2), Eigen::VectorXf::Random(3)},
                     {"b", Eigen::MatrixXf::Random(40, 200), Eigen::VectorXf::Random(40)}},
                    7};
  const std::vector<std::byte> bytes = to_bytes(model);
  const File file = open(memory_source(bytes));
  EXPECT_TRUE(same(file.load<Eigen::MatrixXf>("layers/1/weights"), model.layers[1].weights));
}

TEST(Eigen, VectorsOfDynamicVectorsComeBack) {
  const std::vector<Eigen::VectorXd> value{Eigen::VectorXd::Random(3), Eigen::VectorXd(), Eigen::VectorXd::Random(900)};
  EXPECT_TRUE(same(round_trip(value), value));
}

}  // namespace
}  // namespace stele::test

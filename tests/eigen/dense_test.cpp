#include "stele/eigen.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <Eigen/Geometry>

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

TEST(Eigen, LongVectorsComeFromAStream) {
  const Eigen::VectorXd value = Eigen::VectorXd::LinSpaced(3'000'000, 0, 1);
  std::stringstream stream;
  save(stream, value);
  EXPECT_TRUE(same(load<Eigen::VectorXd>(stream), value));
}

TEST(Eigen, ATruncatedStreamIsAnError) {
  std::stringstream stream;
  save(stream, Eigen::MatrixXd(Eigen::MatrixXd::Ones(1000, 3000)));
  std::stringstream half(stream.str().substr(0, 10'000'000));
  EXPECT_EQ(error_of([&] { load<Eigen::MatrixXd>(half); }).code(), Errc::truncated);
  std::stringstream again(stream.str().substr(0, 10'000'000));
  EXPECT_EQ(error_of([&] { load<RowMatrixXd>(again); }).code(), Errc::truncated);
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

TEST(Eigen, HalvesAreNumbersOfTheirOwn) {
  EXPECT_TRUE(same(round_trip(Eigen::half(1.5F)), Eigen::half(1.5F)));
  EXPECT_TRUE(same(round_trip(Eigen::bfloat16(1.5F)), Eigen::bfloat16(1.5F)));
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

TEST(Eigen, WrongShapesAreRefused) {
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

TEST(Eigen, BoundedMatricesTakeWhatFits) {
  using Bounded = Eigen::Matrix<float, Dynamic, Dynamic, Eigen::ColMajor, 4, 4>;
  const auto m = rising<Eigen::MatrixXf>(3, 4);
  EXPECT_TRUE(same(reread<Bounded>(m), m));
  EXPECT_EQ(conversion_error<Bounded>(rising<Eigen::MatrixXf>(3, 5)).code(), Errc::type_mismatch);
}

struct StoredCoefficients {
  std::uint64_t rows, cols;
  std::vector<long double> values;
};

TEST(Eigen, MatricesOfOtherScalarsMustBeWhole) {
  using M = Eigen::Matrix<long double, Dynamic, Dynamic>;
  const M loaded = reread<M>(StoredCoefficients{2, 1, {1.0L, 2.0L}});
  EXPECT_EQ(loaded(1, 0), 2.0L);
  EXPECT_EQ(conversion_error<M>(StoredCoefficients{2, 2, {1.0L}}).code(), Errc::malformed);
  EXPECT_EQ(conversion_error<M>(StoredCoefficients{std::uint64_t{1} << 63, 2, {}}).code(), Errc::malformed);
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

TEST(Eigen, VectorsOfFixedVectorsAreOneArray) {
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

TEST(Eigen, VectorsOfFixedMatricesAreOneArray) {
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

// --- Geometry and the like -------------------------------------------------------------------------------------------

TEST(Eigen, GeometryComesBack) {
  const Eigen::Quaterniond q(1, 2, 3, 4);
  EXPECT_TRUE(same(round_trip(q).coeffs(), q.coeffs()));
  EXPECT_TRUE(same(reread<Eigen::Vector4d>(q), Eigen::Vector4d(2, 3, 4, 1)));
  Eigen::Isometry3d pose = Eigen::Isometry3d::Identity();
  pose.rotate(q.normalized()).pretranslate(Eigen::Vector3d(1, 2, 3));
  EXPECT_TRUE(same(round_trip(pose).matrix(), pose.matrix()));
  const Eigen::AffineCompact2f compact(Eigen::Translation2f(3, 4));
  EXPECT_TRUE(same(round_trip(compact).matrix(), compact.matrix()));
  const Eigen::AlignedBox3f box(Eigen::Vector3f(0, 1, 2), Eigen::Vector3f(3, 4, 5));
  EXPECT_TRUE(same((round_trip(box).min)(), (box.min)()));
  EXPECT_TRUE(same((round_trip(box).max)(), (box.max)()));
  const Eigen::DiagonalMatrix<float, 3> diagonal(1, 2, 3);
  EXPECT_TRUE(same(round_trip(diagonal).diagonal(), diagonal.diagonal()));
}

TEST(Eigen, VectorsOfPosesAreOneArray) {
  std::vector<Eigen::Isometry3d> poses(3, Eigen::Isometry3d::Identity());
  poses[1].pretranslate(Eigen::Vector3d(1, 2, 3));
  EXPECT_EQ(stored(poses).shape, (Shape{3, 4, 4}));
  const auto loaded = round_trip(poses);
  EXPECT_TRUE(same(loaded.at(1).matrix(), poses[1].matrix()));
  const std::vector<Eigen::Quaternionf> rotations(5, Eigen::Quaternionf(1, 2, 3, 4));
  EXPECT_EQ(stored(rotations).shape, (Shape{5, 4}));
  EXPECT_TRUE(same(round_trip(rotations).at(4).coeffs(), rotations[4].coeffs()));
}

TEST(Eigen, PermutationsAreChecked) {
  Eigen::PermutationMatrix<Dynamic> permutation(4);
  permutation.indices() << 2, 0, 3, 1;
  EXPECT_TRUE(same(round_trip(permutation).indices(), permutation.indices()));
  for (const int wrong : {2, 4, -1}) {
    const Eigen::Vector4i indices(0, 1, 2, wrong);
    EXPECT_EQ(conversion_error<Eigen::PermutationMatrix<Dynamic>>(indices).code(), Errc::malformed);
  }
}

// --- stele::Array as a matrix ----------------------------------------------------------------------------------------

TEST(Eigen, ArraysAreSeenAsMatrices) {
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

TEST(Eigen, AMatrixOverAReadOnlyArrayCannotBeWritten) {
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

TEST(Eigen, ArraysInTheMatrixOrderAreSeenAsThatMatrix) {
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

#include "stele/eigen.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <complex>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <map>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <Eigen/Geometry>
#include <unsupported/Eigen/CXX11/Tensor>

#include "stele/archive.hpp"

namespace stele {
namespace {

using Eigen::Dynamic;

template <class T>
std::vector<std::byte> bytes_of(const T& value) {
  return to_bytes(value);
}
template <class To, class From>
To convert(const From& value) {
  return from_bytes<To>(bytes_of(value));
}
template <class T>
T round_trip(const T& value) {
  return convert<T>(value);
}

/// The array at the root of an archive, as stored.
template <class T>
ArrayHeader stored(const T& value) {
  const std::vector<std::byte> bytes = bytes_of(value);
  const File file = open(memory_source(bytes));
  const Entry root = file.list().at(0);
  EXPECT_EQ(root.kind, Kind::array);
  return {root.dtype, root.shape, root.order};
}

template <class F>
Error error_of(F&& f) {
  try {
    f();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "no Error was thrown";
  return Error(Errc::io, "none");
}
template <class To, class From>
Error conversion_error(const From& value) {
  return error_of([&] { convert<To>(value); });
}

template <class M>
M counting(Eigen::Index rows, Eigen::Index cols) {
  M m;
  m.resize(rows, cols);
  for (Eigen::Index i = 0; i < rows; ++i) {
    for (Eigen::Index j = 0; j < cols; ++j) {
      m(i, j) = typename M::Scalar(static_cast<float>(i * cols + j + 1));
    }
  }
  return m;
}

using RowMatrixXd = Eigen::Matrix<double, Dynamic, Dynamic, Eigen::RowMajor>;
using Matrix3Xd = Eigen::Matrix<double, 3, Dynamic>;
using MatrixX3f = Eigen::Matrix<float, Dynamic, 3>;

// --- Dense -----------------------------------------------------------------------------------------------------------

template <class M>
class EigenDense : public testing::Test {};
using DenseTypes = testing::Types<
    Eigen::MatrixXf, Eigen::MatrixXd, RowMatrixXd, Matrix3Xd, MatrixX3f,
    Eigen::Matrix<float, 3, Dynamic, Eigen::RowMajor>, Eigen::Matrix<float, Dynamic, 3, Eigen::RowMajor>,
    Eigen::ArrayXXi, Eigen::MatrixXcf, Eigen::MatrixXcd,
    Eigen::Matrix<Eigen::half, Dynamic, Dynamic>, Eigen::Matrix<Eigen::bfloat16, Dynamic, Dynamic>,
    Eigen::Matrix<bool, Dynamic, Dynamic>, Eigen::Matrix<std::uint8_t, Dynamic, Dynamic>,
    Eigen::Matrix<std::int64_t, Dynamic, Dynamic>, Eigen::Matrix<float, Dynamic, Dynamic, Eigen::ColMajor, 3, 100>,
    Eigen::Matrix<float, Dynamic, Dynamic, Eigen::RowMajor, 3, Dynamic>,
    Eigen::Matrix<float, Dynamic, Dynamic, Eigen::ColMajor, 3, Dynamic>, Eigen::Matrix<long double, Dynamic, Dynamic>>;
TYPED_TEST_SUITE(EigenDense, DenseTypes);

TYPED_TEST(EigenDense, ComesBackAsItWas) {
  const auto value = counting<TypeParam>(3, 3);
  const auto loaded = round_trip(value);
  ASSERT_EQ(loaded.rows(), 3);
  ASSERT_EQ(loaded.cols(), 3);
  EXPECT_TRUE((loaded.array() == value.array()).all());
}

TYPED_TEST(EigenDense, ReplacesWhatWasThere) {
  const auto bytes = bytes_of(counting<TypeParam>(3, 3));
  auto value = counting<TypeParam>(3, 3);
  value.setZero();
  Reader reader{Bytes(bytes)};
  reader.read_into(value);
  EXPECT_TRUE((value.array() == counting<TypeParam>(3, 3).array()).all());
}

TYPED_TEST(EigenDense, GrowsWithDataOfUnknownLength) {
  constexpr Eigen::Index rows = TypeParam::MaxRowsAtCompileTime == 3   ? 3
                                : TypeParam::MaxColsAtCompileTime == 3 ? 400'000
                                                                       : 3'000;
  constexpr Eigen::Index cols = TypeParam::MaxColsAtCompileTime > 0 ? TypeParam::MaxColsAtCompileTime
                                : rows == 3                         ? 400'000
                                                                    : 501;
  const auto value = counting<TypeParam>(rows, cols);
  std::stringstream stream;
  save(stream, value);
  const auto loaded = load<TypeParam>(stream);
  ASSERT_EQ(loaded.rows(), value.rows());
  ASSERT_EQ(loaded.cols(), value.cols());
  EXPECT_TRUE((loaded.array() == value.array()).all());
}

TEST(Eigen, FixedSizeMatricesComeBack) {
  EXPECT_EQ(round_trip(counting<Eigen::Matrix3f>(3, 3)), counting<Eigen::Matrix3f>(3, 3));
  EXPECT_EQ((round_trip(counting<Eigen::Matrix<int, 2, 5, Eigen::RowMajor>>(2, 5))),
            (counting<Eigen::Matrix<int, 2, 5, Eigen::RowMajor>>(2, 5)));
  EXPECT_EQ(round_trip(Eigen::Vector4d(1, 2, 3, 4)), Eigen::Vector4d(1, 2, 3, 4));
  EXPECT_EQ((round_trip(Eigen::Matrix<double, 1, 1>(7))), (Eigen::Matrix<double, 1, 1>(7)));
}

TEST(Eigen, VectorsComeBackAsArraysOfRankOne) {
  const Eigen::VectorXf column = Eigen::VectorXf::LinSpaced(5, 0, 4);
  const Eigen::RowVectorXd row = Eigen::RowVectorXd::LinSpaced(7, 0, 6);
  EXPECT_EQ(round_trip(column), column);
  EXPECT_EQ(round_trip(row), row);
  EXPECT_EQ(stored(column).shape, Shape{5});
  EXPECT_EQ(stored(row).shape, Shape{7});
  EXPECT_EQ(convert<std::vector<float>>(column), (std::vector<float>{0, 1, 2, 3, 4}));
  EXPECT_EQ(convert<Eigen::VectorXf>(std::vector<float>{1, 2}), Eigen::Vector2f(1, 2));
}

TEST(Eigen, LongVectorsComeFromAStream) {
  const Eigen::VectorXd value = Eigen::VectorXd::LinSpaced(3'000'000, 0, 1);
  std::stringstream stream;
  save(stream, value);
  EXPECT_EQ(load<Eigen::VectorXd>(stream), value);
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
  EXPECT_EQ(from_bytes<Eigen::MatrixXf>(to_bytes(value, {.codec = "gzip"})), value);
}

TEST(Eigen, MatricesAreStoredAsTheyLieInMemory) {
  const ArrayHeader column = stored(counting<Eigen::MatrixXf>(3, 4));
  EXPECT_EQ(column.dtype, DType(DType::Kind::float32));
  EXPECT_EQ(column.shape, (Shape{3, 4}));
  EXPECT_EQ(column.order, Order::column_major);
  const ArrayHeader row = stored(counting<RowMatrixXd>(3, 4));
  EXPECT_EQ(row.shape, (Shape{3, 4}));
  EXPECT_EQ(row.order, Order::row_major);
  EXPECT_EQ(stored(Eigen::Matrix<Eigen::half, 2, 2>()).dtype, DType(DType::Kind::float16));
  EXPECT_EQ(stored(Eigen::Matrix<Eigen::bfloat16, 2, 2>()).dtype, DType(DType::Kind::bfloat16));
  EXPECT_EQ(stored(Eigen::Matrix<bool, 2, 2>(Eigen::Matrix<bool, 2, 2>::Ones())).dtype, DType(DType::Kind::boolean));
  EXPECT_EQ(stored(Eigen::MatrixXcd(Eigen::MatrixXcd::Zero(2, 2))).dtype, DType(DType::Kind::complex128));
}

TEST(Eigen, StorageOrdersAndSizesConvert) {
  const auto value = counting<Eigen::MatrixXd>(3, 5);
  EXPECT_EQ(convert<RowMatrixXd>(value), value);
  EXPECT_EQ(convert<Eigen::MatrixXd>(RowMatrixXd(value)), value);
  EXPECT_EQ(convert<Matrix3Xd>(value), value);
  EXPECT_EQ((convert<Eigen::Matrix<double, 3, 5>>(value)), value);
  EXPECT_EQ(convert<Eigen::ArrayXXd>(value).matrix(), value);
  EXPECT_EQ(convert<Eigen::MatrixXd>(counting<Eigen::MatrixXf>(3, 5)), value);
}

TEST(Eigen, VectorsAndMatricesOfOneColumnConvert) {
  const Eigen::VectorXd column = Eigen::VectorXd::LinSpaced(4, 1, 4);
  EXPECT_EQ(convert<Eigen::MatrixXd>(column), column);
  EXPECT_EQ(convert<Eigen::RowVectorXd>(column), column.transpose());
  EXPECT_EQ(convert<Eigen::VectorXd>(Eigen::MatrixXd(column)), column);
  EXPECT_EQ(convert<Eigen::VectorXd>(Eigen::MatrixXd(column.transpose())), column);
  EXPECT_EQ(convert<RowMatrixXd>(Eigen::MatrixXd(column.transpose())), column.transpose());
  EXPECT_EQ(convert<Eigen::RowVectorXd>(Eigen::MatrixXd(1, 0)).size(), 0);
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
  const auto bytes = bytes_of(Eigen::MatrixXf());
  Reader reader{Bytes(bytes)};
  reader.read_into(old);
  EXPECT_EQ(old.size(), 0);
}

TEST(Eigen, SpecialNumbersKeepTheirBits) {
  Eigen::Matrix<Eigen::half, 3, 1> halves(Eigen::half(1.5F), Eigen::half(-0.0F), Eigen::half(65504.0F));
  EXPECT_EQ(round_trip(halves), halves);
  Eigen::VectorXd value(3);
  value << std::numeric_limits<double>::infinity(), -0.0, std::numeric_limits<double>::denorm_min();
  const auto loaded = round_trip(value);
  EXPECT_EQ(loaded, value);
  EXPECT_TRUE(std::signbit(loaded(1)));
}

TEST(Eigen, HalvesAreNumbersOfTheirOwn) {
  EXPECT_EQ(round_trip(Eigen::half(1.5F)), Eigen::half(1.5F));
  EXPECT_EQ(round_trip(Eigen::bfloat16(1.5F)), Eigen::bfloat16(1.5F));
}

TEST(Eigen, VectorsTakeSequencesOfNumbers) {
  const std::deque<int> items{1, 2, 3};
  EXPECT_EQ(convert<Eigen::VectorXd>(items), Eigen::Vector3d(1, 2, 3));
  EXPECT_EQ(convert<Eigen::RowVector3i>(items), Eigen::RowVector3i(1, 2, 3));
  using Bools = Eigen::Matrix<bool, Dynamic, 1>;
  EXPECT_EQ(convert<Bools>(std::deque<bool>{true, false}).cast<int>(), Eigen::Vector2i(1, 0));
  EXPECT_EQ(conversion_error<Eigen::Vector2d>(items).message(), "expected [2], found [3]");
}

// --- Views and expressions -------------------------------------------------------------------------------------------

TEST(Eigen, ViewsAreWrittenWithTheirStrides) {
  const auto m = counting<Eigen::MatrixXd>(6, 8);
  EXPECT_EQ(convert<Eigen::MatrixXd>(m.block(1, 2, 3, 4)), m.block(1, 2, 3, 4));
  EXPECT_EQ(convert<Eigen::RowVectorXd>(m.row(2)), m.row(2));
  EXPECT_EQ(convert<Eigen::VectorXd>(m.col(2)), m.col(2));
  EXPECT_EQ(convert<Eigen::VectorXd>(m.col(2).segment(1, 3)), m.col(2).segment(1, 3));
  EXPECT_EQ(convert<Eigen::VectorXd>(m.diagonal()), m.diagonal());
  EXPECT_EQ(convert<Eigen::MatrixXd>(m.transpose()), m.transpose());
  EXPECT_EQ(convert<Eigen::MatrixXd>(m.array()), m);
  EXPECT_EQ(convert<Eigen::MatrixXd>(m.transpose().bottomRows(2)), m.transpose().bottomRows(2));
  const Eigen::Ref<const Eigen::MatrixXd> ref = m.leftCols(3);
  EXPECT_EQ(convert<Eigen::MatrixXd>(ref), m.leftCols(3));
  EXPECT_EQ(stored(m.transpose()).order, Order::row_major);
}

TEST(Eigen, MapsAreWrittenWithTheirStrides) {
  const Eigen::VectorXf data = Eigen::VectorXf::LinSpaced(60, 0, 59);
  using Strides = Eigen::Stride<Dynamic, Dynamic>;
  const Eigen::Map<const Eigen::MatrixXf, 0, Strides> map(data.data(), 4, 3, Strides(15, 2));
  EXPECT_EQ(convert<Eigen::MatrixXf>(map), map);
  const Eigen::Map<const Eigen::VectorXf, 0, Eigen::InnerStride<>> spread(data.data(), 20, Eigen::InnerStride<>(3));
  EXPECT_EQ(convert<Eigen::VectorXf>(spread), spread);
  const Eigen::Map<const Eigen::Matrix<float, 3, Dynamic, Eigen::RowMajor>> rows(data.data(), 3, 20);
  EXPECT_EQ(convert<Eigen::MatrixXf>(rows), rows);
}

TEST(Eigen, ExpressionsAreWrittenAsTheirValue) {
  const auto m = counting<Eigen::MatrixXd>(3, 3);
  EXPECT_EQ(convert<Eigen::MatrixXd>(2 * m + Eigen::MatrixXd::Identity(3, 3)), 2 * m + Eigen::MatrixXd::Identity(3, 3));
  EXPECT_EQ(convert<Eigen::MatrixXd>(m * m), m * m);
  EXPECT_EQ(convert<Eigen::Vector3f>(Eigen::Vector3f::Ones()), Eigen::Vector3f::Ones());
  EXPECT_EQ(convert<Eigen::MatrixXd>(m.rowwise().reverse()), m.rowwise().reverse());
  const Eigen::MatrixXcd z = Eigen::MatrixXcd::Random(3, 4);
  EXPECT_EQ(convert<Eigen::MatrixXd>(z.real()), z.real());
}

template <class View>
void read_into_view(const std::vector<std::byte>& bytes, View view) {
  Reader reader{Bytes(bytes)};
  reader.read_into(view);
}

TEST(Eigen, ViewsOfTheSameShapeCanBeReadInto) {
  const auto value = counting<Eigen::MatrixXd>(3, 4);
  const auto bytes = bytes_of(value);
  Eigen::MatrixXd m = Eigen::MatrixXd::Zero(6, 8);
  read_into_view(bytes, m.block(1, 2, 3, 4));
  EXPECT_EQ(m.block(1, 2, 3, 4), value);
  EXPECT_EQ(m.sum(), value.sum());
  m.setZero();
  read_into_view(bytes, m.block(1, 2, 4, 3).transpose());
  EXPECT_EQ(m.block(1, 2, 4, 3), value.transpose());

  Eigen::VectorXd data = Eigen::VectorXd::Zero(30);
  read_into_view(bytes, Eigen::Map<Eigen::MatrixXd>(data.data(), 3, 4));
  EXPECT_EQ(Eigen::Map<Eigen::MatrixXd>(data.data(), 3, 4), value);
  read_into_view(bytes, Eigen::Map<RowMatrixXd>(data.data(), 3, 4));
  EXPECT_EQ(Eigen::Map<RowMatrixXd>(data.data(), 3, 4), value);
  Eigen::MatrixXd target(3, 4);
  read_into_view(bytes, Eigen::Ref<Eigen::MatrixXd>(target));
  EXPECT_EQ(target, value);
  read_into_view(bytes_of(Eigen::Vector4d(1, 2, 3, 4)), target.row(1));
  EXPECT_EQ(target.row(1), Eigen::RowVector4d(1, 2, 3, 4));
  EXPECT_EQ(target.row(2), value.row(2));
  read_into_view(bytes_of(Eigen::Vector2d(8, 9)), target.col(0).head<2>());
  EXPECT_EQ(target(1, 0), 9);
}

TEST(Eigen, ViewsOfAnotherShapeAreRefused) {
  const auto bytes = bytes_of(counting<Eigen::MatrixXd>(3, 4));
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
  const Model model{{{"a", counting<Eigen::MatrixXf>(3, 2), Eigen::Vector3f(1, 2, 3)},
                     {"b", counting<Eigen::MatrixXf>(4, 2), Eigen::Vector3f(1, 2, 3)}}};
  const Error error = conversion_error<FixedModel>(model);
  EXPECT_EQ(error.code(), Errc::type_mismatch);
  EXPECT_EQ(error.path(), "layers/1/weights");
  EXPECT_EQ(error.message(), "expected float32[3, ?], found float32[4, 2]");
  EXPECT_TRUE(error.offset().has_value());
}

TEST(Eigen, WrongShapesAreRefused) {
  const auto m = counting<Eigen::MatrixXf>(3, 4);
  EXPECT_EQ(conversion_error<Eigen::VectorXf>(m).message(), "expected float32[?], found float32[3, 4]");
  EXPECT_EQ(conversion_error<Eigen::Vector3f>(Eigen::VectorXf(4)).message(), "expected float32[3], found float32[4]");
  EXPECT_EQ(conversion_error<Eigen::RowVector3f>(Eigen::VectorXf(4)).message(),
            "expected float32[3], found float32[4]");
  EXPECT_EQ(conversion_error<Eigen::Matrix2f>(m).message(), "expected float32[2, 2], found float32[3, 4]");
  EXPECT_EQ(conversion_error<Eigen::MatrixXi>(m).message(), "expected int32[?, ?], found float32[3, 4]");
  EXPECT_EQ((conversion_error<Eigen::Matrix<float, Dynamic, Dynamic, 0, 2, 9>>(m).message()),
            "expected float32[<=2, <=9], found float32[3, 4]");
  EXPECT_EQ(conversion_error<MatrixX3f>(Eigen::VectorXf(4)).message(), "expected float32[?, 3], found float32[4]");
  EXPECT_EQ((conversion_error<Eigen::MatrixXf>(Eigen::Tensor<float, 3>(1, 2, 3)).message()),
            "expected float32[?, ?], found float32[1, 2, 3]");
  EXPECT_EQ(conversion_error<Eigen::MatrixXf>(std::string("text")).code(), Errc::type_mismatch);
}

TEST(Eigen, BoundedMatricesTakeWhatFits) {
  using Bounded = Eigen::Matrix<float, Dynamic, Dynamic, Eigen::ColMajor, 4, 4>;
  const auto m = counting<Eigen::MatrixXf>(3, 4);
  EXPECT_EQ(convert<Bounded>(m), m);
  EXPECT_EQ(conversion_error<Bounded>(counting<Eigen::MatrixXf>(3, 5)).code(), Errc::type_mismatch);
}

struct StoredCoefficients {
  std::uint64_t rows, cols;
  std::vector<long double> values;
};

TEST(Eigen, MatricesOfOtherScalarsMustBeWhole) {
  using M = Eigen::Matrix<long double, Dynamic, Dynamic>;
  const M loaded = convert<M>(StoredCoefficients{2, 1, {1.0L, 2.0L}});
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
  Eigen::Tensor<float, 3> tensor{1, 2, 3};
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
  EXPECT_EQ(loaded.layers[1].weights, model.layers[1].weights);
  EXPECT_EQ(loaded.layers[1].bias, model.layers[1].bias);
  static_assert(field_names<Layer>[1] == "weights");
}

TEST(Eigen, MembersOfAllKindsComeBack) {
  Everything value;
  value.sparse.insert(1, 0) = 3;
  value.tensor.setRandom();
  value.last = 9;
  const Everything loaded = round_trip(value);
  EXPECT_EQ(loaded.dynamic, value.dynamic);
  EXPECT_EQ(loaded.fixed, value.fixed);
  EXPECT_EQ(loaded.vector, value.vector);
  EXPECT_TRUE((loaded.array == value.array).all());
  EXPECT_EQ(loaded.small, value.small);
  EXPECT_EQ(loaded.sparse.toDense(), value.sparse.toDense());
  EXPECT_EQ(*loaded.maybe, *value.maybe);
  EXPECT_EQ(loaded.pair.first, value.pair.first);
  EXPECT_EQ(loaded.tensor(0, 1, 2), value.tensor(0, 1, 2));
  EXPECT_EQ(loaded.last, 9);
}

TEST(Eigen, OneMatrixOfAnArchiveCanBeLoaded) {
  const Model model{{{"a", Eigen::MatrixXf::Random(3, 2), Eigen::VectorXf::Random(3)},
                     {"b", Eigen::MatrixXf::Random(40, 200), Eigen::VectorXf::Random(40)}},
                    7};
  const std::vector<std::byte> bytes = bytes_of(model);
  const File file = open(memory_source(bytes));
  EXPECT_EQ(file.load<Eigen::MatrixXf>("layers/1/weights"), model.layers[1].weights);
}

TEST(Eigen, VectorsOfDynamicVectorsComeBack) {
  const std::vector<Eigen::VectorXd> value{Eigen::VectorXd::Random(3), Eigen::VectorXd(), Eigen::VectorXd::Random(900)};
  EXPECT_EQ(round_trip(value), value);
}

TEST(Eigen, VectorsOfFixedVectorsAreOneArray) {
  const std::vector<Eigen::Vector3f> points{{1, 2, 3}, {4, 5, 6}};
  EXPECT_EQ(stored(points).shape, (Shape{2, 3}));
  EXPECT_EQ(round_trip(points), points);
  EXPECT_EQ(convert<RowMatrixXd>(points), (RowMatrixXd(2, 3) << 1, 2, 3, 4, 5, 6).finished());
  EXPECT_EQ(convert<std::vector<Eigen::Vector3f>>(counting<Eigen::MatrixXf>(2, 3)), points);
  EXPECT_EQ(convert<std::vector<Eigen::Vector3f>>(std::deque<Eigen::Vector3f>(points.begin(), points.end())), points);
  EXPECT_EQ(conversion_error<std::vector<Eigen::Vector2f>>(points).message(),
            "expected float32[?, 2], found float32[2, 3]");
  const std::array<Eigen::Vector2d, 3> fixed{Eigen::Vector2d(1, 2), Eigen::Vector2d(3, 4), Eigen::Vector2d(5, 6)};
  EXPECT_EQ(stored(fixed).shape, (Shape{3, 2}));
  EXPECT_EQ(round_trip(fixed), fixed);
}

TEST(Eigen, VectorsOfFixedMatricesAreOneArray) {
  using Rows = Eigen::Matrix<float, 2, 3, Eigen::RowMajor>;
  using Columns = Eigen::Matrix<float, 2, 3>;
  const std::vector<Rows> rows{counting<Rows>(2, 3), 2 * counting<Rows>(2, 3)};
  const std::vector<Columns> columns{counting<Columns>(2, 3), 2 * counting<Columns>(2, 3)};
  EXPECT_EQ(stored(rows).shape, (Shape{2, 2, 3}));
  EXPECT_EQ(stored(columns).shape, (Shape{2, 2, 3}));
  EXPECT_EQ(round_trip(rows), rows);
  EXPECT_EQ(round_trip(columns), columns);
  EXPECT_EQ(convert<std::vector<Columns>>(rows), columns);
  EXPECT_EQ(bytes_of(rows), bytes_of(columns));
  EXPECT_EQ(convert<std::vector<Columns>>(std::deque<Columns>(columns.begin(), columns.end())), columns);
  EXPECT_TRUE(round_trip(std::vector<Eigen::Matrix4d>()).empty());
  EXPECT_EQ(conversion_error<std::vector<Eigen::Matrix2f>>(columns).message(),
            "expected float32[?, 2, 2], found float32[2, 2, 3]");
}

// --- Geometry and the like -------------------------------------------------------------------------------------------

TEST(Eigen, GeometryComesBack) {
  const Eigen::Quaterniond q(1, 2, 3, 4);
  EXPECT_EQ(round_trip(q).coeffs(), q.coeffs());
  EXPECT_EQ(convert<Eigen::Vector4d>(q), Eigen::Vector4d(2, 3, 4, 1));
  Eigen::Isometry3d pose = Eigen::Isometry3d::Identity();
  pose.rotate(q.normalized()).pretranslate(Eigen::Vector3d(1, 2, 3));
  EXPECT_EQ(round_trip(pose).matrix(), pose.matrix());
  const Eigen::AffineCompact2f compact(Eigen::Translation2f(3, 4));
  EXPECT_EQ(round_trip(compact).matrix(), compact.matrix());
  const Eigen::AlignedBox3f box(Eigen::Vector3f(0, 1, 2), Eigen::Vector3f(3, 4, 5));
  EXPECT_EQ((round_trip(box).min)(), (box.min)());
  EXPECT_EQ((round_trip(box).max)(), (box.max)());
  const Eigen::DiagonalMatrix<float, 3> diagonal(1, 2, 3);
  EXPECT_EQ(round_trip(diagonal).diagonal(), diagonal.diagonal());
}

TEST(Eigen, VectorsOfPosesAreOneArray) {
  std::vector<Eigen::Isometry3d> poses(3, Eigen::Isometry3d::Identity());
  poses[1].pretranslate(Eigen::Vector3d(1, 2, 3));
  EXPECT_EQ(stored(poses).shape, (Shape{3, 4, 4}));
  const auto loaded = round_trip(poses);
  EXPECT_EQ(loaded.at(1).matrix(), poses[1].matrix());
  const std::vector<Eigen::Quaternionf> rotations(5, Eigen::Quaternionf(1, 2, 3, 4));
  EXPECT_EQ(stored(rotations).shape, (Shape{5, 4}));
  EXPECT_EQ(round_trip(rotations).at(4).coeffs(), rotations[4].coeffs());
}

TEST(Eigen, PermutationsAreChecked) {
  Eigen::PermutationMatrix<Dynamic> permutation(4);
  permutation.indices() << 2, 0, 3, 1;
  EXPECT_EQ(round_trip(permutation).indices(), permutation.indices());
  for (const int wrong : {2, 4, -1}) {
    const Eigen::Vector4i indices(0, 1, 2, wrong);
    EXPECT_EQ(conversion_error<Eigen::PermutationMatrix<Dynamic>>(indices).code(), Errc::malformed);
  }
}

// --- Sparse ----------------------------------------------------------------------------------------------------------

template <class M>
M sparse_example() {
  M m(5, 7);
  m.insert(0, 1) = typename M::Scalar(1);
  m.insert(3, 0) = typename M::Scalar(2);
  m.insert(3, 6) = typename M::Scalar(3);
  m.insert(4, 1) = typename M::Scalar(4);
  m.insert(2, 1) = typename M::Scalar(5);
  return m;
}
template <class M>
auto dense(const M& m) {
  return m.toDense().eval();
}

template <class M>
class EigenSparse : public testing::Test {};
using SparseTypes =
    testing::Types<Eigen::SparseMatrix<double>, Eigen::SparseMatrix<float, Eigen::RowMajor>,
                   Eigen::SparseMatrix<std::complex<float>, Eigen::ColMajor, long>,
                   Eigen::SparseMatrix<int, Eigen::RowMajor, short>, Eigen::SparseMatrix<int, Eigen::ColMajor, int>>;
TYPED_TEST_SUITE(EigenSparse, SparseTypes);

TYPED_TEST(EigenSparse, ComesBack) {
  auto value = sparse_example<TypeParam>();
  ASSERT_FALSE(value.isCompressed());
  const auto uncompressed = bytes_of(value);
  EXPECT_FALSE(value.isCompressed());
  EXPECT_EQ(dense(from_bytes<TypeParam>(uncompressed)), dense(value));
  value.makeCompressed();
  EXPECT_EQ(bytes_of(value), uncompressed);
  const auto loaded = round_trip(value);
  EXPECT_TRUE(loaded.isCompressed());
  EXPECT_EQ(loaded.nonZeros(), 5);
  EXPECT_EQ(dense(loaded), dense(value));
  EXPECT_EQ(loaded.coeff(3, 6), typename TypeParam::Scalar(3));
}

TYPED_TEST(EigenSparse, ComesBackFromTheOtherOrder) {
  constexpr int other_order = TypeParam::IsRowMajor ? Eigen::ColMajor : Eigen::RowMajor;
  using Other = Eigen::SparseMatrix<typename TypeParam::Scalar, other_order, typename TypeParam::StorageIndex>;
  const auto value = sparse_example<TypeParam>();
  const auto loaded = convert<Other>(value);
  EXPECT_EQ(dense(loaded), dense(value));
  EXPECT_EQ(loaded.nonZeros(), 5);
}

TYPED_TEST(EigenSparse, EmptyOnesKeepTheirSize) {
  EXPECT_EQ(round_trip(TypeParam()).size(), 0);
  const auto none = round_trip(TypeParam(3, 4));
  EXPECT_EQ(none.rows(), 3);
  EXPECT_EQ(none.cols(), 4);
  EXPECT_EQ(none.nonZeros(), 0);
  EXPECT_EQ(round_trip(TypeParam(0, 4)).cols(), 4);
  EXPECT_EQ(round_trip(TypeParam(3, 0)).rows(), 3);
  auto loaded = round_trip(TypeParam(3, 4));
  loaded.insert(1, 1) = typename TypeParam::Scalar(1);
  EXPECT_EQ(loaded.nonZeros(), 1);
}

TYPED_TEST(EigenSparse, LargeOnesComeFromAStream) {
  using Scalar = typename TypeParam::Scalar;
  std::vector<Eigen::Triplet<Scalar>> triplets;
  for (int j = 0; j < 30'000; ++j) {
    triplets.emplace_back(j % 1000, j, Scalar(static_cast<float>(j % 100 + 1)));
  }
  TypeParam value(1000, 30'000);
  value.setFromTriplets(triplets.begin(), triplets.end());
  std::stringstream stream;
  save(stream, value);
  const auto loaded = load<TypeParam>(stream);
  EXPECT_EQ(loaded.nonZeros(), 30'000);
  EXPECT_EQ((loaded - value).eval().norm(), 0);
}

TEST(Eigen, SparseVectorsComeBack) {
  Eigen::SparseVector<double> column(100);
  column.insert(40) = 2;
  column.insert(7) = 1;
  EXPECT_EQ(dense(round_trip(column)), dense(column));
  EXPECT_EQ(round_trip(column).nonZeros(), 2);
  const Eigen::SparseVector<float, Eigen::RowMajor> row(5);
  EXPECT_EQ(round_trip(row).cols(), 5);
  EXPECT_EQ(dense(convert<Eigen::SparseMatrix<double>>(column)), dense(column));
  EXPECT_EQ((dense(convert<Eigen::SparseMatrix<double, Eigen::RowMajor>>(column))), dense(column));
  EXPECT_EQ(dense(convert<Eigen::SparseVector<double>>(Eigen::SparseMatrix<double, Eigen::RowMajor>(column))),
            dense(column));
  EXPECT_EQ(conversion_error<Eigen::SparseVector<double>>(Eigen::SparseMatrix<double>(4, 2)).message(),
            "expected a sparse vector, found a sparse matrix [4, 2]");
}

TEST(Eigen, SparseIndicesOfOtherTypesAreTaken) {
  using Wide = Eigen::SparseMatrix<double, Eigen::ColMajor, long>;
  const auto value = sparse_example<Wide>();
  EXPECT_EQ(dense(convert<Eigen::SparseMatrix<double>>(value)), dense(value));
  EXPECT_EQ((dense(convert<Eigen::SparseMatrix<double, Eigen::RowMajor, short>>(value))), dense(value));
  EXPECT_EQ(dense(convert<Wide>(sparse_example<Eigen::SparseMatrix<float>>())), dense(value));
  Wide large(40'000, 1);
  large.insert(35'000, 0) = 1;
  const Error error = conversion_error<Eigen::SparseMatrix<double, Eigen::ColMajor, short>>(large);
  EXPECT_EQ(error.code(), Errc::out_of_range);
}

TEST(Eigen, SparseViewsAndExpressionsAreWritten) {
  using M = Eigen::SparseMatrix<double>;
  M m = sparse_example<M>();
  EXPECT_EQ(dense(convert<M>(m.middleCols(1, 3))), dense(m).middleCols(1, 3));
  m.makeCompressed();
  EXPECT_EQ(dense(convert<M>(m.middleCols(1, 3))), dense(m).middleCols(1, 3));
  EXPECT_EQ(dense(convert<M>(2 * m)), 2 * dense(m));
  EXPECT_EQ(dense(convert<M>(m.transpose())), dense(m).transpose());
  const Eigen::Ref<const M> ref(m);
  EXPECT_EQ(dense(convert<M>(ref)), dense(m));
  const Eigen::Map<const M> map(m.rows(), m.cols(), m.nonZeros(), m.outerIndexPtr(), m.innerIndexPtr(), m.valuePtr());
  EXPECT_EQ(dense(convert<M>(map)), dense(m));
}

struct StoredSparse {
  std::vector<double> values{1, 2, 3};
  std::int64_t rows = 3;
  std::int64_t cols = 2;
  std::string order = "F";
  std::vector<int> indptr{0, 2, 3};
  std::vector<int> indices{0, 2, 1};
};

TEST(Eigen, SparsePartsMayComeInAnyOrder) {
  const auto m = convert<Eigen::SparseMatrix<double>>(StoredSparse());
  EXPECT_EQ(dense(m), (Eigen::MatrixXd(3, 2) << 1, 0, 0, 3, 2, 0).finished());
  EXPECT_EQ((dense(convert<Eigen::SparseMatrix<double, Eigen::RowMajor>>(StoredSparse()))), dense(m));
}

TEST(Eigen, DamagedSparseMatricesAreRefused) {
  const auto code = [](auto change) {
    StoredSparse parts;
    change(parts);
    const Errc found = conversion_error<Eigen::SparseMatrix<double>>(parts).code();
    EXPECT_EQ((conversion_error<Eigen::SparseMatrix<double, Eigen::RowMajor>>(parts).code()), found);
    return found;
  };
  EXPECT_EQ(code([](StoredSparse& s) { s.rows = 2; }), Errc::malformed);
  EXPECT_EQ(code([](StoredSparse& s) { s.rows = -3; }), Errc::malformed);
  EXPECT_EQ(code([](StoredSparse& s) { s.rows = std::int64_t{1} << 40; }), Errc::out_of_range);
  EXPECT_EQ(code([](StoredSparse& s) { s.cols = 3; }), Errc::malformed);
  EXPECT_EQ(code([](StoredSparse& s) { s.cols = 1'000'000'000; }), Errc::malformed);
  EXPECT_EQ(code([](StoredSparse& s) { s.order = "A"; }), Errc::malformed);
  EXPECT_EQ(code([](StoredSparse& s) { s.indptr = {}; }), Errc::malformed);
  EXPECT_EQ(code([](StoredSparse& s) { s.indptr = {1, 2, 3}; }), Errc::malformed);
  EXPECT_EQ(code([](StoredSparse& s) { s.indptr = {0, 2, 2}; }), Errc::malformed);
  EXPECT_EQ(code([](StoredSparse& s) { s.indptr = {0, 9, 3}; }), Errc::malformed);
  EXPECT_EQ(code([](StoredSparse& s) { s.indptr = {0, -1, 3}; }), Errc::malformed);
  EXPECT_EQ(code([](StoredSparse& s) { s.indices = {0, 3, 1}; }), Errc::malformed);
  EXPECT_EQ(code([](StoredSparse& s) { s.indices = {2, 0, 1}; }), Errc::malformed);
  EXPECT_EQ(code([](StoredSparse& s) { s.indices = {0, 0, 1}; }), Errc::malformed);
  EXPECT_EQ(code([](StoredSparse& s) { s.indices = {-1, 0, 1}; }), Errc::malformed);
  EXPECT_EQ(code([](StoredSparse& s) { s.indices = {0, 2}; }), Errc::type_mismatch);
  EXPECT_EQ(conversion_error<Eigen::SparseMatrix<double>>(std::map<std::string, std::vector<float>>{{"indptr", {1}}})
                .message(),
            "expected integers[?], found float32[1]");
}

struct IncompleteSparse {
  int rows = 1, cols = 1;
  std::string order = "C";
  std::vector<int> indptr{0, 0}, indices{};
};

TEST(Eigen, ASparseMatrixWithoutAPartIsRefused) {
  EXPECT_EQ(conversion_error<Eigen::SparseMatrix<double>>(IncompleteSparse()).code(), Errc::missing_field);
}

TEST(Eigen, ASparseMatrixOutOfOrderIsNotWritten) {
  const std::vector<int> starts{0, 2};
  const std::vector<int> indices{1, 0};
  const std::vector<double> values{1, 2};
  const Eigen::Map<const Eigen::SparseMatrix<double>> map(2, 1, 2, starts.data(), indices.data(), values.data());
  EXPECT_EQ(error_of([&] { bytes_of(map); }).code(), Errc::invalid_argument);
}

// --- Tensors ---------------------------------------------------------------------------------------------------------

template <class T>
bool equal(const T& a, const T& b) {
  return a.dimensions() == b.dimensions() && std::equal(a.data(), a.data() + a.size(), b.data());
}

TEST(Eigen, TensorsComeBack) {
  Eigen::Tensor<float, 3> columns(2, 3, 4);
  columns.setRandom();
  Eigen::Tensor<float, 3, Eigen::RowMajor> rows(2, 3, 4);
  rows = columns.swap_layout().shuffle(std::array<int, 3>{2, 1, 0});
  EXPECT_TRUE(equal(round_trip(columns), columns));
  EXPECT_TRUE(equal(round_trip(rows), rows));
  EXPECT_EQ(stored(columns).order, Order::column_major);
  EXPECT_EQ(stored(rows).order, Order::row_major);
  EXPECT_EQ(stored(rows).shape, (Shape{2, 3, 4}));
  const auto turned = convert<Eigen::Tensor<float, 3, Eigen::RowMajor>>(columns);
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

TEST(Eigen, LargeTensorsComeFromAStream) {
  Eigen::Tensor<double, 2> value(1000, 2000);
  value.setRandom();
  std::stringstream stream;
  save(stream, value);
  EXPECT_TRUE(equal((load<Eigen::Tensor<double, 2>>(stream)), value));
}

TEST(Eigen, TensorMapsAreWrittenAndRead) {
  Eigen::Tensor<float, 2> value(3, 4);
  value.setRandom();
  const Eigen::TensorMap<const Eigen::Tensor<float, 2>> view(value.data(), 3, 4);
  EXPECT_TRUE(equal(convert<Eigen::Tensor<float, 2>>(view), value));
  Eigen::Tensor<float, 2> target(3, 4);
  read_into_view(bytes_of(value), Eigen::TensorMap<Eigen::Tensor<float, 2>>(target));
  EXPECT_TRUE(equal(target, value));
  Eigen::Tensor<float, 2> other(4, 3);
  const Error error =
      error_of([&] { read_into_view(bytes_of(value), Eigen::TensorMap<Eigen::Tensor<float, 2>>(other)); });
  EXPECT_EQ(error.message(), "expected float32[4, 3], found float32[3, 4]");
  EXPECT_EQ((conversion_error<Eigen::Tensor<float, 3>>(value).message()),
            "expected float32[?, ?, ?], found float32[3, 4]");
}

// --- stele::Array as a matrix ----------------------------------------------------------------------------------------

TEST(Eigen, ArraysAreSeenAsMatrices) {
  Array<float, 2> rows({2, 3});
  as_eigen(rows) = counting<Eigen::MatrixXf>(2, 3);
  EXPECT_EQ(rows(1, 0), 4);
  EXPECT_EQ(as_eigen(std::as_const(rows)), counting<Eigen::MatrixXf>(2, 3));
  const auto turned = rows.transposed();
  EXPECT_EQ(as_eigen(turned), counting<Eigen::MatrixXf>(2, 3).transpose());
  Array<double> vector({3});
  as_eigen(vector) << 1, 2, 3;
  EXPECT_EQ(vector[2], 3);
  const auto columns = convert<Array<float, 2>>(counting<Eigen::MatrixXf>(4, 5));
  EXPECT_EQ(as_eigen(columns), counting<Eigen::MatrixXf>(4, 5));
  const auto takes = [](auto&& array) { return requires { as_eigen(std::forward<decltype(array)>(array)); }; };
  EXPECT_TRUE(takes(rows));
  EXPECT_FALSE(takes(Array<float, 2>()));
}

TEST(Eigen, ArraysInTheMatrixOrderAreSeenAsThatMatrix) {
  const auto m = counting<Eigen::MatrixXf>(4, 5);
  auto columns = convert<Array<float, 2>>(m);
  EXPECT_EQ(as_eigen<Eigen::MatrixXf>(columns), m);
  EXPECT_EQ((as_eigen<Eigen::Matrix<float, 4, Dynamic>>(columns)), m);
  as_eigen<Eigen::MatrixXf>(columns) *= 2;
  EXPECT_EQ(as_eigen<Eigen::MatrixXf>(std::as_const(columns)), 2 * m);
  const auto rows = columns.clone();
  EXPECT_EQ((as_eigen<Eigen::Matrix<float, Dynamic, Dynamic, Eigen::RowMajor>>(rows)), 2 * m);
  const auto slice = rows.slice(1, 3);
  EXPECT_EQ((as_eigen<Eigen::Matrix<float, Dynamic, Dynamic, Eigen::RowMajor>>(slice)), 2 * m.middleRows(1, 2));
  EXPECT_EQ(error_of([&] { as_eigen<Eigen::MatrixXf>(rows); }).code(), Errc::invalid_argument);
  EXPECT_EQ(error_of([&] { as_eigen<Eigen::Matrix3Xf>(columns); }).code(), Errc::invalid_argument);
  const auto vector = convert<Array<float, 1>>(Eigen::Vector3f(1, 2, 3));
  EXPECT_EQ(as_eigen<Eigen::VectorXf>(vector), Eigen::Vector3f(1, 2, 3));
  EXPECT_EQ(as_eigen<Eigen::MatrixXf>(vector), Eigen::Vector3f(1, 2, 3));
  EXPECT_EQ(as_eigen<Eigen::RowVectorXf>(vector), Eigen::RowVector3f(1, 2, 3));
}

}  // namespace
}  // namespace stele

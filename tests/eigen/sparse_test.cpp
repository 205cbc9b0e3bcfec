#include "stele/eigen.hpp"

#include <gtest/gtest.h>

#include <complex>
#include <cstdint>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "eigen/support.hpp"

namespace stele::test {
namespace {

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
class EigenSparseTypes : public testing::Test {};
using SparseTypes =
    testing::Types<Eigen::SparseMatrix<double>, Eigen::SparseMatrix<float, Eigen::RowMajor>,
                   Eigen::SparseMatrix<std::complex<float>, Eigen::ColMajor, long>,
                   Eigen::SparseMatrix<int, Eigen::RowMajor, short>, Eigen::SparseMatrix<int, Eigen::ColMajor, int>>;
TYPED_TEST_SUITE(EigenSparseTypes, SparseTypes);

TYPED_TEST(EigenSparseTypes, ComesBack) {
  auto value = sparse_example<TypeParam>();
  ASSERT_FALSE(value.isCompressed());
  const auto uncompressed = to_bytes(value);
  EXPECT_FALSE(value.isCompressed());
  EXPECT_TRUE(same(dense(from_bytes<TypeParam>(uncompressed)), dense(value)));
  value.makeCompressed();
  EXPECT_EQ(to_bytes(value), uncompressed);
  const auto loaded = round_trip(value);
  EXPECT_TRUE(loaded.isCompressed());
  EXPECT_EQ(loaded.nonZeros(), 5);
  EXPECT_TRUE(same(dense(loaded), dense(value)));
  EXPECT_EQ(loaded.coeff(3, 6), typename TypeParam::Scalar(3));
}

TYPED_TEST(EigenSparseTypes, ComesBackFromTheOtherOrder) {
  constexpr int other_order = TypeParam::IsRowMajor ? Eigen::ColMajor : Eigen::RowMajor;
  using Other = Eigen::SparseMatrix<typename TypeParam::Scalar, other_order, typename TypeParam::StorageIndex>;
  const auto value = sparse_example<TypeParam>();
  const auto loaded = reread<Other>(value);
  EXPECT_TRUE(same(dense(loaded), dense(value)));
  EXPECT_EQ(loaded.nonZeros(), 5);
}

TYPED_TEST(EigenSparseTypes, EmptyOnesKeepTheirSize) {
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

TYPED_TEST(EigenSparseTypes, LargeOnesComeFromAStream) {
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

TEST(EigenSparse, SparseVectorsComeBack) {
  Eigen::SparseVector<double> column(100);
  column.insert(40) = 2;
  column.insert(7) = 1;
  EXPECT_TRUE(same(dense(round_trip(column)), dense(column)));
  EXPECT_EQ(round_trip(column).nonZeros(), 2);
  const Eigen::SparseVector<float, Eigen::RowMajor> row(5);
  EXPECT_EQ(round_trip(row).cols(), 5);
  EXPECT_TRUE(same(dense(reread<Eigen::SparseMatrix<double>>(column)), dense(column)));
  EXPECT_TRUE(same((dense(reread<Eigen::SparseMatrix<double, Eigen::RowMajor>>(column))), dense(column)));
  EXPECT_TRUE(same(dense(reread<Eigen::SparseVector<double>>(Eigen::SparseMatrix<double, Eigen::RowMajor>(column))),
                   dense(column)));
  EXPECT_EQ(conversion_error<Eigen::SparseVector<double>>(Eigen::SparseMatrix<double>(4, 2)).message(),
            "expected a sparse vector, found a sparse matrix [4, 2]");
}

TEST(EigenSparse, SparseIndicesOfOtherTypesAreTaken) {
  using Wide = Eigen::SparseMatrix<double, Eigen::ColMajor, long>;
  const auto value = sparse_example<Wide>();
  EXPECT_TRUE(same(dense(reread<Eigen::SparseMatrix<double>>(value)), dense(value)));
  EXPECT_TRUE(same((dense(reread<Eigen::SparseMatrix<double, Eigen::RowMajor, short>>(value))), dense(value)));
  EXPECT_TRUE(same(dense(reread<Wide>(sparse_example<Eigen::SparseMatrix<float>>())), dense(value)));
  Wide large(40'000, 1);
  large.insert(35'000, 0) = 1;
  const Error error = conversion_error<Eigen::SparseMatrix<double, Eigen::ColMajor, short>>(large);
  EXPECT_EQ(error.code(), Errc::out_of_range);
}

TEST(EigenSparse, SparseViewsAndExpressionsAreWritten) {
  using M = Eigen::SparseMatrix<double>;
  M m = sparse_example<M>();
  EXPECT_TRUE(same(dense(reread<M>(m.middleCols(1, 3))), dense(m).middleCols(1, 3)));
  m.makeCompressed();
  EXPECT_TRUE(same(dense(reread<M>(m.middleCols(1, 3))), dense(m).middleCols(1, 3)));
  EXPECT_TRUE(same(dense(reread<M>(2 * m)), 2 * dense(m)));
  EXPECT_TRUE(same(dense(reread<M>(m.transpose())), dense(m).transpose()));
  const Eigen::Ref<const M> ref(m);
  EXPECT_TRUE(same(dense(reread<M>(ref)), dense(m)));
  const Eigen::Map<const M> map(m.rows(), m.cols(), m.nonZeros(), m.outerIndexPtr(), m.innerIndexPtr(), m.valuePtr());
  EXPECT_TRUE(same(dense(reread<M>(map)), dense(m)));
}

struct StoredSparse {
  std::vector<double> values{1, 2, 3};
  std::int64_t rows = 3;
  std::int64_t cols = 2;
  std::string order = "F";
  std::vector<int> indptr{0, 2, 3};
  std::vector<int> indices{0, 2, 1};
};

TEST(EigenSparse, SparsePartsMayComeInAnyOrder) {
  const auto m = reread<Eigen::SparseMatrix<double>>(StoredSparse());
  EXPECT_TRUE(same(dense(m), (Eigen::MatrixXd(3, 2) << 1, 0, 0, 3, 2, 0).finished()));
  EXPECT_TRUE(same((dense(reread<Eigen::SparseMatrix<double, Eigen::RowMajor>>(StoredSparse()))), dense(m)));
}

TEST(EigenSparse, DamagedSparseMatricesAreRefused) {
  const auto code = [](auto change) {
    StoredSparse parts;
    change(parts);
    const Errc found = conversion_error<Eigen::SparseMatrix<double>>(parts).code();
    EXPECT_EQ((conversion_error<Eigen::SparseMatrix<double, Eigen::RowMajor>>(parts).code()), found);
    return found;
  };
  EXPECT_EQ(code([](StoredSparse& s) { s.rows = 2; }), Errc::damaged);
  EXPECT_EQ(code([](StoredSparse& s) { s.rows = -3; }), Errc::damaged);
  EXPECT_EQ(code([](StoredSparse& s) { s.rows = std::int64_t{1} << 40; }), Errc::out_of_range);
  EXPECT_EQ(code([](StoredSparse& s) { s.cols = 3; }), Errc::damaged);
  EXPECT_EQ(code([](StoredSparse& s) { s.cols = 1'000'000'000; }), Errc::damaged);
  EXPECT_EQ(code([](StoredSparse& s) { s.order = "A"; }), Errc::malformed);
  EXPECT_EQ(code([](StoredSparse& s) { s.indptr = {}; }), Errc::damaged);
  EXPECT_EQ(code([](StoredSparse& s) { s.indptr = {1, 2, 3}; }), Errc::damaged);
  EXPECT_EQ(code([](StoredSparse& s) { s.indptr = {0, 2, 2}; }), Errc::damaged);
  EXPECT_EQ(code([](StoredSparse& s) { s.indptr = {0, 9, 3}; }), Errc::damaged);
  EXPECT_EQ(code([](StoredSparse& s) { s.indptr = {0, -1, 3}; }), Errc::damaged);
  EXPECT_EQ(code([](StoredSparse& s) { s.indices = {0, 3, 1}; }), Errc::damaged);
  EXPECT_EQ(code([](StoredSparse& s) { s.indices = {2, 0, 1}; }), Errc::damaged);
  EXPECT_EQ(code([](StoredSparse& s) { s.indices = {0, 0, 1}; }), Errc::damaged);
  EXPECT_EQ(code([](StoredSparse& s) { s.indices = {-1, 0, 1}; }), Errc::damaged);
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

TEST(EigenSparse, ASparseMatrixWithoutAPartIsRefused) {
  EXPECT_EQ(conversion_error<Eigen::SparseMatrix<double>>(IncompleteSparse()).code(), Errc::missing_field);
}

TEST(EigenSparse, ASparseMatrixOutOfOrderIsNotWritten) {
  const std::vector<int> starts{0, 2};
  const std::vector<int> indices{1, 0};
  const std::vector<double> values{1, 2};
  const Eigen::Map<const Eigen::SparseMatrix<double>> map(2, 1, 2, starts.data(), indices.data(), values.data());
  EXPECT_EQ(error_of([&] { to_bytes(map); }).code(), Errc::invalid_argument);
}

}  // namespace
}  // namespace stele::test

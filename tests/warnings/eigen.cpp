// Eigen's types through saving, loading and hashing, compiled with many warnings, as a consumer may do.

#include <complex>
#include <vector>

#include <Eigen/Geometry>
#include <unsupported/Eigen/CXX11/Tensor>

#include "stele/eigen.hpp"
#include "stele/eigen/tensor.hpp"
#include "stele/stele.hpp"

namespace {

template <class T>
T through(const T& value) {
  stele::save(value, "a.stele.gz");
  T again = stele::open("a.stele.gz").load<T>();
  stele::load_into(again, "a.stele.gz");
  return stele::describe(value).size() + stele::hash(again).bytes.size() > 0 ? again : stele::load<T>("a.stele");
}

struct Model {
  Eigen::MatrixXf weights;
  Eigen::VectorXd bias;
  Eigen::Matrix<std::int64_t, 3, Eigen::Dynamic, Eigen::RowMajor> table;
  Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::ColMajor, 4, 5> bounded;
  Eigen::Matrix<std::complex<double>, 2, 2> turn;
  Eigen::Matrix<long double, 2, 2> wide;
  Eigen::ArrayXXd cells;
  Eigen::Array<bool, Eigen::Dynamic, 1> mask;
  Eigen::SparseMatrix<double> sparse;
  Eigen::SparseMatrix<float, Eigen::RowMajor, std::int64_t> rows;
  Eigen::SparseVector<float> vector;
  Eigen::Quaterniond rotation;
  Eigen::Isometry3d pose;
  Eigen::DiagonalMatrix<double, Eigen::Dynamic> diagonal;
  Eigen::PermutationMatrix<Eigen::Dynamic> permutation;
  Eigen::Tensor<float, 3> tensor;
  Eigen::TensorFixedSize<double, Eigen::Sizes<2, 3>> fixed;
  std::vector<Eigen::Vector3f> points;
};

}  // namespace

int main() {
  const Model model = through(Model());
  const stele::Array<float, 2> array = stele::load<stele::Array<float, 2>>("a.stele");
  return stele::as_eigen(array).rows() == model.weights.rows() ? 0 : 1;
}

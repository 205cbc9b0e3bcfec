#include "train.hpp"

#include <Eigen/Eigenvalues>
#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <thread>
#include <vector>

namespace demo {
namespace {

constexpr Eigen::Index batch = 1000;

Eigen::Index pixels_of(const stele::Array<std::uint8_t, 3>& pictures) {
  return static_cast<Eigen::Index>(pictures.shape()[1] * pictures.shape()[2]);
}

/// Pictures `first` to `last` as columns of numbers from 0 to 1.
Eigen::MatrixXf columns(const stele::Array<std::uint8_t, 3>& pictures, Eigen::Index first, Eigen::Index last) {
  using Bytes = Eigen::Matrix<std::uint8_t, Eigen::Dynamic, Eigen::Dynamic>;
  const Eigen::Index pixels = pixels_of(pictures);
  return Eigen::Map<const Bytes>(pictures.data() + first * pixels, pixels, last - first).cast<float>() / 255;
}

/// Calls work(first, last) for batches of all pictures, on the machine's threads.
template <class Work>
void in_batches(Eigen::Index count, const Work& work) {
  const auto workers = static_cast<Eigen::Index>(std::clamp(std::thread::hardware_concurrency(), 1u, 16u));
  std::vector<std::jthread> threads;
  for (Eigen::Index worker = 0; worker < workers; ++worker) {
    threads.emplace_back([&work, count, worker, workers] {
      for (Eigen::Index first = worker * batch; first < count; first += workers * batch) {
        work(worker, first, std::min(first + batch, count));
      }
    });
  }
}

}  // namespace

Pca find_components(const stele::Array<std::uint8_t, 3>& pictures, Eigen::Index count) {
  const auto total = static_cast<Eigen::Index>(pictures.shape()[0]);
  const Eigen::Index pixels = pixels_of(pictures);
  std::vector<Eigen::VectorXf> sums(16, Eigen::VectorXf::Zero(pixels));
  std::vector<Eigen::MatrixXf> squares(16);
  in_batches(total, [&](Eigen::Index worker, Eigen::Index first, Eigen::Index last) {
    const auto slot = static_cast<std::size_t>(worker);
    const Eigen::MatrixXf part = columns(pictures, first, last);
    if (squares[slot].size() == 0) {
      squares[slot].setZero(pixels, pixels);
    }
    sums[slot] += part.rowwise().sum();
    squares[slot].selfadjointView<Eigen::Lower>().rankUpdate(part);
  });

  Pca pca;
  pca.mean = std::accumulate(sums.begin(), sums.end(), Eigen::VectorXf(Eigen::VectorXf::Zero(pixels))) /
             static_cast<float>(total);
  Eigen::MatrixXf covariance = Eigen::MatrixXf::Zero(pixels, pixels);
  for (const Eigen::MatrixXf& part : squares) {
    if (part.size() != 0) {
      covariance += part;
    }
  }
  covariance /= static_cast<float>(total);
  covariance.selfadjointView<Eigen::Lower>().rankUpdate(pca.mean, -1);

  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXf> solver(covariance);
  pca.variances = solver.eigenvalues().tail(count).reverse();
  pca.components = solver.eigenvectors().rightCols(count).rowwise().reverse();
  pca.components *= pca.variances.cwiseSqrt().cwiseInverse().asDiagonal();
  return pca;
}

Eigen::MatrixXf project(const ConstVector& mean, const ConstMatrix& components,
                        const stele::Array<std::uint8_t, 3>& pictures) {
  const auto total = static_cast<Eigen::Index>(pictures.shape()[0]);
  Eigen::MatrixXf projected(components.cols(), total);
  in_batches(total, [&](Eigen::Index, Eigen::Index first, Eigen::Index last) {
    const Eigen::MatrixXf part = columns(pictures, first, last).colwise() - mean;
    projected.middleCols(first, last - first).noalias() = components.transpose() * part;
  });
  return projected;
}

Softmax train_softmax(const Eigen::MatrixXf& projected, const stele::Array<std::uint8_t>& labels, int classes,
                      int epochs) {
  constexpr Eigen::Index batch_size = 100;
  constexpr float momentum = 0.9F;
  const Eigen::Index total = projected.cols();
  Softmax softmax{Eigen::MatrixXf::Zero(classes, projected.rows()), Eigen::VectorXf::Zero(classes)};
  Softmax step = softmax;
  std::vector<Eigen::Index> order(static_cast<std::size_t>(total));
  std::iota(order.begin(), order.end(), Eigen::Index{0});
  std::mt19937 random(1);

  for (int epoch = 0; epoch < epochs; ++epoch) {
    const float rate = 0.1F / static_cast<float>(1 + epoch);
    std::shuffle(order.begin(), order.end(), random);
    for (Eigen::Index first = 0; first + batch_size <= total; first += batch_size) {
      const std::vector<Eigen::Index> chosen(order.begin() + first, order.begin() + first + batch_size);
      const Eigen::MatrixXf inputs = projected(Eigen::all, chosen);
      Eigen::MatrixXf error = (softmax.weights * inputs).colwise() + softmax.bias;
      error.rowwise() -= Eigen::RowVectorXf(error.colwise().maxCoeff());
      error = error.array().exp();
      error.array().rowwise() /= Eigen::RowVectorXf(error.colwise().sum()).array();
      for (Eigen::Index i = 0; i < batch_size; ++i) {
        error(labels(chosen[static_cast<std::size_t>(i)]), i) -= 1;
      }
      error /= static_cast<float>(batch_size);
      step.weights = momentum * step.weights - rate * (error * inputs.transpose());
      step.bias = momentum * step.bias - rate * error.rowwise().sum();
      softmax.weights += step.weights;
      softmax.bias += step.bias;
    }
  }
  return softmax;
}

double accuracy(const ConstMatrix& weights, const ConstVector& bias, const Eigen::MatrixXf& projected,
                const stele::Array<std::uint8_t>& labels) {
  const Eigen::MatrixXf scores = (weights * projected).colwise() + bias;
  Eigen::Index right = 0;
  for (Eigen::Index i = 0; i < scores.cols(); ++i) {
    Eigen::Index best = 0;
    scores.col(i).maxCoeff(&best);
    right += best == labels(i);
  }
  return static_cast<double>(right) / static_cast<double>(scores.cols());
}

}  // namespace demo

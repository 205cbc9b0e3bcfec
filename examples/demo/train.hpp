#pragma once
// A principal component analysis of pictures and a softmax classifier on what it leaves.

#include <Eigen/Core>
#include <cstdint>

#include "model.hpp"

namespace demo {

/// The mean picture and the `count` directions in which the pictures differ most.
Pca find_components(const stele::Array<std::uint8_t, 3>& pictures, Eigen::Index count);

/// A classifier for projected pictures, a column each: mini-batch gradient descent with momentum.
Softmax train_softmax(const Eigen::MatrixXf& projected, const stele::Array<std::uint8_t>& labels, int classes,
                      int epochs);

using ConstVector = Eigen::Ref<const Eigen::VectorXf>;
using ConstMatrix = Eigen::Ref<const Eigen::MatrixXf>;

/// The pictures as coordinates along the components, a column each.
Eigen::MatrixXf project(const ConstVector& mean, const ConstMatrix& components,
                        const stele::Array<std::uint8_t, 3>& pictures);

/// The share of columns whose most likely class is the label.
double accuracy(const ConstMatrix& weights, const ConstVector& bias, const Eigen::MatrixXf& projected,
                const stele::Array<std::uint8_t>& labels);

}  // namespace demo

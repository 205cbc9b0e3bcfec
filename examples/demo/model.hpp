#pragma once
// What is saved: plain structs without code for the library. The model consists of Eigen's matrices; the
// structs named ...View have the same fields as arrays that can lie in a mapped file.

#include <Eigen/Core>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "stele/array.hpp"

namespace demo {

struct Set {
  stele::Array<std::uint8_t, 3> pictures;  // [n, 28, 28]
  stele::Array<std::uint8_t> labels;       // [n]
};

struct Data {
  std::string name;
  Set train;
  Set test;
};

struct Pca {
  Eigen::VectorXf mean;        // [784]
  Eigen::MatrixXf components;  // [784, 50], each divided by the deviation along it
  Eigen::VectorXf variances;   // [50]
};

struct Softmax {
  Eigen::MatrixXf weights;  // [10, 50]
  Eigen::VectorXf bias;     // [10]
};

struct Model {
  std::string name;
  Pca pca;
  Softmax softmax;
  std::map<std::string, double> metrics;
  std::vector<std::string> labels;
};

struct PcaView {
  stele::Array<float> mean;
  stele::Array<float, 2> components;
};

struct SoftmaxView {
  stele::Array<float, 2> weights;
  stele::Array<float> bias;
};

struct ModelView {
  std::string name;
  PcaView pca;
  SoftmaxView softmax;
  std::map<std::string, double> metrics;
  std::vector<std::string> labels;
};

}  // namespace demo

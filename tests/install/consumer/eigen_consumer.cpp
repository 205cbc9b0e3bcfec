// Saves a struct of Eigen matrices, loads it whole and in part, and compares.
#include <cstdio>
#include <string>

#include <Eigen/Core>
#include <stele/eigen.hpp>
#include <stele/stele.hpp>

struct Layer {
  std::string name;
  Eigen::MatrixXf weights;
  Eigen::VectorXf bias;
};

int main() {
  const Layer layer{"dense", Eigen::MatrixXf::Random(64, 32), Eigen::VectorXf::Random(64)};
  stele::save(layer, "layer.stele");
  const Layer loaded = stele::load<Layer>("layer.stele");
  auto file = stele::open("layer.stele");
  const auto weights = file.load<Eigen::MatrixXf>("weights");
  if (loaded.name != layer.name || loaded.weights != layer.weights || loaded.bias != layer.bias ||
      weights != layer.weights) {
    std::fprintf(stderr, "loaded another layer than was saved\n");
    return 1;
  }
  return 0;
}

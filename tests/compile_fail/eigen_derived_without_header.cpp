// expect: stele: types of Eigen need #include <stele/eigen.hpp>
#include <Eigen/Dense>
#include <vector>

#include "stele/stele.hpp"

struct Velocity : Eigen::Vector3d {
  using Eigen::Vector3d::Matrix;
};

int main() { stele::to_bytes(std::vector<Velocity>(1)); }

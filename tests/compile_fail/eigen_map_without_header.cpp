// expect: stele: types of Eigen need #include <stele/eigen.hpp>
#include <Eigen/Dense>
#include <vector>

#include "stele/stele.hpp"

int main() {
  float values[6] = {};
  stele::to_bytes(Eigen::Map<Eigen::Matrix2f>(values));
}

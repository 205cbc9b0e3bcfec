// expect: stele: types of Eigen need #include <stele/eigen.hpp>
#include <Eigen/Dense>
#include <Eigen/Sparse>

#include "stele/stele.hpp"

int main() { stele::to_bytes(Eigen::MatrixXf(3, 2)); }

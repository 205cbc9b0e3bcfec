// expect: stele: types of Eigen need #include <stele/eigen.hpp>
#include <unsupported/Eigen/CXX11/Tensor>

#include "stele/stele.hpp"

int main() { stele::hash(Eigen::Tensor<float, 3>(2, 3, 4)); }

#pragma once
// Eigen's types cross the seam: include this beside the Eigen headers whose types are stored.
//
//   Matrix, Array, and Map, Ref, Block and other views of them   one array of rank 1 (vectors) or 2   eigen/dense.hpp
//   expressions                                                  written as the matrix they give      eigen/dense.hpp
//   SparseMatrix, SparseVector                                   a record of three arrays             eigen/sparse.hpp
//   Tensor, TensorFixedSize, TensorMap                           one array                            eigen/tensor.hpp
//   Quaternion, Transform, AlignedBox, permutations, diagonals  the matrix they hold                 eigen/geometry.hpp
//   std::vector of fixed-size vectors, matrices, poses           one array                             eigen/fixed.hpp
//
// as_eigen() gives a stele::Array as an Eigen::Map (eigen/map.hpp).

#include "stele/eigen/dense.hpp"
#include "stele/eigen/fixed.hpp"
#include "stele/eigen/geometry.hpp"
#include "stele/eigen/map.hpp"
#include "stele/eigen/sparse.hpp"
#include "stele/eigen/tensor.hpp"

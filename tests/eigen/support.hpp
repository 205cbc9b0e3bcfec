#pragma once
// Shared by the tests of the Eigen adapters.

#include <gtest/gtest.h>

#include <type_traits>
#include <utility>

#include <Eigen/Core>

#include "stele/archive.hpp"
#include "support/test_support.hpp"

namespace stele::test {

using Eigen::Dynamic;
using RowMatrixXd = Eigen::Matrix<double, Dynamic, Dynamic, Eigen::RowMajor>;
using Matrix3Xd = Eigen::Matrix<double, 3, Dynamic>;
using MatrixX3f = Eigen::Matrix<float, Dynamic, 3>;

/// The coefficients 1, 2, 3, … row by row.
template <class M>
M rising(Eigen::Index rows, Eigen::Index cols) {
  M m;
  m.resize(rows, cols);
  for (Eigen::Index i = 0; i < rows; ++i) {
    for (Eigen::Index j = 0; j < cols; ++j) {
      m(i, j) = typename M::Scalar(static_cast<float>(i * cols + j + 1));
    }
  }
  return m;
}

/// Equality, for types that GoogleTest would take long to compile a message for.
template <class A, class B>
bool same(const A& a, const B& b) {
  if constexpr (std::is_base_of_v<Eigen::EigenBase<A>, A>) {
    if (a.rows() != b.rows() || a.cols() != b.cols()) {
      return false;
    }
    for (Eigen::Index i = 0; i < a.rows(); ++i) {
      for (Eigen::Index j = 0; j < a.cols(); ++j) {
        if (a.coeff(i, j) != b.coeff(i, j)) {
          return false;
        }
      }
    }
    return true;
  } else {
    return a == b;
  }
}

/// The array at the root of an archive, as stored.
template <class T>
ArrayHeader stored(const T& value) {
  const Data bytes = to_bytes(value);
  const Entry root = open(memory_source(bytes)).list().at(0);
  EXPECT_EQ(root.kind, Kind::array);
  return {root.dtype, root.shape, root.order};
}

template <class To, class From>
Error conversion_error(const From& value) {
  return error_of([&] { reread<To>(value); });
}

/// Reads into a view of something.
template <class View>
void read_into_view(Bytes bytes, View view) {
  Reader reader(bytes);
  reader.read_into(view);
}

}  // namespace stele::test

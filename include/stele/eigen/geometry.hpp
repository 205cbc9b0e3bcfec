#pragma once
// Classes of Eigen that hold a matrix or two: Quaternion (x, y, z, w), Transform, DiagonalMatrix, PermutationMatrix
// (its indices) and AlignedBox (min and max).

#include <cstdint>
#include <utility>
#include <vector>

#include "stele/eigen/dense.hpp"

namespace stele {

template <class Scalar, int Options>
struct eigen::FixedMatrix<Eigen::Quaternion<Scalar, Options>> {
  using type = typename Eigen::Quaternion<Scalar, Options>::Coefficients;
};
template <class Scalar, int Dim, int Mode, int Options>
struct eigen::FixedMatrix<Eigen::Transform<Scalar, Dim, Mode, Options>> {
  using type = typename Eigen::Transform<Scalar, Dim, Mode, Options>::MatrixType;
};

template <class Scalar, int Options>
struct Visit<Eigen::Quaternion<Scalar, Options>> {
  using built_in = Eigen::Quaternion<Scalar, Options>;
  using Quaternion = Eigen::Quaternion<Scalar, Options>;
  static void write(OutVisitor& out, const Quaternion& value) { stele::write(out, value.coeffs()); }
  static void read(InVisitor& in, Quaternion& value) { stele::read(in, value.coeffs()); }
};

template <class Scalar, int Dim, int Mode, int Options>
struct Visit<Eigen::Transform<Scalar, Dim, Mode, Options>> {
  using built_in = Eigen::Transform<Scalar, Dim, Mode, Options>;
  using Transform = Eigen::Transform<Scalar, Dim, Mode, Options>;
  static void write(OutVisitor& out, const Transform& value) { stele::write(out, value.matrix()); }
  static void read(InVisitor& in, Transform& value) { stele::read(in, value.matrix()); }
};

template <class Scalar, int Size, int MaxSize>
struct Visit<Eigen::DiagonalMatrix<Scalar, Size, MaxSize>> {
  using built_in = Eigen::DiagonalMatrix<Scalar, Size, MaxSize>;
  using Diagonal = Eigen::DiagonalMatrix<Scalar, Size, MaxSize>;
  static void write(OutVisitor& out, const Diagonal& value) { stele::write(out, value.diagonal()); }
  static void read(InVisitor& in, Diagonal& value) { stele::read(in, value.diagonal()); }
};

template <int Size, int MaxSize, class Index>
struct Visit<Eigen::PermutationMatrix<Size, MaxSize, Index>> {
  using built_in = Eigen::PermutationMatrix<Size, MaxSize, Index>;
  using Permutation = Eigen::PermutationMatrix<Size, MaxSize, Index>;
  static void write(OutVisitor& out, const Permutation& value) { stele::write(out, value.indices()); }
  static void read(InVisitor& in, Permutation& value) {
    typename Permutation::IndicesType indices;
    stele::read(in, indices);
    std::vector<bool> seen(static_cast<std::size_t>(indices.size()));
    for (const Index index : indices) {
      if (!std::in_range<std::size_t>(index) || static_cast<std::size_t>(index) >= seen.size() ||
          seen[static_cast<std::size_t>(index)]) {
        in.error(Errc::damaged, "the indices are not a permutation");
      }
      seen[static_cast<std::size_t>(index)] = true;
    }
    value.indices() = indices;
  }
};

template <class Scalar, int Dim>
struct Visit<Eigen::AlignedBox<Scalar, Dim>> {
  static void visit(auto& v, auto& self) {
    v("min", (self.min)());
    v("max", (self.max)());
  }
};

}  // namespace stele

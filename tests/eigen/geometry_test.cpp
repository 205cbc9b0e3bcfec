// Quaternions, transforms, boxes, diagonal and permutation matrices.

#include "stele/eigen.hpp"

#include <gtest/gtest.h>

#include <vector>

#include <Eigen/Geometry>

#include "eigen/support.hpp"

namespace stele::test {
namespace {

TEST(EigenGeometry, GeometryComesBack) {
  const Eigen::Quaterniond q(1, 2, 3, 4);
  EXPECT_TRUE(same(round_trip(q).coeffs(), q.coeffs()));
  EXPECT_TRUE(same(reread<Eigen::Vector4d>(q), Eigen::Vector4d(2, 3, 4, 1)));
  Eigen::Isometry3d pose = Eigen::Isometry3d::Identity();
  pose.rotate(q.normalized()).pretranslate(Eigen::Vector3d(1, 2, 3));
  EXPECT_TRUE(same(round_trip(pose).matrix(), pose.matrix()));
  const Eigen::AffineCompact2f compact(Eigen::Translation2f(3, 4));
  EXPECT_TRUE(same(round_trip(compact).matrix(), compact.matrix()));
  const Eigen::AlignedBox3f box(Eigen::Vector3f(0, 1, 2), Eigen::Vector3f(3, 4, 5));
  EXPECT_TRUE(same((round_trip(box).min)(), (box.min)()));
  EXPECT_TRUE(same((round_trip(box).max)(), (box.max)()));
  const Eigen::DiagonalMatrix<float, 3> diagonal(1, 2, 3);
  EXPECT_TRUE(same(round_trip(diagonal).diagonal(), diagonal.diagonal()));
}

TEST(EigenGeometry, VectorsOfPosesAreOneArray) {
  std::vector<Eigen::Isometry3d> poses(3, Eigen::Isometry3d::Identity());
  poses[1].pretranslate(Eigen::Vector3d(1, 2, 3));
  EXPECT_EQ(stored(poses).shape, (Shape{3, 4, 4}));
  const auto loaded = round_trip(poses);
  EXPECT_TRUE(same(loaded.at(1).matrix(), poses[1].matrix()));
  const std::vector<Eigen::Quaternionf> rotations(5, Eigen::Quaternionf(1, 2, 3, 4));
  EXPECT_EQ(stored(rotations).shape, (Shape{5, 4}));
  EXPECT_TRUE(same(round_trip(rotations).at(4).coeffs(), rotations[4].coeffs()));
}

TEST(EigenGeometry, PermutationsAreChecked) {
  Eigen::PermutationMatrix<Dynamic> permutation(4);
  permutation.indices() << 2, 0, 3, 1;
  EXPECT_TRUE(same(round_trip(permutation).indices(), permutation.indices()));
  for (const int wrong : {2, 4, -1}) {
    const Eigen::Vector4i indices(0, 1, 2, wrong);
    EXPECT_EQ(conversion_error<Eigen::PermutationMatrix<Dynamic>>(indices).code(), Errc::damaged);
  }
}

}  // namespace
}  // namespace stele::test

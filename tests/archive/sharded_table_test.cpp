// Whether the boxes of a manifest make up an array.

#include "archive/sharded/table.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "stele/error.hpp"
#include "support/test_support.hpp"

namespace stele::shards {
namespace {

using Extents = std::vector<std::uint64_t>;

Manifest manifest_of(const Extents& shape, std::vector<Box> boxes) {
  Manifest manifest;
  manifest.files.push_back({"part", 1, 1});
  manifest.all.arrays["x"] = {dtype_text(DType(DType::Kind::float32)), shape, std::move(boxes)};
  return manifest;
}
bool is_good(const Extents& shape, const std::vector<Box>& boxes) {
  Manifest read = manifest_of(shape, boxes);
  try {
    check_read(read);
    return true;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Errc::damaged);
    EXPECT_EQ(error.path(), "x");
    return false;
  }
}
/// Cuts a box again and again, at random places.
std::vector<Box> cut(const Extents& shape, std::size_t pieces, std::mt19937& random) {
  std::vector<Box> boxes{{0, "k", Extents(shape.size(), 0), shape}};
  pieces = std::min<std::size_t>(pieces, Shape(shape).count());
  while (boxes.size() < pieces) {
    Box& box = boxes[random() % boxes.size()];
    const std::size_t axis = random() % shape.size();
    if (box.extents[axis] < 2) {
      continue;
    }
    const std::uint64_t at = 1 + random() % (box.extents[axis] - 1);
    Box rest = box;
    rest.first[axis] += at;
    rest.extents[axis] -= at;
    box.extents[axis] = at;
    boxes.push_back(std::move(rest));
  }
  std::shuffle(boxes.begin(), boxes.end(), random);
  return boxes;
}
std::uint64_t elements(const Box& box) { return Shape(box.extents).count(); }

TEST(ShardedTable, BoxesThatMakeUpAnArray) {
  EXPECT_TRUE(is_good({}, {{0, "k", {}, {}}}));
  EXPECT_TRUE(is_good({0, 7}, {}));
  EXPECT_TRUE(is_good({5}, {{0, "k", {0}, {5}}}));
  std::mt19937 random(1);
  for (std::size_t rank = 1; rank <= 6; ++rank) {
    for (int round = 0; round < 30; ++round) {
      const Extents shape(rank, 200);
      std::vector<Box> boxes = cut(shape, 1 + random() % 40, random);
      EXPECT_TRUE(is_good(shape, boxes));
      Manifest written = manifest_of(shape, boxes);
      check_boxes(written);
      EXPECT_EQ(written.all.arrays.at("x").boxes.size(), boxes.size());
    }
  }
}

TEST(ShardedTable, OverlapsThatAGapMakesUpForAreFound) {
  EXPECT_FALSE(is_good({}, {}));
  EXPECT_FALSE(is_good({}, {{0, "k", {}, {}}, {0, "k", {}, {}}}));
  EXPECT_FALSE(is_good({2, 2}, {{0, "k", {0, 0}, {1, 2}}, {0, "k", {0, 0}, {1, 2}}}));
  EXPECT_FALSE(is_good({2, 2}, {{0, "k", {0, 0}, {1, 2}}, {0, "k", {0, 0}, {2, 1}}}));
  EXPECT_FALSE(is_good({4}, {{0, "k", {0}, {3}}, {0, "k", {2}, {1}}}));
  std::mt19937 random(2);
  int as_large = 0;
  for (std::size_t rank = 1; rank <= 5; ++rank) {
    for (int round = 0; round < 200; ++round) {
      const Extents shape(rank, 12);
      const std::vector<Box> good = cut(shape, 2 + random() % 20, random);
      std::vector<Box> bad = good;
      Box& one = bad[random() % bad.size()];
      const std::uint64_t before = elements(one);
      const std::size_t axis = random() % rank;
      if (round % 2 == 0) {  // as many elements at another place
        one.first[axis] = random() % (shape[axis] - one.extents[axis] + 1);
      } else {
        one = bad[random() % bad.size()];
      }
      as_large += elements(one) == before ? 1 : 0;
      const bool same = std::is_permutation(bad.begin(), bad.end(), good.begin(), [](const Box& a, const Box& b) {
        return a.first == b.first && a.extents == b.extents;
      });
      EXPECT_EQ(is_good(shape, bad), same) << rank << " " << round;
    }
  }
  EXPECT_GT(as_large, 500);
}

TEST(ShardedTable, BoxesThatDoNotFit) {
  EXPECT_FALSE(is_good({4}, {{0, "k", {0}, {5}}}));
  EXPECT_FALSE(is_good({4}, {{0, "k", {~std::uint64_t{0}}, {5}}}));
  EXPECT_FALSE(is_good({4}, {{0, "k", {0, 0}, {4, 1}}}));
  EXPECT_FALSE(is_good({4}, {{1, "k", {0}, {4}}}));
  EXPECT_FALSE(is_good({std::uint64_t{1} << 40, std::uint64_t{1} << 40},
                       {{0, "k", {0, 0}, {std::uint64_t{1} << 40, std::uint64_t{1} << 40}}}));
}

TEST(ShardedTable, ManyBoxesBesideEachOtherAreCheckedAtOnce) {
  constexpr std::uint64_t count = 300'000;  // comparing all pairs would take minutes
  std::vector<Box> boxes;
  for (std::uint64_t i = 0; i < count; ++i) {
    boxes.push_back({0, "k", {0, i}, {8, 1}});
  }
  Manifest written = manifest_of({8, count}, boxes);
  check_boxes(written);
  EXPECT_TRUE(is_good({8, count}, boxes));
  boxes[7] = boxes[8];
  EXPECT_FALSE(is_good({8, count}, boxes));
}

}  // namespace
}  // namespace stele::shards

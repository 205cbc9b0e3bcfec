// Which checkpoints are kept.

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "services/checkpoint/retention.hpp"
#include "stele/checkpoint.hpp"
#include "support/test_support.hpp"

namespace stele {
namespace {

std::vector<std::uint64_t> kept(const std::vector<CheckpointInfo>& all, const CheckpointOptions& options, double now) {
  const std::vector<bool> keep = checkpoints_to_keep(all, options, now);
  std::vector<std::uint64_t> steps;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (keep[i]) {
      steps.push_back(all[i].step);
    }
  }
  return steps;
}

/// Steps 10, 20 … 100, a minute apart, with losses.
std::vector<CheckpointInfo> run() {
  const std::vector<double> losses{9, 5, 7, std::numeric_limits<double>::quiet_NaN(), 1, 3, 1, 8, 6, 4};
  std::vector<CheckpointInfo> all;
  for (std::size_t i = 0; i < losses.size(); ++i) {
    CheckpointInfo info{.step = 10 * (i + 1), .created = 1000 + 60.0 * static_cast<double>(i)};
    info.metrics.emplace("loss", losses[i]);
    all.push_back(info);
  }
  return all;
}

using Steps = std::vector<std::uint64_t>;

TEST(Retention, KeepsAllWithoutAPolicy) { EXPECT_EQ(kept(run(), {}, 2000).size(), 10); }

TEST(Retention, UnitesPolicies) {
  EXPECT_EQ(kept(run(), {.keep_last = 2}, 2000), (Steps{90, 100}));
  EXPECT_EQ(kept(run(), {.keep_last = 99}, 2000).size(), 10);
  EXPECT_EQ(kept(run(), {.keep_every = 30}, 2000), (Steps{30, 60, 90, 100}));  // and the newest
  EXPECT_EQ(kept(run(), {.keep_last = 2, .keep_every = 50}, 2000), (Steps{50, 90, 100}));
  EXPECT_EQ(kept(run(), {.keep_interval_s = 150}, 2000), (Steps{10, 40, 70, 100}));
  EXPECT_EQ(kept(run(), {.keep_age_s = 70}, 1600), (Steps{100}));
  EXPECT_EQ(kept(run(), {.keep_age_s = 130}, 1600), (Steps{90, 100}));
  EXPECT_EQ(kept(run(), {.keep_age_s = 1}, 1e9), (Steps{100}));
}

TEST(Retention, KeepsTheBest) {
  EXPECT_EQ(kept(run(), {.keep_best = {{.metric = "loss"}}}, 2000), (Steps{70, 100}));  // of equal ones the newest
  EXPECT_EQ(kept(run(), {.keep_best = {{.metric = "loss", .count = 3}}}, 2000), (Steps{50, 60, 70, 100}));
  EXPECT_EQ(kept(run(), {.keep_best = {{.metric = "loss", .largest = true, .count = 2}}}, 2000), (Steps{10, 80, 100}));
  EXPECT_EQ(kept(run(), {.keep_best = {{.metric = "loss", .count = 99}}}, 2000).size(), 9);  // NaN is none of them
  EXPECT_EQ(kept(run(), {.keep_best = {{.metric = "none"}}}, 2000), (Steps{100}));
  EXPECT_EQ(kept(run(), {.keep_best = {{.metric = "loss"}, {.metric = "loss", .largest = true}}}, 2000),
            (Steps{10, 70, 100}));
}

TEST(Retention, OfNothing) { EXPECT_TRUE(kept({}, {.keep_last = 1}, 0).empty()); }

TEST(Retention, TakesPlaceAsCheckpointsAreSaved) {
  const test::Folder place;
  Checkpoints saved =
      Checkpoints::open(place / "steps", {.keep_last = 2, .keep_every = 4, .keep_best = {{.metric = "loss"}}});
  for (std::uint64_t step = 1; step <= 9; ++step) {
    saved.save(step, step, {.metrics = {{"loss", std::abs(static_cast<double>(step) - 3)}}});
    EXPECT_EQ(saved.latest(), step);
  }
  EXPECT_EQ(saved.steps(), (Steps{3, 4, 8, 9}));
  EXPECT_EQ(saved.best("loss"), 3);
  EXPECT_EQ(saved.best("loss", true), 9);
  EXPECT_EQ(saved.best("none"), std::nullopt);
  Checkpoints fewer = Checkpoints::open(place / "steps", {.keep_last = 1});
  EXPECT_EQ(fewer.steps().size(), 4);  // opening removes none
  EXPECT_EQ(fewer.prune(), (Steps{3, 4, 8}));
  EXPECT_EQ(fewer.steps(), (Steps{9}));
}

}  // namespace
}  // namespace stele

// The folder tests/golden/linked must never change: an archive and a linked one, which every later version reads.
// STELE_WRITE_GOLDEN=1 writes it if it is missing.

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "stele/checkpoint.hpp"
#include "support/test_support.hpp"

namespace stele {
namespace {

using State = std::map<std::string, std::vector<std::uint8_t>>;

State state(std::uint64_t step) {
  return {{"changes", std::vector<std::uint8_t>(5000, static_cast<std::uint8_t>(step))},
          {"stays", std::vector<std::uint8_t>(70'000, 7)}};
}

TEST(Golden, LinkedArchiveLoads) {
  const std::string folder = std::string(STELE_TESTS_DIR) + "/golden/linked";
  if (std::getenv("STELE_WRITE_GOLDEN") != nullptr && !std::filesystem::exists(folder)) {
    Checkpoints written = Checkpoints::open(folder, {.sync = Sync::none});
    written.save(1, state(1), {.metrics = {{"loss", 0.5}}});
    written.save(2, state(2), {.metrics = {{"loss", 0.25}}, .metadata = {{"by", "golden"}}});
    std::filesystem::remove(folder + "/writer.lock");
  }
  const Checkpoints kept = Checkpoints::open(folder, {.read_only = true});
  EXPECT_EQ(kept.steps(), (std::vector<std::uint64_t>{1, 2}));
  EXPECT_TRUE(kept.verify().damaged.empty());
  const CheckpointInfo info = kept.info(2);
  EXPECT_EQ(info.referred, 70'000);
  EXPECT_EQ(info.metrics.at("loss"), 0.25);
  EXPECT_EQ(info.metadata.at("by").text(), "golden");
  for (const std::uint64_t step : {std::uint64_t{1}, std::uint64_t{2}}) {
    EXPECT_EQ(kept.restore<State>({.step = step}), state(step));
    EXPECT_EQ(kept.restore<State>({.step = step, .map = MapMode::read_only}), state(step));
  }
  EXPECT_EQ(load<State>(info.file), state(2));
}

}  // namespace
}  // namespace stele

#pragma once
// The commands of `stele checkpoints`, one function each, as in commands.hpp.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "stele/checkpoint.hpp"

namespace stele::cli {

struct CheckpointsGiven {
  std::string folder;
  std::optional<std::uint64_t> step;
  std::vector<std::uint64_t> steps;
  CheckpointOptions keep;  // what of it is kept
  bool dry_run = false;
  std::string output;
  std::string codec;
  std::optional<int> level;
  std::string plot;
  bool json = false;
};
int checkpoints_ls(const CheckpointsGiven& options);
int checkpoints_show(const CheckpointsGiven& options);
int checkpoints_stat(const CheckpointsGiven& options);
int checkpoints_verify(const CheckpointsGiven& options);
int checkpoints_prune(const CheckpointsGiven& options);
int checkpoints_rm(const CheckpointsGiven& options);
int checkpoints_export(const CheckpointsGiven& options);
int checkpoints_diff(const CheckpointsGiven& options);

/// Lines over steps.
struct PlotLine {
  std::string name;
  std::vector<std::pair<std::uint64_t, double>> points;  // step, value; what is not finite leaves a gap
};
/// One picture with a panel for each title, an SVG document. Each line has a scale of its own, which its label tells.
std::string plot_svg(const std::vector<std::pair<std::string, std::vector<PlotLine>>>& panels);

}  // namespace stele::cli

#pragma once
// The options of `stele checkpoints` and its commands.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

namespace stele::cli {

class CheckpointsCommands {
 public:
  /// Called with the chosen command: the file for messages, and the function to run.
  using Chosen = std::function<void(const std::string& file, std::function<int()> run)>;
  /// Adds the commands to `app`. `json` is set by its flag; both must outlive this object.
  CheckpointsCommands(CLI::App& app, bool& json, const std::vector<std::string>& codecs, Chosen chosen);
  ~CheckpointsCommands();
  CheckpointsCommands(const CheckpointsCommands&) = delete;
  CheckpointsCommands& operator=(const CheckpointsCommands&) = delete;

 private:
  class Options;
  std::unique_ptr<Options> options_;
};

}  // namespace stele::cli

#pragma once
// The options of `stele store` and its commands.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

namespace stele::cli {

class StoreCommands {
 public:
  /// Told of the command that was given: what to run, and the file to name in messages.
  using Chosen = std::function<void(const std::string& file, std::function<int()> run)>;
  /// Adds them to `app`. `json` is set by its flag; both must outlive this.
  StoreCommands(CLI::App& app, bool& json, const std::vector<std::string>& codecs, Chosen chosen);
  ~StoreCommands();
  StoreCommands(const StoreCommands&) = delete;
  StoreCommands& operator=(const StoreCommands&) = delete;

 private:
  class Options;
  std::unique_ptr<Options> options_;
};

}  // namespace stele::cli

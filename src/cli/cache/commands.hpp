#pragma once
// The options of `stele cache` and its commands.

#include <functional>
#include <memory>
#include <string>

#include <CLI/CLI.hpp>

namespace stele::cli {

class CacheCommands {
 public:
  /// Called with the chosen command: the file for messages, and the function to run.
  using Chosen = std::function<void(const std::string& file, std::function<int()> run)>;
  /// Adds the commands to `app`. `json` is set by its flag; both must outlive this object.
  CacheCommands(CLI::App& app, bool& json, Chosen chosen);
  ~CacheCommands();
  CacheCommands(const CacheCommands&) = delete;
  CacheCommands& operator=(const CacheCommands&) = delete;

 private:
  class Options;
  std::unique_ptr<Options> options_;
};

}  // namespace stele::cli

#pragma once
// What the commands share on the command line: how they are added, and the options that several of them have.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

namespace stele::cli {

/// The parsed command line, with the chosen command. Commands refer to it: it is not copied.
class CommandLine {
 public:
  template <class Options>
  struct Command {
    CLI::App& app;
    Options& options;  // live as long as `app`
  };

  CommandLine();
  CommandLine(const CommandLine&) = delete;
  CommandLine& operator=(const CommandLine&) = delete;

  CLI::App app{
      "Looks at stele archives, checks them, takes them apart, converts them and measures how best to save them.",
      "stele"};
  std::vector<std::string> codecs;  // their names, plain first
  bool json = false;
  std::string file;          // for messages
  std::function<int()> run;  // the chosen command

  /// Adds a command that has commands.
  CLI::App& add_group(const char* name, const char* about);
  /// Adds a command. `named` is the option that names the file in messages; without `flag` it has no --json of its own.
  template <class Options>
  Command<Options> add(CLI::App& to, const char* name, const char* about, int (*function)(const Options&),
                       std::string Options::* named = nullptr, bool flag = true) {
    CLI::App& command = *to.add_subcommand(name, about);
    if (flag) {
      add_json(command);
    }
    const auto options = std::make_shared<Options>();
    command.callback([this, options, function, named] {
      file = named != nullptr ? (*options).*named : "";
      run = [this, options, function] {
        options->json = json;
        return function(*options);
      };
    });
    return {command, *options};
  }

  void add_json(CLI::App& command);
  CLI::Option* add_codec(CLI::App& command, std::string& codec,
                         const char* about = "The codec of OUT [by its extension, else plain]") const;

 private:
  void add_archive_commands();
  void add_cache_commands();
  void add_checkpoints_commands();
  void add_store_commands();
};

/// Adds a positional option that must be given.
void add_required(CLI::App& command, const char* name, std::string& to, const char* about);
CLI::Option* add_level(CLI::App& command, std::optional<int>& level);

}  // namespace stele::cli

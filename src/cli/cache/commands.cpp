#include "cli/cache/commands.hpp"

#include <utility>

#include "cli/cache/cache.hpp"
#include "cli/print/numbers.hpp"

namespace stele::cli {

class CacheCommands::Options {
 public:
  Options(CLI::App& app, bool& json, Chosen chosen)
      : json_(json),
        chosen_(std::move(chosen)),
        cache_(*app.add_subcommand("cache", "A result cache: look at it, make it smaller, check it")) {
    cache_.require_subcommand(1);
    add_json(cache_);
    CLI::App& ls = add_command("ls", "The results, those used last first", cache_ls);
    ls.add_option("--sort", options_.sort, "used, size, age or hits: the largest first, of age the oldest [used]")
        ->check(CLI::IsMember({"used", "size", "age", "hits"}))
        ->type_name("HOW");
    add_number(ls, "--limit", options_.limit, "At most this many [all]")->type_name("N");
    add_name(ls, "Only results of this function");
    add_command("stat", "Numbers of results, bytes, hits and misses", cache_stat);
    CLI::App& prune =
        add_command("prune", "Remove what has expired, results beyond these limits, and leftovers", cache_prune);
    add_number(prune, "--bytes", options_.bytes, "Bytes of all results")->type_name("N");
    add_number(prune, "--items", options_.items, "Results")->type_name("N");
    add_real(prune, "--age", options_.age, "Seconds since a result was computed", 0, 1e12)->type_name("SECONDS");
    add_command("verify", "Check every result; the exit code is 1 if one is damaged", cache_verify);
    add_command("push", "Write the results that a remote lacks to it: a folder, or a URL", cache_push)
        .add_option("REMOTE", options_.remote, "As caches are opened with")
        ->required()
        ->type_name("");
    add_name(add_command("clear", "Remove all results, or those of one function", cache_clear), "The function [all]");
  }

 private:
  CLI::App& add_command(const char* name, const char* about, int (*function)(const CacheOptionsGiven&)) {
    CLI::App& command = *cache_.add_subcommand(name, about);
    command.add_option("DIR", options_.folder, "The folder of the cache")->required()->type_name("");
    add_json(command);
    command.callback([this, function] {
      chosen_(options_.folder, [this, function] {
        options_.json = json_;
        return function(options_);
      });
    });
    return command;
  }
  void add_json(CLI::App& command) { command.add_flag("--json", json_, "Print one JSON document, errors included"); }
  void add_name(CLI::App& command, const char* about) {
    CLI::Option* const name = command.add_option("--name", options_.name, about)->type_name("NAME");
    command.add_option("--function-version", options_.version, "Only results of this version of it")
        ->needs(name)
        ->type_name("VERSION");
  }

  bool& json_;
  const Chosen chosen_;
  CLI::App& cache_;
  CacheOptionsGiven options_;
};

CacheCommands::CacheCommands(CLI::App& app, bool& json, Chosen chosen)
    : options_(std::make_unique<Options>(app, json, std::move(chosen))) {}
CacheCommands::~CacheCommands() = default;

}  // namespace stele::cli

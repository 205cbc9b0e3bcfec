// The options of `stele cache` and its commands.

#include "cli/cache/cache.hpp"
#include "cli/command_line.hpp"
#include "cli/print/numbers.hpp"

namespace stele::cli {
namespace {

void add_name(CLI::App& command, CacheOptionsGiven& to, const char* about) {
  CLI::Option* const name = command.add_option("--name", to.name, about)->type_name("NAME");
  command.add_option("--function-version", to.version, "Only results of this version of it")
      ->needs(name)
      ->type_name("VERSION");
}

}  // namespace

void CommandLine::add_cache_commands() {
  CLI::App& cache = add_group("cache", "A result cache: look at it, make it smaller, check it");
  const auto add_cache = [&](const char* name, const char* about, int (*function)(const CacheOptionsGiven&)) {
    const auto added = add(cache, name, about, function, &CacheOptionsGiven::folder);
    add_required(added.app, "DIR", added.options.folder, "The folder of the cache");
    return added;
  };
  {
    const auto [command, to] = add_cache("ls", "The results, those used last first", cache_ls);
    command.add_option("--sort", to.sort, "used, size, age or hits: the largest first, of age the oldest [used]")
        ->check(CLI::IsMember({"used", "size", "age", "hits"}))
        ->type_name("HOW");
    add_number(command, "--limit", to.limit, "At most this many [all]")->type_name("N");
    add_name(command, to, "Only results of this function");
  }
  add_cache("stat", "Numbers of results, bytes, hits and misses", cache_stat);
  {
    const auto [command, to] =
        add_cache("prune", "Remove what has expired, results beyond these limits, and leftovers", cache_prune);
    add_number(command, "--bytes", to.bytes, "Bytes of all results")->type_name("N");
    add_number(command, "--items", to.items, "Results")->type_name("N");
    add_real(command, "--age", to.age, "Seconds since a result was computed", 0, 1e12)->type_name("SECONDS");
  }
  add_cache("verify", "Check every result; the exit code is 1 if one is damaged", cache_verify);
  {
    const auto [command, to] =
        add_cache("push", "Write the results that a remote lacks to it: a folder, or a URL", cache_push);
    add_required(command, "REMOTE", to.remote, "As caches are opened with");
  }
  {
    const auto [command, to] = add_cache("clear", "Remove all results, or those of one function", cache_clear);
    add_name(command, to, "The function [all]");
  }
}

}  // namespace stele::cli

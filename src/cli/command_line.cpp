#include "cli/command_line.hpp"

#include "cli/print/numbers.hpp"
#include "stele/codec.hpp"
#include "stele/version.hpp"

namespace stele::cli {
namespace {

constexpr const char* footer =
    R"(FILE may be - for standard input; OUT may be - for standard output. PATH is a JSON Pointer without the
leading slash, as in layers/3/weights (~1 stands for a slash in a name, ~0 for a tilde).

Exit codes:
  0  all is well
  1  the input is damaged or no archive
  2  wrong usage
  3  no such file, no such path in the archive, or no such key in the store
  4  input or output failed: disk full, no permission, another writer holds the file or the store
  5  unsupported by this version or build, or beyond a limit)";

}  // namespace

CommandLine::CommandLine() {
  app.require_subcommand(1);
  app.set_help_flag("-h,--help", "Print this help and exit");
  app.set_version_flag("--version",
                       std::string("stele ") + version_string + " (file format " + std::to_string(format_version) + ")",
                       "Print the version and exit");
  add_json(app);
  app.footer(footer);
  codecs = {"plain"};
  const Codecs known;
  for (const auto& codec : known.all()) {
    codecs.emplace_back(codec->name());
  }
  add_archive_commands();
  add_cache_commands();
  add_checkpoints_commands();
#if STELE_WITH_STORE
  add_store_commands();
#endif
}

CLI::App& CommandLine::add_group(const char* name, const char* about) {
  CLI::App& group = *app.add_subcommand(name, about);
  group.require_subcommand(1);
  add_json(group);
  return group;
}

void CommandLine::add_json(CLI::App& command) {
  command.add_flag("--json", json, "Print one JSON document, errors included");
}

CLI::Option* CommandLine::add_codec(CLI::App& command, std::string& codec, const char* about) const {
  return command.add_option("--codec", codec, about)->check(CLI::IsMember(codecs))->type_name("NAME");
}

void add_required(CLI::App& command, const char* name, std::string& to, const char* about) {
  command.add_option(name, to, about)->required()->type_name("");
}

CLI::Option* add_level(CLI::App& command, std::optional<int>& level) {
  return add_number(command, "--level", level, "The codec's level; `stele codecs` lists them")->type_name("N");
}

}  // namespace stele::cli

// The options of the commands for archives.

#include "cli/commands.hpp"

#include <algorithm>
#include <utility>

#include "cli/command_line.hpp"
#include "cli/print/numbers.hpp"

namespace stele::cli {
namespace {

constexpr const char* archive = "The archive, - for standard input";

void add_path(CLI::App& command, std::string& path, bool required = false) {
  command.add_option("PATH", path, required ? "A value in it; \"\" for the whole" : "A value in it [the whole]")
      ->required(required)
      ->type_name("");
}

void add_offset(CLI::App& command, std::uint64_t& offset) {
  add_number(command, "--offset", offset, "Where the archive begins in the file", {.most = INT64_MAX})
      ->type_name("BYTES");
}

void add_threads(CLI::App& command, unsigned& threads) {
  add_number(command, "--threads", threads, "Threads; 0: as many as the machine has", {.most = 1024})->type_name("N");
}

template <class Enum>
void add_choice(CLI::App& command, const char* name, Enum& value, const char* about,
                const std::vector<std::pair<std::string, Enum>>& choices) {
  std::vector<std::string> names;
  names.reserve(choices.size());
  for (const auto& choice : choices) {
    names.push_back(choice.first);
  }
  const auto choose = [&value, choices](const std::string& text) {
    value = std::find_if(choices.begin(), choices.end(), [&](const auto& c) { return c.first == text; })->second;
  };
  command.add_option_function<std::string>(name, choose, about)->check(CLI::IsMember(names))->type_name("HOW");
}

void add_saving(CLI::App& command, Sync& sync, bool& in_place) {
  command.add_flag("--in-place", in_place,
                   "Overwrite OUT in place instead of replacing it; not atomic, for mounted files");
  add_choice<Sync>(command, "--sync", sync, "What to sync to the device at the end [none]",
                   {{"none", Sync::none}, {"file", Sync::file}, {"file_folder", Sync::file_folder}});
}

CLI::Option* add_filter(CLI::App& command, std::string& filter, const char* about) {
  return command.add_option("--filter", filter, about)->type_name("NAME");
}

}  // namespace

void CommandLine::add_archive_commands() {
  {
    const auto [command, to] = add(app, "info", "What is known of an archive as a whole", info, &InfoOptions::file);
    add_required(command, "FILE", to.file, archive);
    add_offset(command, to.offset);
  }
  {
    const auto [command, to] =
        add(app, "ls", "The values of an archive as a tree; arrays are not read", ls, &LsOptions::file);
    add_required(command, "FILE", to.file, archive);
    add_path(command, to.path);
    add_number(command, "--depth", to.depth, "Levels shown below PATH [all]")->type_name("N");
    add_number(command, "--max-items", to.max_items, "Items shown of one container [100; 7 of many scalars]")
        ->type_name("N");
    command.add_flag("--all", to.all, "Leave nothing out")->excludes("--max-items");
    command.add_flag("--arrays", to.arrays, "All arrays, with their full paths, and nothing else");
    add_offset(command, to.offset);
  }
  {
    const auto [command, to] =
        add(app, "show",
            "A value, or a part of an array: 'rows[1000:1010, -1]'; of large arrays the first and last elements", show,
            &ShowOptions::file);
    add_required(command, "FILE", to.file, archive);
    add_path(command, to.path);
    add_number(command, "--items", to.items, "Elements at each end of an array's axes [3]; items of a container [8]")
        ->type_name("N");
    add_number(command, "--depth", to.depth, "Levels shown below PATH [64]")->type_name("N");
    command.add_flag("--full", to.full, "Leave nothing out")->excludes("--items");
    add_choice<Verify>(command, "--verify", to.verify,
                       "How much is checked; automatic: whole pieces of arrays, in plain files all pieces",
                       {{"automatic", Verify::automatic},
                        {"none", Verify::none},
                        {"directory", Verify::directory},
                        {"full", Verify::full}});
    add_threads(command, to.threads);
    add_offset(command, to.offset);
  }
  {
    const auto [command, to] =
        add(app, "extract", "A value, or a part of an array, as an archive of its own", extract, &ExtractOptions::file);
    add_required(command, "FILE", to.file, archive);
    add_path(command, to.path, true);
    command.add_option("-o,--output", to.output, "The output, - for standard output")->required()->type_name("OUT");
    CLI::Option* raw = command.add_flag(
        "--raw", to.raw, "Only the elements of an array (little-endian, row-major), or a text or bytes as they are");
    add_codec(command, to.codec)->excludes(raw);
    add_level(command, to.level)->excludes(raw);
    add_filter(command, to.filter, "How arrays are encoded before they are compressed [auto]")->excludes(raw);
    add_threads(command, to.threads);
    add_saving(command, to.sync, to.in_place);
    add_offset(command, to.offset);
  }
  {
    const auto [command, to] = add(app, "verify", "Check every byte of archives against their checksums", verify);
    command.add_option("FILE", to.files, "Files with one or more archives, - for standard input")
        ->required()
        ->type_name("");
    add_threads(command, to.threads);
  }
  {
    const auto [command, to] =
        add(app, "recover", "How far a file of appended entries is whole, and what a crash has left after that",
            recover, &RecoverOptions::file);
    add_required(command, "FILE", to.file, "The file that an Appender wrote");
    command.add_flag("--cut", to.cut, "Cut off what a crash has left; never what is damaged");
    add_threads(command, to.threads);
  }
  {
    const auto [command, to] =
        add(app, "types", "The classes and functions that a pickle, a joblib file or an archive of such objects names",
            types, &TypesOptions::file);
    add_required(command, "FILE", to.file, archive);
  }
  {
    const auto [command, to] =
        add(app, "convert", "The same archives under another codec, checked on the way; or a file in another format",
            convert, &ConvertOptions::input);
    add_required(command, "IN", to.input, archive);
    add_required(command, "OUT", to.output, "The output, - for standard output; a file appears when it is complete");
    add_codec(command, to.codec);
    add_level(command, to.level);
    add_filter(command, to.filter,
               "Load and save again with this filter for arrays: auto, none, … [the same bytes; encoded arrays decoded "
               "for a plain file]");
    add_threads(command, to.threads);
    add_saving(command, to.sync, to.in_place);
  }
  {
    const auto [command, to] =
        add(app, "bench", "An object saved and loaded in many ways: sizes, speeds, memory", bench, &BenchOptions::file);
    add_required(command, "FILE", to.file, archive);
    command.add_flag("--bytes", to.bytes, "Take FILE as bytes even if it is an archive");
    command.add_option("--codecs", to.codecs, "Only these, as in gzip,zstd [all]")
        ->delimiter(',')
        ->check(CLI::IsMember(codecs))
        ->type_name("NAMES");
    add_numbers(command, "--levels", to.levels, "Only these, as in 1,3,9, where a codec has them [up to 4 of each]")
        ->type_name("LIST");
    command.add_option("--filters", to.filters, "Filters to try [none,auto]")->delimiter(',')->type_name("NAMES");
    add_threads(command, to.threads);
    add_real(command, "--seconds", to.seconds, "Slower ways are measured on a part that takes about this long [2]",
             0.01, 1e6)
        ->type_name("N");
    CLI::Option* folder =
        command.add_option("--folder", to.folder, "Where files are written [the system's for temporary files]")
            ->type_name("FOLDER");
    command.add_flag("--memory", to.memory, "Files in memory instead")->excludes(folder);
  }
  add(app, "codecs", "The compression formats of this build", stele::cli::codecs);
}

}  // namespace stele::cli

// The stele command: inspects, verifies, extracts and converts archives, and measures how best to save them.

#include <algorithm>
#include <csignal>
#include <functional>
#include <memory>
#include <new>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "cli/cache/commands.hpp"
#include "cli/checkpoints/commands.hpp"
#include "cli/commands.hpp"
#include "cli/print/numbers.hpp"
#include "cli/print/report.hpp"
#include "cli/streams/interrupt.hpp"
#include "stele/codec.hpp"
#include "stele/version.hpp"
#if STELE_WITH_REMOTE
#include "stele/remote.hpp"
#endif
#if STELE_WITH_STORE
#include "cli/store/commands.hpp"
#endif

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

/// The command line: the options of all commands, and the chosen command.
class CommandLine {
 public:
  CommandLine() {
    app_.require_subcommand(1);
    app_.set_help_flag("-h,--help", "Print this help and exit");
    app_.set_version_flag(
        "--version", std::string("stele ") + version_string + " (file format " + std::to_string(format_version) + ")",
        "Print the version and exit");
    add_json(app_);
    app_.footer(footer);
    const Codecs known;
    for (const auto& codec : known.all()) {
      codecs_.emplace_back(codec->name());
    }
    add_info();
    add_ls();
    add_show();
    add_extract();
    add_verify();
    add_recover();
    add_types();
    add_convert();
    add_bench();
    add_codecs();
    const auto choose = [this](const std::string& file, std::function<int()> run) {
      file_ = &file;
      run_ = std::move(run);
    };
    cache_ = std::make_unique<CacheCommands>(app_, json_, choose);
    checkpoints_ = std::make_unique<CheckpointsCommands>(app_, json_, codecs_, choose);
#if STELE_WITH_STORE
    store_ = std::make_unique<StoreCommands>(app_, json_, codecs_, choose);
#endif
  }

  CLI::App& app() noexcept { return app_; }
  bool json() const noexcept { return json_; }
  /// The file for messages.
  const std::string& file() const noexcept { return *file_; }
  int run() const { return run_(); }

 private:
  template <class Options>
  CLI::App& add_command(const char* name, const char* about, Options& options, int (*function)(const Options&)) {
    CLI::App& command = *app_.add_subcommand(name, about);
    add_json(command);
    command.callback([this, &options, function] {
      run_ = [this, &options, function] {
        options.json = json_;
        return function(options);
      };
    });
    return command;
  }
  void add_json(CLI::App& command) { command.add_flag("--json", json_, "Print one JSON document, errors included"); }
  void add_file(CLI::App& command, std::string& file) {
    command.add_option("FILE", file, "The archive, - for standard input")->required()->type_name("");
    command.parse_complete_callback([this, &file] { file_ = &file; });
  }
  static void add_path(CLI::App& command, std::string& path, bool required = false) {
    command.add_option("PATH", path, required ? "A value in it; \"\" for the whole" : "A value in it [the whole]")
        ->required(required)
        ->type_name("");
  }
  static void add_offset(CLI::App& command, std::uint64_t& offset) {
    add_number(command, "--offset", offset, "Where the archive begins in the file", {.most = INT64_MAX})
        ->type_name("BYTES");
  }
  static void add_threads(CLI::App& command, unsigned& threads) {
    add_number(command, "--threads", threads, "Threads; 0: as many as the machine has", {.most = 1024})->type_name("N");
  }
  template <class Enum>
  static void add_choice(CLI::App& command, const char* name, Enum& value, const char* about,
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
  static void add_saving(CLI::App& command, Sync& sync, bool& in_place) {
    command.add_flag("--in-place", in_place,
                     "Overwrite OUT in place instead of replacing it; not atomic, for mounted files");
    add_choice<Sync>(command, "--sync", sync, "What to sync to the device at the end [none]",
                     {{"none", Sync::none}, {"file", Sync::file}, {"file_folder", Sync::file_folder}});
  }
  CLI::Option* add_codec(CLI::App& command, std::string& codec) const {
    std::vector<std::string> names = codecs_;
    names.insert(names.begin(), "plain");
    return command.add_option("--codec", codec, "The codec of OUT [by its extension, else plain]")
        ->check(CLI::IsMember(names))
        ->type_name("NAME");
  }
  static CLI::Option* add_level(CLI::App& command, std::optional<int>& level) {
    return add_number(command, "--level", level, "The codec's level; `stele codecs` lists them")->type_name("N");
  }

  static CLI::Option* add_filter(CLI::App& command, std::string& filter, const char* about) {
    return command.add_option("--filter", filter, about)->type_name("NAME");
  }

  void add_info() {
    CLI::App& command = add_command("info", "What is known of an archive as a whole", info_, info);
    add_file(command, info_.file);
    add_offset(command, info_.offset);
  }
  void add_ls() {
    CLI::App& command = add_command("ls", "The values of an archive as a tree; arrays are not read", ls_, ls);
    add_file(command, ls_.file);
    add_path(command, ls_.path);
    add_number(command, "--depth", ls_.depth, "Levels shown below PATH [all]")->type_name("N");
    add_number(command, "--max-items", ls_.max_items, "Items shown of one container [100; 7 of many scalars]")
        ->type_name("N");
    command.add_flag("--all", ls_.all, "Leave nothing out")->excludes("--max-items");
    command.add_flag("--arrays", ls_.arrays, "All arrays, with their full paths, and nothing else");
    add_offset(command, ls_.offset);
  }
  void add_show() {
    CLI::App& command = add_command(
        "show", "A value, or a part of an array: 'rows[1000:1010, -1]'; of large arrays the first and last elements",
        show_, show);
    add_file(command, show_.file);
    add_path(command, show_.path);
    add_number(command, "--items", show_.items, "Elements at each end of an array's axes [3]; items of a container [8]")
        ->type_name("N");
    add_number(command, "--depth", show_.depth, "Levels shown below PATH [64]")->type_name("N");
    command.add_flag("--full", show_.full, "Leave nothing out")->excludes("--items");
    add_choice<Verify>(command, "--verify", show_.verify,
                       "How much is checked; automatic: whole pieces of arrays, in plain files all pieces",
                       {{"automatic", Verify::automatic},
                        {"none", Verify::none},
                        {"directory", Verify::directory},
                        {"full", Verify::full}});
    add_threads(command, show_.threads);
    add_offset(command, show_.offset);
  }
  void add_extract() {
    CLI::App& command =
        add_command("extract", "A value, or a part of an array, as an archive of its own", extract_, extract);
    add_file(command, extract_.file);
    add_path(command, extract_.path, true);
    command.add_option("-o,--output", extract_.output, "The output, - for standard output")
        ->required()
        ->type_name("OUT");
    CLI::Option* raw =
        command.add_flag("--raw", extract_.raw,
                         "Only the elements of an array (little-endian, row-major), or a text or bytes as they are");
    add_codec(command, extract_.codec)->excludes(raw);
    add_level(command, extract_.level)->excludes(raw);
    add_filter(command, extract_.filter, "How arrays are encoded before they are compressed [auto]")->excludes(raw);
    add_threads(command, extract_.threads);
    add_saving(command, extract_.sync, extract_.in_place);
    add_offset(command, extract_.offset);
  }
  void add_verify() {
    CLI::App& command = add_command("verify", "Check every byte of archives against their checksums", verify_, verify);
    command.add_option("FILE", verify_.files, "Files with one or more archives, - for standard input")
        ->required()
        ->type_name("");
    add_threads(command, verify_.threads);
  }
  void add_types() {
    CLI::App& command = add_command(
        "types", "The classes and functions that a pickle, a joblib file or an archive of such objects names", types_,
        types);
    add_file(command, types_.file);
  }
  void add_recover() {
    CLI::App& command =
        add_command("recover", "How far a file of appended entries is whole, and what a crash has left after that",
                    recover_, recover);
    command.add_option("FILE", recover_.file, "The file that an Appender wrote")->required()->type_name("");
    command.parse_complete_callback([this] { file_ = &recover_.file; });
    command.add_flag("--cut", recover_.cut, "Cut off what a crash has left; never what is damaged");
    add_threads(command, recover_.threads);
  }
  void add_convert() {
    CLI::App& command =
        add_command("convert", "The same archives under another codec, checked on the way; or a file in another format",
                    convert_, convert);
    command.add_option("IN", convert_.input, "The archive, - for standard input")->required()->type_name("");
    command.add_option("OUT", convert_.output, "The output, - for standard output; a file appears when it is complete")
        ->required()
        ->type_name("");
    command.parse_complete_callback([this] { file_ = &convert_.input; });
    add_codec(command, convert_.codec);
    add_level(command, convert_.level);
    add_filter(
        command, convert_.filter,
        "Load and save again with this filter for arrays: auto, none, … [the same bytes; encoded arrays decoded for a "
        "plain file]");
    add_threads(command, convert_.threads);
    add_saving(command, convert_.sync, convert_.in_place);
  }
  void add_bench() {
    CLI::App& command =
        add_command("bench", "An object saved and loaded in many ways: sizes, speeds, memory", bench_, bench);
    add_file(command, bench_.file);
    std::vector<std::string> names = codecs_;
    names.insert(names.begin(), "plain");
    command.add_flag("--bytes", bench_.bytes, "Take FILE as bytes even if it is an archive");
    command.add_option("--codecs", bench_.codecs, "Only these, as in gzip,zstd [all]")
        ->delimiter(',')
        ->check(CLI::IsMember(names))
        ->type_name("NAMES");
    add_numbers(command, "--levels", bench_.levels, "Only these, as in 1,3,9, where a codec has them [up to 4 of each]")
        ->type_name("LIST");
    command.add_option("--filters", bench_.filters, "Filters to try [none,auto]")->delimiter(',')->type_name("NAMES");
    add_threads(command, bench_.threads);
    add_real(command, "--seconds", bench_.seconds, "Slower ways are measured on a part that takes about this long [2]",
             0.01, 1e6)
        ->type_name("N");
    CLI::Option* folder =
        command.add_option("--folder", bench_.folder, "Where files are written [the system's for temporary files]")
            ->type_name("FOLDER");
    command.add_flag("--memory", bench_.memory, "Files in memory instead")->excludes(folder);
  }
  void add_codecs() {
    add_command("codecs", "The compression formats of this build", codecs_options_, stele::cli::codecs);
  }

  CLI::App app_{
      "Looks at stele archives, checks them, takes them apart, converts them and measures how best to save them.",
      "stele"};
  std::vector<std::string> codecs_;
  InfoOptions info_;
  LsOptions ls_;
  ShowOptions show_;
  ExtractOptions extract_;
  VerifyOptions verify_;
  RecoverOptions recover_;
  TypesOptions types_;
  ConvertOptions convert_;
  BenchOptions bench_;
  CodecsOptions codecs_options_;
  std::unique_ptr<CacheCommands> cache_;
  std::unique_ptr<CheckpointsCommands> checkpoints_;
#if STELE_WITH_STORE
  std::unique_ptr<StoreCommands> store_;
#endif
  bool json_ = false;
  const std::string none_;
  const std::string* file_ = &none_;
  std::function<int()> run_;
};

void report(const Error& error, const std::string& file, bool json) {
  if (json) {
    print_json({{"error", error_json(error, file)}});
  } else {
    print_error(error_line(error, file));
  }
}

/// The message for an invalid command line.
std::string usage_message(const CLI::App& app, const CLI::ParseError& error, int argc, char** argv) {
  if (argc > 1 && argv[1][0] != '-' && app.get_subcommands().empty()) {
    return std::string("there is no command ") + argv[1];
  }
  return error.what();
}

/// Whether an invalid command line asks for JSON. `store put` has another option of that name.
bool asks_for_json(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    if (std::string_view(argv[i]) == "--json") {
      return true;
    }
    if (std::string_view(argv[i]) == "put" && std::string_view(argv[i - 1]) == "store") {
      return false;
    }
  }
  return false;
}

/// Runs `work`; turns errors into messages and exit codes.
template <class Work>
int guarded(const std::string& file, bool json, Work work) noexcept {
  try {
    try {
      const int code = work();
      flush_output();
      return code;
    } catch (const Error& error) {
      obey_interrupt();
      report(error, file, json);
      flush_output();
      return exit_code(error.code());
    } catch (const Interrupted&) {
      obey_interrupt();
      return exit_io;
    } catch (const std::bad_alloc&) {
      report(Error(Errc::limit_exceeded, "there is not enough memory"), file, json);
      return exit_unsupported;
    }
  } catch (const std::exception& error) {  // the report itself failed: standard output is closed
    print_error(error.what());
    return exit_io;
  }
}

int run(int argc, char** argv) {
  CommandLine line;
  try {
    line.app().parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::ostringstream out;
    const bool asked = line.app().exit(error, out, out) == 0;
    return guarded("", false, [&] {
      if (asked) {  // --help, --version
        print(out.str());
        return exit_fine;
      }
      const bool json = asks_for_json(argc, argv);
      const std::string message = usage_message(line.app(), error, argc, argv) + (json ? "" : "; see stele --help");
      report(Error(Errc::invalid_argument, message), "", json);
      return exit_wrong_usage;
    });
  }
  return guarded(line.file(), line.json(), [&] { return line.run(); });
}

}  // namespace
}  // namespace stele::cli

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_DFL);  // `stele ls | head` ends quietly, even if the parent ignores SIGPIPE
  std::signal(SIGXFSZ, SIG_IGN);  // beyond `ulimit -f`, write() fails and the temporary file is removed
  return stele::cli::run(argc, argv);
}

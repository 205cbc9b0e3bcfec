// The stele command: inspects, verifies, extracts and converts archives, and measures how best to save them.

#include <csignal>
#include <new>
#include <sstream>
#include <string>
#include <string_view>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "cli/command_line.hpp"
#include "cli/print/report.hpp"
#include "cli/streams/interrupt.hpp"
#if STELE_WITH_REMOTE
#include "stele/remote.hpp"  // makes URLs readable
#endif

namespace stele::cli {
namespace {

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
    line.app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::ostringstream out;
    const bool asked = line.app.exit(error, out, out) == 0;
    return guarded("", false, [&] {
      if (asked) {  // --help, --version
        print(out.str());
        return exit_fine;
      }
      const bool json = asks_for_json(argc, argv);
      const std::string message = usage_message(line.app, error, argc, argv) + (json ? "" : "; see stele --help");
      report(Error(Errc::invalid_argument, message), "", json);
      return exit_wrong_usage;
    });
  }
  return guarded(line.file, line.json, [&] { return line.run(); });
}

}  // namespace
}  // namespace stele::cli

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_DFL);  // `stele ls | head` ends quietly, even if the parent ignores SIGPIPE
  std::signal(SIGXFSZ, SIG_IGN);  // beyond `ulimit -f`, write() fails and the temporary file is removed
  return stele::cli::run(argc, argv);
}

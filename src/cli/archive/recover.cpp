// stele recover

#include <nlohmann/json.hpp>

#include "cli/commands.hpp"
#include "cli/print/format.hpp"
#include "cli/print/report.hpp"
#include "stele/appender.hpp"

namespace stele::cli {

int recover(const RecoverOptions& options) {
  const AppendedFile found = recover_appended(options.file, options.cut, {.threads = options.threads});
  const bool torn = found.torn_bytes > 0;
  if (options.json) {
    print_json({{"file", options.file},
                {"codec", found.codec},
                {"entries", found.entries},
                {"bytes", found.bytes},
                {"torn_bytes", found.torn_bytes},
                {"cut", options.cut && torn}});
  } else {
    const std::string what = torn ? "; " + size_text(found.torn_bytes) +
                                        (options.cut ? " cut off" : " after them, torn: --cut cuts them off")
                                  : "";
    print(printable(options.file) + ": " + std::to_string(found.entries) + " entries, " + size_text(found.bytes) +
          what + "\n");
  }
  return exit_fine;
}

}  // namespace stele::cli

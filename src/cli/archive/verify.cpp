// stele verify

#include <nlohmann/json.hpp>

#include "cli/commands.hpp"
#include "cli/print/format.hpp"
#include "cli/print/report.hpp"
#include "cli/streams/input.hpp"
#include "cli/streams/pass.hpp"
#include "stele/value.hpp"

namespace stele::cli {
namespace {

nlohmann::ordered_json passed_json(const Passed& passed) {
  nlohmann::ordered_json json;
  json["codec"] = passed.codec;
  json["stored_bytes"] = passed.stored_bytes;
  json["plain_bytes"] = passed.plain_bytes;
  json["archives"] = nlohmann::ordered_json::array();
  for (const Passed::Archive& archive : passed.archives) {
    json["archives"].push_back({{"offset", archive.offset}, {"bytes", archive.bytes}});
  }
  return json;
}

}  // namespace

int verify(const VerifyOptions& options) {
  int code = exit_fine;
  auto files = nlohmann::ordered_json::array();
  for (const std::string& file : options.files) {
    nlohmann::ordered_json entry;
    entry["file"] = file;
    try {
      if (const bool sharded = is_sharded(file); sharded || is_foreign(file)) {
        const File opened = open_archive(file, {.verify = Verify::full, .threads = options.threads});
        if (sharded) {
          opened.verify();
        } else {
          (void)opened.load<Value>();  // its own checksums, if it has any
        }
        const std::string format = sharded ? "sharded archive" : opened.info().writer;
        entry["ok"] = true;
        entry["format"] = format;
        if (!options.json) {
          print(printable(file) + ": ok (" + format + ")\n");
        }
        files.push_back(std::move(entry));
        continue;
      }
      const Passed passed = pass_archives(file, nullptr, {.threads = options.threads, .progress = !options.json});
      if (options.json) {
        entry["ok"] = true;
        entry.update(passed_json(passed));
      } else {
        const std::size_t count = passed.archives.size();
        print((file == "-" ? "standard input" : printable(file)) + ": ok" +
              (count > 1 ? " (" + std::to_string(count) + " archives)" : "") + "\n");
      }
    } catch (const Error& error) {
      code = code == exit_fine ? exit_code(error.code()) : code;
      if (options.json) {
        entry["ok"] = false;
        entry["error"] = error_json(error, file);
      } else {
        print_error(error_line(error, file));
      }
    }
    files.push_back(std::move(entry));
  }
  if (options.json) {
    print_json({{"files", std::move(files)}});
  }
  return code;
}

}  // namespace stele::cli

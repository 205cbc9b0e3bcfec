// stele types

#include <nlohmann/json.hpp>

#include "cli/commands.hpp"
#include "cli/print/format.hpp"
#include "cli/print/report.hpp"
#include "stele/interop.hpp"

namespace stele::cli {

int types(const TypesOptions& options) {
  const References references = references_in(options.file == "-" ? "/dev/stdin" : options.file);
  if (options.json) {
    nlohmann::ordered_json document;
    document["file"] = options.file;
    document["types"] = nlohmann::ordered_json::array();
    for (const Reference& reference : references.found) {
      document["types"].push_back(
          {{"name", reference.name}, {"risk", to_string(reference.risk)}, {"count", reference.count}});
    }
    if (references.error) {
      document["error"] = error_json(*references.error, options.file);
    }
    print_json(document);
  } else {
    Table table;
    for (const Reference& reference : references.found) {
      table.add({std::string(to_string(reference.risk)), printable(reference.name), std::to_string(reference.count)});
    }
    print(table.text());
    if (references.error) {
      print_error(error_line(*references.error, options.file));
    }
  }
  return references.error ? exit_code(references.error->code()) : exit_fine;
}

}  // namespace stele::cli

// stele store import, export

#include <filesystem>

#include <nlohmann/json.hpp>

#include "cli/print/format.hpp"
#include "cli/print/report.hpp"
#include "cli/store/store.hpp"
#include "cli/store/support.hpp"
#include "cli/streams/input.hpp"
#include "cli/streams/output.hpp"
#include "stele/storage.hpp"

namespace stele::cli {
namespace {

namespace fs = std::filesystem;

bool names_lines(const std::string& name) {
  return name == "-" || name.ends_with(".jsonl") || name.ends_with(".ndjson") || name.ends_with(".json");
}

std::string source_format(const ImportArguments& options) {
  if (!options.format.empty()) {
    return options.format;
  }
  std::error_code ignored;
  if (fs::is_directory(options.source, ignored)) {
    return fs::exists(fs::path(options.source) / "index.lmdb", ignored) ? "store" : "files";
  }
  if (names_lines(options.source)) {
    return "jsonl";
  }
  if (options.source.ends_with(".npz") || options.source.ends_with(".stele")) {
    return options.source.ends_with(".npz") ? "npz" : "store";
  }
  if (is_url(options.source)) {
    return "store";
  }
  if (!fs::exists(options.source, ignored)) {
    fail(Errc::not_found, "there is no " + options.source);
  }
  fail(Errc::invalid_argument, options.source + ": its name does not tell what it is; give --format");
}

std::string output_format(const ExportArguments& options) {
  if (!options.format.empty()) {
    return options.format;
  }
  return names_lines(options.output) ? "jsonl" : options.output.ends_with(".npz") ? "npz" : "files";
}

/// `quiet`: standard output is used for the items.
void report_items(const StoreExchangeReport& report, nlohmann::ordered_json document, bool json, bool quiet) {
  if (json) {
    document["items"] = report.items;
    document["bytes"] = report.bytes;
    document["skipped"] = report.skipped;
    document["notes"] = report.notes;
    print_json(document);
    return;
  }
  std::string text = std::to_string(report.items) + " items, " + size_text(report.bytes);
  if (report.skipped > 0) {
    text += ", " + std::to_string(report.skipped) + " skipped:";
  }
  if (!quiet) {
    print(text + "\n");
  } else if (report.skipped > 0) {
    print_error(text);
  }
  for (const std::string& note : report.notes) {
    quiet ? print_error(note) : print("  " + printable(note) + "\n");
  }
  if (report.skipped > report.notes.size()) {
    const std::string more = "… " + std::to_string(report.skipped - report.notes.size()) + " more";
    quiet ? print_error(more) : print("  " + more + "\n");
  }
}

StoreExchangeReport import_from(Store& store, const ImportArguments& options, const std::string& format,
                                const StoreImportOptions& import) {
  if (format == "files") {
    return import_files(store, options.source, import);
  }
  if (format == "npz") {
    return import_npz(store, options.source, import);
  }
  if (format == "store") {
    return copy_store(open_to_read(options.source), store, {}, import);
  }
  return import_json_lines(store, *open_input(options.source), import);
}

}  // namespace

int store_import(const ImportArguments& options) {
  const std::string format = source_format(options);
  if (options.source != "-" && !is_url(options.source) && !fs::exists(options.source)) {
    fail(Errc::not_found, "there is no " + options.source);
  }
  StoreWatch watch(options.source, options.json);
  Store store = Store::open(options.store, StoreMode::create, options.open);
  StoreImportOptions import = options.import;
  import.progress = watch.progress();
  const StoreExchangeReport report = import_from(store, options, format, import);
  store.close();
  watch.finish();
  report_items(report, {{"source", options.source}, {"store", options.store}}, options.json, false);
  return exit_fine;
}

int store_export(const ExportArguments& options) {
  const std::string format = output_format(options);
  if (options.format.empty() || format == "jsonl" || format == "npz") {
    refuse_compressed_name(options.output);
  }
  const Store store = open_to_read(options.store);
  StoreWatch watch(options.store, options.json, format != "jsonl");  // an Output has its own guard
  StoreExportOptions how = options.export_;
  how.range = options.range.range(options.form);
  how.progress = watch.progress();
  StoreExchangeReport report;
  if (format == "jsonl") {
    Output output(options.output, Sync::none, false, options.json);
    report = export_json_lines(store, output, how);
    output.close();
  } else if (format == "npz") {
    report = export_npz(store, options.output, how);
  } else if (format == "store") {
    Store to = Store::open(options.output, StoreMode::create, {.codec = how.codec, .level = how.level});
    report = copy_store(store, to, how.range, {.overwrite = how.overwrite, .progress = how.progress});
    to.close();
  } else {
    report = export_files(store, options.output, how);
  }
  watch.finish();
  report_items(report, {{"store", options.store}, {"output", options.output}}, options.json, options.output == "-");
  return exit_fine;
}

}  // namespace stele::cli

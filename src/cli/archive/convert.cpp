// stele convert

#include <filesystem>
#include <map>
#include <optional>

#include <nlohmann/json.hpp>

#include "archive/formats.hpp"
#include "archive/read/foreign.hpp"
#include "archive/value/later.hpp"
#include "cli/commands.hpp"
#include "cli/print/report.hpp"
#include "cli/streams/input.hpp"
#include "cli/streams/output.hpp"
#include "cli/streams/pass.hpp"
#include "stele/archive.hpp"
#include "stele/codec.hpp"
#include "stele/interop.hpp"
#include "stele/value.hpp"

namespace stele::cli {
namespace {

/// Copies the plain bytes to another codec.
Passed pass_on(const ConvertOptions& options, const Codec* codec, Output& output) {
  std::unique_ptr<Sink> compressor;
  if (codec != nullptr) {
    compressor = compressing_sink(output, *codec, options.level, options.threads);
  }
  Passed passed = pass_archives(options.input, compressor != nullptr ? compressor.get() : &output,
                                {.threads = options.threads, .progress = !options.json});
  if (compressor != nullptr) {
    compressor->close();
  }
  return passed;
}

SaveOptions saving_of(const ConvertOptions& options, const Codec* codec) {
  return {.codec = std::string(codec != nullptr ? codec->name() : "plain"),
          .level = options.level,
          .filter = options.filter.empty() ? "auto" : options.filter,
          .threads = options.threads};
}

/// Loads and saves the values again, one archive in memory at a time.
Passed save_anew(const ConvertOptions& options, const Codec* codec, Output& output) {
  SaveOptions saving = saving_of(options, codec);
  std::optional<Writer> writer;
  const auto save = [&](const Value& value, const Metadata& metadata) {
    if (!writer) {
      saving.metadata = metadata;
      writer.emplace(output, saving);
    } else if (metadata != saving.metadata) {
      fail(Errc::unsupported, "archives of different metadata can be converted only without --filter");
    }
    writer->write(value);
  };
  Passed passed =
      pass_archives(options.input, nullptr, {.threads = options.threads, .progress = !options.json, .take = save});
  writer->close();
  return passed;
}

void write_anew(const Value& value, const Metadata& metadata, const ConvertOptions& options, const Codec* codec,
                Output& output) {
  SaveOptions saving = saving_of(options, codec);
  saving.metadata = metadata;
  write_value(output, options.output, codec, value, saving);
}

/// To a file of one array, which is written while it is read, from a pipe too.
Passed through_array(const ConvertOptions& options, const Codec* codec, Output& output) {
  return pass_archives(options.input, nullptr,
                       {.threads = options.threads, .progress = !options.json, .take_root = [&](const Value& value) {
                          write_anew(value, {}, options, codec, output);
                        }});
}

/// From a sharded archive, from or to a file in another format. Large arrays are read when they are written, or are in
/// the mapping of a plain file.
Passed through_value(const ConvertOptions& options, const Codec* codec, Output& output) {
  const bool is_archive = !is_foreign(options.input) && !is_sharded(options.input);
  if (is_archive && neighbours().named(options.output) == "npy") {
    return through_array(options, codec, output);
  }
  if (!is_archive) {
    const ForeignFile file =
        open_foreign(options.input, {.verify = Verify::full, .threads = options.threads, .formats = &neighbours()});
    write_anew(file.content.value, file.content.metadata, options, codec, output);
    return {file.codec, file.stored_bytes, file.plain_bytes, {{0, file.plain_bytes}}};
  }
  const File file =
      open_archive(options.input, {.map = MapMode::read_only, .verify = Verify::full, .threads = options.threads});
  const Info info = file.info();
  if (info.bytes_after > 0) {
    fail(Errc::unsupported, "several archives in one file can only be converted to archives");
  }
  write_anew(file.load<LaterTree>().value, info.metadata, options, codec, output);
  return {info.codec, info.stored_bytes, info.plain_bytes, {{0, info.plain_bytes}}};
}

/// Whether a file is one archive with arrays that are not stored as they are in memory.
bool has_unmappable_arrays(const std::string& file) {
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(file, ignored)) {
    return false;
  }
  try {
    const Info info = open(file).info();
    return info.encoded_arrays + info.pieced_arrays > 0;
  } catch (const Error&) {  // copying it will report the error, if any
    return false;
  }
}

}  // namespace

int convert(const ConvertOptions& options) {
  const Codecs codecs;
  const Codec* codec = choose_codec(codecs, options.codec, options.output, options.level);
  ConvertOptions chosen = options;
  if (codec == nullptr && options.filter.empty() && has_unmappable_arrays(options.input)) {
    chosen.filter = "none";  // plain files are for mapping
  }
  Output output(options.output, options.sync, options.in_place, options.json);
  const bool foreign =
      !neighbours().named(options.output).empty() || is_foreign(options.input) || is_sharded(options.input);
  const Passed passed = foreign                 ? through_value(options, codec, output)
                        : chosen.filter.empty() ? pass_on(chosen, codec, output)
                                                : save_anew(chosen, codec, output);
  output.close();
  if (options.json) {
    const auto side = [](const std::string& file, std::string_view name, std::uint64_t bytes) {
      return nlohmann::ordered_json{{"file", file}, {"codec", name}, {"stored_bytes", bytes}};
    };
    nlohmann::ordered_json document;
    document["input"] = side(options.input, passed.codec, passed.stored_bytes);
    document["output"] = side(options.output, codec != nullptr ? codec->name() : "plain", output.count());
    document["plain_bytes"] = passed.plain_bytes;
    document["archives"] = passed.archives.size();
    print_json(document);
  }
  return exit_fine;
}

}  // namespace stele::cli

// stele convert

#include <filesystem>

#include <nlohmann/json.hpp>

#include "cli/commands.hpp"
#include "cli/input.hpp"
#include "cli/output.hpp"
#include "cli/pass.hpp"
#include "cli/report.hpp"
#include "stele/codec.hpp"

namespace stele::cli {

int convert(const ConvertOptions& options) {
  const Codecs codecs;
  const Codec* codec = choose_codec(codecs, options.codec, options.output, options.level);
  std::unique_ptr<Source> input = open_input(options.input);
  Output output(options.output, options.sync, options.json);
  std::unique_ptr<Sink> compressor;
  if (codec != nullptr) {
    compressor = compressing_sink(output, *codec, options.level);
  }
  const Passed passed = pass_archives(std::move(input), compressor != nullptr ? compressor.get() : &output,
                                      {.threads = options.threads,
                                       .label = std::filesystem::path(options.input).filename().string(),
                                       .progress = !options.json});
  if (compressor != nullptr) {
    compressor->close();
  }
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

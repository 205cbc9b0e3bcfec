// stele convert

#include <filesystem>

#include <nlohmann/json.hpp>

#include "cli/commands.hpp"
#include "cli/input.hpp"
#include "cli/interrupt.hpp"
#include "cli/pass.hpp"
#include "cli/report.hpp"
#include "stele/codec.hpp"
#include "stele/error.hpp"

namespace stele::cli {
namespace {

/// Hands on and counts; ends the work after Ctrl-C.
class OutputCounter final : public Sink {
 public:
  explicit OutputCounter(Sink& to) : to_(to) {}
  void write(Bytes bytes) override {
    check_interrupt();
    to_.write(bytes);
    count_ += bytes.size();
  }
  std::uint64_t count() const noexcept { return count_; }

 private:
  Sink& to_;
  std::uint64_t count_ = 0;
};

/// The codec asked for by name or else by the output's extension; null for plain.
const Codec* output_codec(const ConvertOptions& options, const Codecs& codecs) {
  const Codec* codec = nullptr;
  if (options.codec.empty()) {
    codec = options.output == "-" ? nullptr : codecs.by_extension(options.output);
  } else if (options.codec != "plain") {
    codec = codecs.find(options.codec);
    if (codec == nullptr) {
      fail(Errc::unknown_codec, "no codec is named " + options.codec);
    }
  }
  if (codec == nullptr && options.level) {
    fail(Errc::invalid_argument, "a plain archive has no level");
  }
  return codec;
}

}  // namespace

int convert(const ConvertOptions& options) {
  const Codecs codecs;
  const Codec* codec = output_codec(options, codecs);
  std::unique_ptr<Source> input = open_input(options.input);
  const InterruptGuard guard;
  const std::unique_ptr<Sink> output = options.output == "-" ? output_sink() : file_sink(options.output, options.sync);
  OutputCounter counted(*output);
  std::unique_ptr<Sink> compressor;
  if (codec != nullptr) {
    compressor = compressing_sink(counted, *codec, options.level);
  }
  const Passed passed = pass_archives(std::move(input), compressor != nullptr ? compressor.get() : &counted,
                                      {.threads = options.threads,
                                       .label = std::filesystem::path(options.input).filename().string(),
                                       .progress = !options.json});
  if (compressor != nullptr) {
    compressor->close();
  }
  check_interrupt();
  output->close();
  if (options.json) {
    const auto side = [](const std::string& file, std::string_view name, std::uint64_t bytes) {
      return nlohmann::ordered_json{{"file", file}, {"codec", name}, {"stored_bytes", bytes}};
    };
    nlohmann::ordered_json document;
    document["input"] = side(options.input, passed.codec, passed.stored_bytes);
    document["output"] = side(options.output, codec != nullptr ? codec->name() : "plain", counted.count());
    document["plain_bytes"] = passed.plain_bytes;
    document["archives"] = passed.archives.size();
    print_json(document);
  }
  return exit_fine;
}

}  // namespace stele::cli

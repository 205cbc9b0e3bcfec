#include "cli/output.hpp"

#include "cli/report.hpp"
#include "stele/error.hpp"

namespace stele::cli {
namespace {

std::unique_ptr<Sink> open_output(const std::string& name, Sync sync, bool in_place, bool json) {
  if (name != "-" && name != "/dev/stdout" && name != "/dev/fd/1" && name != "/proc/self/fd/1") {
    return file_sink(name, sync, in_place);
  }
  if (json) {
    fail(Errc::invalid_argument, "--json prints to standard output, so that the output must be a file");
  }
  return output_sink();
}

}  // namespace

Output::Output(const std::string& name, Sync sync, bool in_place, bool json)
    : to_(open_output(name, sync, in_place, json)) {}

void Output::write(Bytes bytes) {
  check_interrupt();
  to_->write(bytes);
  count_ += bytes.size();
}

void Output::close() {
  check_interrupt();
  to_->close();
}

const Codec* choose_codec(const Codecs& codecs, const std::string& name, const std::string& output,
                          std::optional<int> level) {
  const Codec* codec = nullptr;
  if (name.empty()) {
    codec = output == "-" ? nullptr : codecs.by_extension(output);
  } else if (name != "plain") {
    codec = codecs.find(name);
    if (codec == nullptr) {
      fail(Errc::unknown_codec, "no codec is named " + name);
    }
  }
  if (codec == nullptr && level) {
    fail(Errc::invalid_argument, "a plain archive has no level");
  }
  return codec;
}

}  // namespace stele::cli

#include "cli/streams/output.hpp"

#include <chrono>

#include "archive/formats.hpp"
#include "cli/print/report.hpp"
#include "stele/archive.hpp"
#include "stele/error.hpp"
#include "stele/interop.hpp"

namespace stele::cli {
namespace {

std::unique_ptr<Sink> open_output(const std::string& name, Sync sync, bool in_place, bool json) {
  if (name != "-" && name != "/dev/stdout" && name != "/dev/fd/1" && name != "/proc/self/fd/1") {
    return file_sink(name, sync, in_place);
  }
  if (json) {
    fail(Errc::invalid_argument, "--json prints to standard output, so the output must be a file");
  }
  return output_sink();
}

}  // namespace

Output::Output(const std::string& name, Sync sync, bool in_place, bool json)
    : to_(open_output(name, sync, in_place, json)), patchable_(to_->patchable()) {
  guard_.set_last_resort([this] {
    const std::unique_lock lock(mutex_, std::chrono::seconds(1));  // a pipe may be blocked
    if (lock.owns_lock()) {
      to_.reset();
    }
  });
}

Output::~Output() { guard_.set_last_resort(nullptr); }

Sink& Output::to() {
  check_interrupt();
  if (to_ == nullptr) {
    throw Interrupted{};
  }
  return *to_;
}

void Output::write(Bytes bytes) {
  const std::lock_guard lock(mutex_);
  to().write(bytes);
  count_ += bytes.size();
}

void Output::patch(std::uint64_t offset, Bytes bytes) {
  const std::lock_guard lock(mutex_);
  to().patch(offset, bytes);
}

void Output::close() {
  const std::lock_guard lock(mutex_);
  to().close();
}

void refuse_compressed_name(const std::string& output) {
  const Codecs codecs;
  if (output != "-" && codecs.by_extension(output) != nullptr) {
    fail(Errc::invalid_argument, output + " is the name of a compressed file, but the output is not compressed");
  }
}

const Codec* choose_codec(const Codecs& codecs, const std::string& name, const std::string& output,
                          std::optional<int> level) {
  const Codec* codec = nullptr;
  if (name.empty()) {
    codec = output == "-" ? nullptr : codecs.by_extension(output);
  } else if (name != "plain") {
    codec = &codecs.get(name);
  }
  if (codec == nullptr && level) {
    fail(Errc::invalid_argument, "a plain archive has no level");
  }
  return codec;
}

void write_value(Output& output, const std::string& path, const Codec* codec, const Value& value,
                 const SaveOptions& options) {
  const std::string_view format = neighbours().named(path);
  if (format.empty()) {
    save(output, value, options);
  } else if (codec == nullptr) {
    neighbours().write(format, output, value, options);
  } else {
    SaveOptions uncompressed = options;
    uncompressed.level = std::nullopt;
    const Codec& readable = neighbours().codec(format, *codec);
    const auto compressor = compressing_sink(output, readable, options.level, options.threads);
    neighbours().write(format, *compressor, value, uncompressed);
    compressor->close();
  }
}

}  // namespace stele::cli

#include "cli/print/report.hpp"

#include <cerrno>
#include <cstdio>
#include <new>
#include <system_error>

#include <nlohmann/json.hpp>

#include "cli/print/format.hpp"

namespace stele::cli {
namespace {

[[noreturn]] void fail_output(int error) {
  fail(Errc::io, "cannot write to standard output: " + std::generic_category().message(error));
}

class OutputSink final : public Sink {
 public:
  void write(Bytes bytes) override {
    if (std::fwrite(bytes.data(), 1, bytes.size(), stdout) != bytes.size()) {
      fail_output(errno);
    }
  }
  void close() override { flush_output(); }
};

/// Replaces the library's names of standard input and output, which are numbers.
std::string with_stream_names(std::string message) {
  for (const auto& [number, name] :
       {std::pair("descriptor 0", "standard input"), std::pair("descriptor 1", "standard output")}) {
    if (const std::size_t at = message.find(number); at != std::string::npos) {
      message.replace(at, std::string_view(number).size(), name);
    }
  }
  return message;
}

bool is_about_usage(Errc code) noexcept {
  return code == Errc::io || code == Errc::invalid_argument || code == Errc::unknown_codec;
}

}  // namespace

ExitCode exit_code(Errc code) noexcept {
  switch (code) {
    case Errc::io:
    case Errc::read_only:
    case Errc::busy:
    case Errc::denied:
    case Errc::changed:
      return exit_io;
    case Errc::not_found:
      return exit_not_found;
    case Errc::invalid_argument:
    case Errc::unknown_codec:
      return exit_wrong_usage;
    case Errc::limit_exceeded:
    case Errc::not_mappable:
    case Errc::unsupported:
    case Errc::unknown_type:
      return exit_unsupported;
    case Errc::not_an_archive:
    case Errc::truncated:
    case Errc::damaged:
    case Errc::malformed:
    case Errc::type_mismatch:
    case Errc::out_of_range:
    case Errc::missing_field:
    case Errc::unknown_field:
    case Errc::duplicate_field:
      return exit_bad_input;
  }
  return exit_bad_input;
}

void print(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size()) {
    fail_output(errno);
  }
}

void print_json(const nlohmann::ordered_json& document) {
  print(printable_json(document.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace)) + "\n");
}

void flush_output() {
  if (std::fflush(stdout) != 0) {
    fail_output(errno);
  }
}

std::unique_ptr<Sink> output_sink() { return std::make_unique<OutputSink>(); }

std::string error_line(const Error& error, std::string_view file) {
  std::string line;
  // The library names the file. An error without a name is about the command line or about the command's input.
  if (error.file().empty() && !file.empty() && !is_about_usage(error.code())) {
    line = std::string(file == "-" ? "standard input" : file) + ": ";
  }
  return line + with_stream_names(error.what());
}

nlohmann::ordered_json error_json(const Error& error, std::string_view file) {
  nlohmann::ordered_json document;
  document["code"] = to_string(error.code());
  document["message"] = with_stream_names(error.message());
  document["file"] = file;
  document["path"] = error.path();
  document["offset"] = nullptr;
  if (error.offset()) {
    document["offset"] = *error.offset();
  }
  return document;
}

void print_error(std::string_view line) noexcept {
  std::fflush(stdout);
  try {
    std::fprintf(stderr, "stele: %s\n", printable(line).c_str());
  } catch (const std::bad_alloc&) {
    std::fputs("stele: there is not enough memory\n", stderr);
  }
}

}  // namespace stele::cli
